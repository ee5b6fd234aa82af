"""What goes, when, and that nobody loses data without having been told twice, under a clock that a test moves."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from renku_spawner.domain.expiry import (
    EXPIRY_TOLERANCE,
    ExpiryRules,
    ExpiryStep,
    apply_expiry_dates,
    get_due_expiry_step,
    get_outage_duration,
    is_deletion_near,
    mark_data_expired,
    mark_deletion_failed,
    mark_owner_warned,
    mark_restored,
    mark_trashed,
    mark_warning_undelivered,
    postpone_expiry,
)
from renku_spawner.domain.instances import (
    DesiredState,
    Instance,
    ObservedState,
    mark_data_deleted,
    mark_starting,
    mark_stopped,
)

from .values import NOON, instance

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
RULES = ExpiryRules(days=60, trash_days=7)


def days(number: float) -> datetime:
    return NOON + number * DAY


def paused(now: datetime = NOON, rules: ExpiryRules = RULES, **fields: object) -> Instance:
    resting = instance(claim="claim", paused_at=now, resource_class="small", **fields)
    return apply_expiry_dates(resting, rules, now)


def told(number: int, *, on: datetime | None = None) -> Instance:
    """Paused, and told *number* times in good time."""
    state = replace(paused(), deleted_on=on) if on else paused()
    for _ in range(number):
        assert state.look_at is not None
        state = mark_owner_warned(state, state.look_at)
    return state


def test_the_whole_life_of_paused_data() -> None:
    state, seen = paused(), []
    while state.claim and len(seen) < 9:
        assert state.look_at is not None
        now = state.look_at
        step = get_due_expiry_step(state, now)
        seen.append((step, (now - NOON) / DAY))
        if step is ExpiryStep.WARN:
            state = mark_owner_warned(state, now)
        elif step is ExpiryStep.TRASH:
            state = mark_trashed(state, RULES, now)
        else:
            state = apply_expiry_dates(mark_data_deleted(mark_data_expired(state, now), now=now), RULES, now)
    assert seen == [(ExpiryStep.WARN, 57), (ExpiryStep.WARN, 59), (ExpiryStep.TRASH, 60), (ExpiryStep.DELETE, 67)]
    assert (state.ended_reason, state.look_at, state.deleted_on) == ("deleted_expired", None, None)


@pytest.mark.parametrize(
    ("rules", "resource_class", "on"),
    [
        (ExpiryRules(), "small", None),
        (ExpiryRules(days=60), "small", 60),
        (ExpiryRules(days=60, of_class={"small": 10}), "small", 10),
        (ExpiryRules(days=60, of_class={"small": 10}), "large", 60),
        (ExpiryRules(days=60, of_class={"small": 0}), "small", None),
        (ExpiryRules(of_class={"small": 10}), "small", 10),
        (ExpiryRules(of_class={"small": 10}), None, None),
    ],
)
def test_a_class_can_have_days_of_its_own(rules: ExpiryRules, resource_class: str | None, on: int | None) -> None:
    state = apply_expiry_dates(instance(claim="claim", resource_class=resource_class), rules, NOON)
    assert state.deleted_on == (None if on is None else days(on))
    assert rules.is_enabled is any([rules.days, *rules.of_class.values()])


@pytest.mark.parametrize("state", [paused(), told(1), told(2), mark_trashed(told(2), RULES, days(60))])
@pytest.mark.parametrize(
    "fields",
    [
        {"claim": None},
        {"desired": DesiredState.RUNNING, "observed": ObservedState.READY},
        {"desired": DesiredState.RUNNING, "observed": ObservedState.PULLING},
        {"desired": DesiredState.STOPPED, "observed": ObservedState.TERMINATING},
        {"desired": DesiredState.STOPPED, "observed": ObservedState.UNKNOWN},
        {"desired": DesiredState.RUNNING, "observed": ObservedState.UNKNOWN},
    ],
    ids=["no data", "running", "launching", "stopping", "unknown", "unknown, was running"],
)
def test_what_is_not_known_to_rest_never_expires(state: Instance, fields: dict[str, object]) -> None:
    other = replace(state, **fields)  # type: ignore[arg-type]
    assert apply_expiry_dates(other, RULES, days(1)).look_at is None
    for step in (mark_owner_warned, mark_warning_undelivered, mark_data_expired):
        assert step(other, days(99)).desired is not DesiredState.DELETED
    assert mark_trashed(other, RULES, days(99)).trashed_until == other.trashed_until
    assert mark_data_expired(other, days(99)) is other


def test_a_failed_one_that_has_data_expires_like_a_paused_one() -> None:
    state = paused(reason="crash_exit")
    assert (state.status, state.deleted_on) == ("failed", days(60))


@pytest.mark.parametrize("state", [told(1), told(2), mark_trashed(told(2), RULES, days(60))])
def test_who_starts_it_again_has_all_the_time_once_more(state: Instance) -> None:
    runs = mark_starting(state, run="run", claim="other", now=days(61), one_active=False)
    assert runs.claim == "claim"
    runs = apply_expiry_dates(runs, RULES, days(61))
    assert (runs.look_at, runs.deleted_on, runs.trashed_until, runs.warned) == (None, None, None, 0)
    again = apply_expiry_dates(mark_stopped(runs, now=days(62)), RULES, days(62))
    assert again.deleted_on == days(122)


def test_switching_it_on_gives_everybody_the_whole_time() -> None:
    long_paused = instance(claim="claim", paused_at=days(-400))
    assert apply_expiry_dates(long_paused, RULES, NOON).deleted_on == days(60)


@pytest.mark.parametrize("state", [paused(), told(2), mark_trashed(told(2), RULES, days(60))])
def test_switching_it_off_brings_everything_back(state: Instance) -> None:
    off = apply_expiry_dates(state, ExpiryRules(), days(61))
    assert (off.status, off.look_at, off.deleted_on, off.trashed_until) == ("paused", None, None, None)


@pytest.mark.parametrize(("longer", "on", "warned"), [(90, 90, 0), (60, 60, 1), (10, 60, 1)])
def test_other_days_move_a_date_only_to_later(longer: int, on: int, warned: int) -> None:
    state = apply_expiry_dates(told(1), ExpiryRules(days=longer), days(58))
    assert (state.deleted_on, state.warned) == (days(on), warned)


def test_shorter_days_do_not_move_what_is_in_the_trash() -> None:
    state = mark_trashed(told(2), RULES, days(60))
    assert apply_expiry_dates(state, ExpiryRules(days=4, trash_days=1), days(61)) is state


def test_a_late_warning_moves_the_date() -> None:
    first = mark_owner_warned(paused(), days(80))
    assert (first.deleted_on, first.look_at) == (days(83), days(82))
    second = mark_owner_warned(first, days(82) + 5 * HOUR)
    assert (second.deleted_on, second.look_at) == (days(83) + 5 * HOUR, days(83) + 5 * HOUR)


def test_a_warning_that_reaches_nobody_moves_the_date_and_is_tried_again() -> None:
    state = paused()
    for tries in range(1, 50):
        assert state.look_at is not None
        state = mark_warning_undelivered(state, state.look_at)
        assert (state.warned, state.look_at, state.deleted_on) == (0, days(57) + tries * HOUR, days(60) + tries * HOUR)


def test_time_in_which_nobody_could_act_does_not_count() -> None:
    assert get_outage_duration(None, NOON) == timedelta()
    assert get_outage_duration(NOON, NOON + EXPIRY_TOLERANCE) == timedelta()
    assert get_outage_duration(NOON, days(2)) == 2 * DAY
    state = postpone_expiry(told(2), 2 * DAY)
    assert (state.deleted_on, state.look_at) == (days(62), days(62))
    state = postpone_expiry(mark_trashed(told(2), RULES, days(60)), 2 * DAY)
    assert (state.trashed_until, state.look_at) == (days(69), days(69))


def test_what_comes_back_from_the_trash_is_paused_as_before() -> None:
    state = mark_restored(mark_trashed(told(2), RULES, days(60)), RULES, days(66))
    assert (state.status, state.claim, state.deleted_on, state.warned) == ("paused", "claim", days(126), 0)
    assert mark_restored(state, RULES, days(67)) is state


def test_a_deletion_that_fails_is_tried_again_and_stays_wanted() -> None:
    state = mark_data_expired(mark_trashed(told(2), RULES, days(60)), days(67))
    assert (state.desired, state.ended_reason) == (DesiredState.DELETED, "deleted_expired")
    again = mark_deletion_failed(apply_expiry_dates(state, RULES, days(67)), days(67))
    assert again.look_at == days(67) + HOUR
    assert get_due_expiry_step(again, days(68)) is ExpiryStep.DELETE


def test_its_owner_is_warned_on_pages_three_days_before() -> None:
    state = paused()
    assert [is_deletion_near(state, days(n)) for n in (0, 56.9, 57, 59.9)] == [False, False, True, True]
    assert not is_deletion_near(mark_trashed(told(2), RULES, days(60)), days(60))
    assert not is_deletion_near(instance(), NOON)


class Months(RuleBasedStateMachine):
    """Rounds, outages, owners, admins and a post that fails, in any order, over months."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.well = NOON
        self.rules = RULES
        self.state = paused()
        self.promised: datetime | None = self.state.deleted_on
        self.told: list[datetime] = []  # when the owner was told since it was paused
        self.usable = timedelta()  # since it went into the trash, time in which it could be brought back

    @rule(hours=st.integers(1, 24 * 30))
    def the_hub_is_up_for(self, hours: int) -> None:
        end = self.now + hours * HOUR
        while self.now < end:
            assert self.state.look_at is not None
            self._passes(min(end, max(self.state.look_at, self.now + HOUR / 60)) - self.now)
            self._round()

    @rule(hours=st.integers(1, 24 * 5))
    def nobody_can_act_for(self, hours: int) -> None:
        self.now += hours * HOUR
        self._round(gone=True)

    @rule()
    def the_post_fails(self) -> None:
        self._passes(HOUR / 2)
        self._round(post=False)

    @rule(days=st.sampled_from([4, 10, 60, 90]), trash_days=st.sampled_from([1, 7]))
    def an_admin_sets(self, days: int, trash_days: int) -> None:
        self.rules = ExpiryRules(days=days, trash_days=trash_days)
        self._put(apply_expiry_dates(self.state, self.rules, self.now))

    @precondition(lambda self: self.state.trashed_until)
    @rule()
    def it_is_brought_back(self) -> None:
        self._begins_anew()
        self._put(mark_restored(self.state, self.rules, self.now))

    @rule()
    def its_owner_runs_it(self) -> None:
        runs = mark_starting(self.state, run="run", claim="claim", now=self.now, one_active=False)
        self._begins_anew()
        runs = apply_expiry_dates(runs, self.rules, self.now)
        self._put(apply_expiry_dates(mark_stopped(runs, now=self.now), self.rules, self.now))

    def _begins_anew(self) -> None:
        self.promised, self.told, self.usable = None, [], timedelta()

    def _passes(self, time: timedelta) -> None:
        self.now += time
        self.usable += time if self.state.trashed_until else timedelta()

    def _was_told_in_time(self) -> None:
        assert len(self.told) >= 2
        first, last = self.told[-2:]
        assert self.now - first >= 3 * DAY - EXPIRY_TOLERANCE
        assert self.now - last >= DAY - EXPIRY_TOLERANCE

    def _round(self, *, post: bool = True, gone: bool = False) -> None:
        lost = get_outage_duration(self.well if gone else self.now, self.now)
        self.well = self.now
        if lost and self.state.warned:
            self._put(postpone_expiry(self.state, lost))
        self._takes(get_due_expiry_step(self.state, self.now), post=post)

    def _takes(self, step: ExpiryStep | None, *, post: bool) -> None:
        if step is ExpiryStep.WARN:
            if post:
                self.told.append(self.now)
            self._put((mark_owner_warned if post else mark_warning_undelivered)(self.state, self.now))
        elif step is ExpiryStep.TRASH:
            self._was_told_in_time()
            self.usable = timedelta()
            self._put(mark_trashed(self.state, self.rules, self.now))
        elif step is ExpiryStep.DELETE:
            assert self.usable >= DAY  # the shortest of the trash times
            gone = mark_data_deleted(mark_data_expired(self.state, self.now), now=self.now)
            self._begins_anew()
            new = replace(apply_expiry_dates(gone, self.rules, self.now), claim="claim")  # somebody makes new data
            self._put(apply_expiry_dates(new, self.rules, self.now))

    def _put(self, new: Instance) -> None:
        self.state = new
        if self.promised is not None and new.deleted_on is not None:
            assert new.deleted_on >= self.promised
        self.promised = new.deleted_on

    @invariant()
    def it_is_always_looked_at_again(self) -> None:
        assert self.state.look_at is not None


Months.TestCase.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
TestMonths = Months.TestCase
