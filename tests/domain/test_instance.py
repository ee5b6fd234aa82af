"""What an instance's owner sees after any sequence of steps."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from renku_spawner.domain.instances import (
    ACTIVE_STATUSES,
    STAGE_LABELS,
    DesiredState,
    Instance,
    InstanceStatus,
    Launch,
    ObservedState,
    count_stage_seconds,
    mark_data_deleted,
    mark_failed,
    mark_ready,
    mark_stage_reached,
    mark_starting,
    mark_stopped,
    mark_stopping,
)

from .values import NOON, instance

STEPS: dict[str, Callable[[Instance], Instance]] = {
    "begun": lambda i: mark_starting(i, run="run", claim="claim", now=NOON, one_active=True),
    "staged": lambda i: mark_stage_reached(i, ObservedState.PULLING, now=NOON),
    "unseen": lambda i: mark_stage_reached(i, ObservedState.UNKNOWN, now=NOON),
    "ready": lambda i: mark_ready(i, url="http://127.0.0.1:1/", now=NOON),
    "stopping": lambda i: mark_stopping(i, ended_reason="stopped_by_user", now=NOON),
    "stopped": lambda i: mark_stopped(i, now=NOON),
    "failed": lambda i: mark_failed(i, reason="crash_exit", message="It ended.", advice="See the log.", now=NOON),
    "forgotten": lambda i: mark_data_deleted(i, now=NOON),
}
# How each status is reached, for the table below.
REACHED = {
    "inactive": "",
    "launching": "begun",
    "running": "begun ready",
    "stopping": "begun ready stopping",
    "unknown": "begun ready unseen",
    "unknown while stopping": "begun ready stopping unseen",
    "paused": "begun ready stopping stopped",
    "failed": "begun failed",
    "failed while running": "begun ready failed",
}


def after(sequence: str, start: Instance | None = None) -> Instance:
    state = start or instance()
    for name in sequence.split():
        state = STEPS[name](state)
    return state


@pytest.mark.parametrize(
    ("sequence", "status"),
    [
        ("", "inactive"),
        ("begun", "launching"),
        ("begun staged", "launching"),
        ("begun staged ready", "running"),
        ("begun ready", "running"),
        ("begun stopping", "stopping"),
        ("begun stopping stopped", "paused"),
        ("begun stopping ready", "stopping"),
        ("begun ready stopping", "stopping"),
        ("begun ready stopping stopped", "paused"),
        ("begun ready stopped", "paused"),
        ("begun ready stopping stopped begun", "launching"),
        ("begun ready stopping stopped begun ready", "running"),
        ("begun failed", "failed"),
        ("begun ready failed", "failed"),
        ("begun failed stopping", "failed"),
        ("begun failed stopping stopped", "failed"),
        ("begun failed stopped", "failed"),
        ("begun failed staged", "failed"),
        ("begun failed ready", "failed"),
        ("begun failed begun", "launching"),
        ("begun failed begun ready stopping stopped", "paused"),
        ("begun failed forgotten", "inactive"),
        ("begun ready stopping stopped forgotten", "inactive"),
        ("begun forgotten", "inactive"),
        ("begun forgotten begun", "launching"),
        ("begun unseen", "unknown"),
        ("begun ready unseen ready", "running"),
        ("begun unseen staged", "launching"),
        ("begun ready unseen stopping", "stopping"),
        ("begun ready stopping unseen stopped", "paused"),
        ("begun ready stopping unseen", "unknown"),
        ("begun ready unseen failed", "failed"),
        ("stopped", "inactive"),
        ("forgotten", "inactive"),
        ("failed", "failed"),
    ],
)
def test_a_sequence_of_steps_leads_to_one_status(sequence: str, status: str) -> None:
    assert after(sequence).status == status


@pytest.mark.parametrize(
    ("state", "results"),
    [
        # the status after: begun, staged, unseen, ready, stopping, stopped, failed, forgotten
        ("inactive", "launching inactive inactive inactive inactive inactive failed inactive"),
        ("launching", "launching launching unknown running stopping paused failed inactive"),
        ("running", "launching launching unknown running stopping paused failed inactive"),
        ("stopping", "launching stopping unknown stopping stopping paused failed inactive"),
        ("unknown", "launching launching unknown running stopping paused failed inactive"),
        ("unknown while stopping", "launching stopping unknown unknown stopping paused failed inactive"),
        ("paused", "launching paused paused paused paused paused failed inactive"),
        ("failed", "launching failed failed failed failed failed failed inactive"),
        ("failed while running", "launching failed failed failed failed failed failed inactive"),
    ],
)
def test_every_step_from_every_state_leads_to_one_status(state: str, results: str) -> None:
    start = after(REACHED[state])
    assert state.startswith(start.status)
    assert [step(start).status for step in STEPS.values()] == results.split()


def test_an_end_does_not_call_off_a_deletion_that_its_owner_has_confirmed() -> None:
    doomed = replace(after("begun ready stopping"), desired=DesiredState.DELETED)
    assert mark_stopped(doomed, now=NOON).desired is DesiredState.DELETED
    assert mark_data_deleted(mark_stopped(doomed, now=NOON), now=NOON).desired is DesiredState.STOPPED
    assert mark_stopped(after("begun ready stopping"), now=NOON).desired is DesiredState.STOPPED


def test_the_table_of_states_has_every_status() -> None:
    assert {after(sequence).status for sequence in REACHED.values()} == set(InstanceStatus)


def test_seconds_in_each_stage_add_up_also_when_it_comes_back_to_one() -> None:
    def at(seconds: float) -> datetime:
        return NOON + timedelta(seconds=seconds)

    queued = after("begun")
    assert (queued.spent, count_stage_seconds(queued, at(2))) == (None, {"creating": 2.0})
    pulled = mark_stage_reached(
        mark_stage_reached(queued, ObservedState.PULLING, now=at(2)), ObservedState.SCHEDULING, now=at(7)
    )
    again = mark_stage_reached(pulled, ObservedState.PULLING, now=at(8))
    assert count_stage_seconds(again, at(10.5)) == {"creating": 2.0, "pulling": 7.5, "scheduling": 1.0}
    assert count_stage_seconds(
        mark_stage_reached(again, ObservedState.PULLING, now=at(9)), at(10.5)
    ) == count_stage_seconds(again, at(10.5))
    cancelled = mark_stopping(again, ended_reason="cancelled", now=at(10.5))
    assert count_stage_seconds(cancelled, at(99)) == {"creating": 2.0, "pulling": 7.5, "scheduling": 1.0}
    for over in (mark_ready(again, url="http://x/", now=at(11)), mark_stopped(cancelled, now=at(12))):
        assert count_stage_seconds(over, at(99)) is None


@pytest.mark.parametrize("state", ["inactive", "paused", "failed"])
@pytest.mark.parametrize("late", ["staged", "unseen", "ready", "stopping"])
def test_what_is_seen_of_an_instance_that_has_ended_changes_nothing(state: str, late: str) -> None:
    ended = after(REACHED[state])
    assert STEPS[late](ended) is ended


def test_a_start_forgets_how_the_last_one_ended_but_keeps_the_volume() -> None:
    failed = after("begun failed")
    later = NOON + timedelta(hours=1)
    begun = mark_starting(failed, run="second", claim="other", now=later, one_active=True, revision="r", deadline=later)
    assert (begun.reason, begun.message, begun.advice, begun.ended_reason, begun.notices) == (
        None,
        None,
        None,
        None,
        (),
    )
    assert (begun.claim, begun.run, begun.revision, begun.deadline) == ("claim", "second", "r", later)
    assert begun.requested_at == begun.stage_at == begun.last_seen == later
    assert begun.ready_at is begun.paused_at is None


def test_without_the_rule_of_one_active_there_is_no_slot() -> None:
    assert mark_starting(instance(), run="r", claim="c", now=NOON, one_active=False).slot is None


def test_a_stage_brings_what_is_known_with_it() -> None:
    notice = {"code": "clone_failed", "title": "data", "text": "could not be cloned"}
    staged = mark_stage_reached(after("begun"), ObservedState.PREPARING, now=NOON, url="http://x/", notices=(notice,))
    assert (staged.url, staged.notices, staged.stage) == ("http://x/", (notice,), "Preparing files")


def test_an_end_says_why() -> None:
    assert after("begun ready stopping stopped").ended_reason == "stopped_by_user"
    assert after("begun forgotten").ended_reason == "deleted_by_user"
    failed = after("begun failed")
    assert (failed.reason, failed.message, failed.advice) == ("crash_exit", "It ended.", "See the log.")
    assert failed.ended_reason == "crash_exit"


@pytest.mark.parametrize("sequence", ["begun ready stopping stopped", "begun ready failed", "begun ready forgotten"])
def test_what_has_ended_has_no_address_and_no_deadline(sequence: str) -> None:
    ended = after(sequence)
    assert ended.url is ended.deadline is ended.slot is None


@pytest.mark.parametrize("observed", list(ObservedState))
def test_a_start_under_way_has_words_for_its_stage(observed: ObservedState) -> None:
    launching = replace(after("begun"), observed=observed)
    assert launching.stage == STAGE_LABELS.get(observed)
    assert replace(launching, desired=DesiredState.STOPPED).stage is None


def test_every_step_of_a_start_has_words() -> None:
    assert list(STAGE_LABELS) == list(ObservedState)[1:8]


@pytest.mark.parametrize("observed", list(ObservedState))
@pytest.mark.parametrize("desired", list(DesiredState))
def test_whatever_is_stored_has_one_of_the_seven_statuses(desired: DesiredState, observed: ObservedState) -> None:
    stored = instance(desired=desired, observed=observed)
    assert stored.status in InstanceStatus
    assert stored.is_active == (stored.status in ACTIVE_STATUSES)


def test_elapsed_counts_from_the_request_and_then_from_ready() -> None:
    launching = after("begun")
    running = mark_ready(launching, url="http://x/", now=NOON + timedelta(seconds=10))
    assert instance().get_elapsed_seconds(NOON) is None
    assert launching.get_elapsed_seconds(NOON + timedelta(seconds=61.9)) == 61
    assert launching.get_elapsed_seconds(NOON - timedelta(seconds=5)) == 0
    assert running.get_elapsed_seconds(NOON + timedelta(seconds=15)) == 5


def test_a_launch_is_recorded_as_under_way() -> None:
    launch = Launch(
        id="l", session="s", project="p", username="ada", revision="r", resource_class="small", requested_at=NOON
    )
    assert (launch.outcome, launch.reason, launch.log, launch.ready_at, launch.ended_at) == (
        "launching",
        None,
        "",
        None,
        None,
    )


class AnyLife(RuleBasedStateMachine):
    """Any step at any time, as parallel requests and late events bring them."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOON
        self.instance = instance()
        self.claim: str | None = None
        self.failed = False

    def _take(self, step: Callable[..., Instance], *positional: Any, **named: Any) -> None:
        self.now += timedelta(seconds=1)
        self.instance = step(self.instance, *positional, now=self.now, **named)

    @rule(run=st.text(max_size=3), claim=st.sampled_from(["a", "b"]))
    def begun(self, run: str, claim: str) -> None:
        self._take(mark_starting, run=run, claim=claim, one_active=True)
        self.claim = self.claim or claim
        self.failed = False

    @rule(observed=st.sampled_from([*STAGE_LABELS, ObservedState.UNKNOWN]))
    def staged(self, observed: ObservedState) -> None:
        self._take(mark_stage_reached, observed)

    @rule()
    def ready(self) -> None:
        self._take(mark_ready, url="http://127.0.0.1:1/")

    @rule(why=st.sampled_from(["stopped_by_user", "stopped_by_hub"]))
    def stopping(self, why: str) -> None:
        self._take(mark_stopping, ended_reason=why)

    @rule()
    def stopped(self) -> None:
        self._take(mark_stopped)

    @precondition(lambda self: self.instance.is_active)
    @rule(reason=st.sampled_from(["crash_exit", "lost"]))
    def failed_by_itself(self, reason: str) -> None:
        self._take(mark_failed, reason=reason, message="m", advice="a")
        self.failed = True

    @rule()
    def forgotten(self) -> None:
        self._take(mark_data_deleted)
        self.claim = None
        self.failed = False

    @invariant()
    def one_of_seven(self) -> None:
        assert self.instance.status in InstanceStatus

    @invariant()
    def in_its_slot_exactly_while_active(self) -> None:
        slot = "projectaaaaa/environmenta" if self.instance.is_active else None
        assert self.instance.slot == slot

    @invariant()
    def the_volume_goes_only_when_its_data_are_deleted(self) -> None:
        assert self.instance.claim == self.claim

    @invariant()
    def failed_until_somebody_acts(self) -> None:
        assert (self.instance.status is InstanceStatus.FAILED) == self.failed

    @invariant()
    def an_address_only_while_active(self) -> None:
        assert self.instance.is_active or self.instance.url is None


TestAnyLife = AnyLife.TestCase
TestAnyLife.settings = settings(max_examples=300, stateful_step_count=30, deadline=None)
