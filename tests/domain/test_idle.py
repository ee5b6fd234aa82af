"""When a session pauses by itself: state, signals and time go in, a moment or nothing comes out."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from renku_spawner.domain import instances
from renku_spawner.domain.idle import ActivitySourceStatus, PlannedPause, list_activity_signals, plan_pause
from renku_spawner.domain.instances import (
    Instance,
    ObservedState,
    mark_failed,
    mark_ready,
    mark_stage_reached,
    mark_starting,
    mark_stopped,
    mark_stopping,
)
from renku_spawner.domain.policy import HubPolicy, IdleRules
from renku_spawner.domain.resource_classes import ResourceClass
from renku_spawner.domain.text import format_duration

from .values import NOON, instance

HOUR = 3600
RULES = IdleRules(pause=HOUR, warning=600)
LONG_AGO = NOON - timedelta(days=9)


def minutes(count: float) -> datetime:
    return NOON + timedelta(minutes=count)


def running(**more: Any) -> Instance:
    """Ready at noon, and not used since."""
    begun = mark_starting(instance(), run="run", claim="claim", now=NOON, one_active=True, resource_class="small")
    return instances.replace(mark_ready(begun, url="http://x", now=NOON), **more)


def policy(*, small: int | None = None, **rules: Any) -> HubPolicy:
    classes = (ResourceClass(name="small", cpu="1", memory="1Gi", idle_pause=small),)
    return HubPolicy(classes=classes, idle=IdleRules(**{**vars(RULES), **rules}))


def seen(
    found: Instance, now: datetime = NOON, *, since: datetime | None = LONG_AGO, small: int | None = None, **rules: Any
) -> PlannedPause | None:
    return plan_pause(found, policy(small=small, **rules), ActivitySourceStatus(since=since), now)


@pytest.mark.parametrize(
    ("said", "at"),
    [
        ({}, 60),
        ({"last_activity": minutes(30)}, 90),
        ({"last_activity": None}, 60),
        ({"awake_until": minutes(240)}, 240),
        ({"awake_until": minutes(30)}, 60),
        ({"idle_pause": 7200}, 120),
        ({"idle_pause": 0}, None),
        ({"reported_at": NOON}, 60),
        ({"last_seen": minutes(55)}, 65),
    ],
)
def test_it_pauses_so_long_after_it_was_last_used(said: dict[str, Any], at: float | None) -> None:
    found = seen(running(**said))
    assert (found and (found.at, found.reason)) == (at and (minutes(at), "culled_idle"))


@pytest.mark.parametrize(
    ("rules", "at"),
    [
        ({"pause": 0}, None),
        ({"pause": 0, "small": 1800}, 30),
        ({"small": 1800}, 30),
        ({"small": 0}, None),
        ({"pause": 0, "run_max": 7200}, 120),
        ({"run_max": 1800}, 30),
    ],
)
def test_settings_classes_and_environments_say_after_how_long(rules: dict[str, Any], at: float | None) -> None:
    assert ((found := seen(running(), **rules)) and found.at) == (at and minutes(at))
    mine = seen(running(idle_pause=900), **{**rules, "run_max": 0})
    assert mine and mine.at == minutes(15), "the environment wins"


@pytest.mark.parametrize("since", [None, *map(minutes, (0, 45, 55, 70))])
def test_nothing_pauses_before_all_was_heard_for_as_long_as_a_warning_takes(since: datetime | None) -> None:
    found = seen(running(), minutes(80), since=since)
    if since is None:
        assert found is None
    else:
        assert found and found.at == max(minutes(60), since + timedelta(minutes=10))
        assert found.at - found.warned_from >= timedelta(minutes=10), "the warning is whole"


@pytest.mark.parametrize(
    "step",
    [
        lambda i: mark_stage_reached(i, ObservedState.UNKNOWN, now=NOON),
        lambda i: mark_stopping(i, ended_reason="stopped_by_user", now=NOON),
        lambda i: mark_stopped(i, now=NOON),
        lambda i: mark_starting(i, run="next", claim="", now=NOON, one_active=True),
        lambda i: mark_failed(i, reason="evicted", message="", advice="", now=NOON),
    ],
    ids=["unknown", "stopping", "paused", "launching", "failed"],
)
def test_only_what_is_known_to_run_is_paused(step: Any) -> None:
    assert seen(step(running()), minutes(9000), run_max=HOUR) is None


def test_a_server_that_has_reported_and_falls_silent_is_not_idle() -> None:
    silent = running(reported_at=minutes(50))
    assert seen(silent, minutes(64))
    assert seen(silent, minutes(66)) is None
    old = seen(silent, minutes(66), run_max=7200)
    assert old and old.reason == "culled_age", "its age is known all the same"


def test_keeping_it_awake_does_not_move_the_end_of_its_time() -> None:
    found = seen(running(awake_until=minutes(900)), run_max=7200)
    assert found and (found.at, found.reason) == (minutes(120), "culled_age")


@pytest.mark.parametrize(("now", "warned", "due"), [(49, False, False), (50, True, False), (60, True, True)])
def test_it_is_warned_of_and_then_due(now: float, *, warned: bool, due: bool) -> None:
    found = seen(running())
    assert found and (found.is_warning_due(minutes(now)), found.is_due(minutes(now))) == (warned, due)


def test_the_reason_names_what_would_have_told_of_use() -> None:
    heard = ActivitySourceStatus(since=NOON, signals=("traffic", "processor"))
    assert list_activity_signals(running(), heard) == ("traffic", "processor")
    assert list_activity_signals(running(reported_at=NOON), heard) == ("traffic", "processor", "kernels and terminals")
    assert list_activity_signals(running(), ActivitySourceStatus(since=NOON)) == ("reports of its server",)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "0 s"), (45, "45 s"), (600, "10 min"), (3600, "1 h"), (5400, "1 h 30 min"), (86400, "24 h"),
     (259200, "3 days")],
)  # fmt: skip
def test_a_length_of_time_reads_as_an_admin_would_have_said_it(seconds: int, words: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == words
