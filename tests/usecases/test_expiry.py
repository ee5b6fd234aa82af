"""Months of rounds under a clock that the test moves: who is told, what goes, and what stays when something is away."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from renku_spawner.context.app_context import AppContext, read_transaction, write_transaction
from renku_spawner.domain.errors import UnavailableError
from renku_spawner.domain.expiry import ExpiryRules
from renku_spawner.domain.instances import DesiredState, Instance
from renku_spawner.domain.notifications import ExpiryNotification, NotificationNotDeliveredError
from renku_spawner.domain.policy import HubPolicy
from renku_spawner.domain.sessions import Session
from renku_spawner.jobs.expiry import ExpiryJob
from renku_spawner.lifecycle.runs import load_instance, record_data_deleted, record_stopped, request_stop
from tests.persistence.made import environment, project, session, started

from .conftest import NOW

DAY = timedelta(days=1)


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Hub:
    """What the hub does: here it only remembers."""

    parts: AppContext
    page: str | None = "https://hub.example.org/hub/renku/sessions"
    away: bool = False
    busy: bool = False
    gone: set[str] = field(default_factory=set)
    deleted: list[tuple[str, str]] = field(default_factory=list)

    def has_user(self, username: str) -> bool:
        return username not in self.gone

    async def is_healthy(self) -> bool:
        return not self.away

    async def delete_data(self, username: str, session_id: str) -> None:
        if self.busy:
            raise UnavailableError("The cluster does not answer.")
        self.deleted.append((username, session_id))
        await record_data_deleted(self.parts, username, session_id)


@dataclass
class Post:
    """Keeps its letters, or loses them."""

    letters: list[ExpiryNotification] = field(default_factory=list)
    away: bool = False

    async def send(self, letter: ExpiryNotification) -> None:
        if self.away:
            raise NotificationNotDeliveredError("The post is away.")
        self.letters.append(letter)

    async def close(self) -> None:
        """Nothing to close."""


@dataclass
class House:
    """A hub with one session, in which people have data."""

    parts: AppContext
    clock: Clock
    hub: Hub
    post: Post
    session: Session
    rounds: ExpiryJob

    async def pauses(self, *people: str) -> None:
        for name in people:
            await write_transaction(self.parts, lambda tx, name=name: started(tx, self.session, name))  # type: ignore[misc]
            await request_stop(self.parts, name, self.session.id, ended_reason="stopped_by_user")
            await record_stopped(self.parts, name, self.session.id)

    async def of(self, name: str) -> Instance:
        found = await load_instance(self.parts, name, self.session.id)
        assert found is not None
        return found

    async def days(self, number: float, *, step: timedelta = timedelta(minutes=20)) -> None:
        """So much time passes, with a round every now and then."""
        end = self.clock.now + number * DAY
        while self.clock.now < end:
            self.clock.now += min(step, end - self.clock.now)
            await self.rounds.run_once()

    def sleeps(self, number: float) -> None:
        """The hub is away."""
        self.clock.now += number * DAY

    def restarts(self, **rules: int) -> None:
        """With other settings."""
        policy = replace(self.parts.policy, expiry=ExpiryRules(**rules))
        self.parts = self.hub.parts = replace(self.parts, policy=policy)
        self.rounds = ExpiryJob(self.parts, self.hub)

    async def audited(self) -> list[str]:
        return [event.action for event in await read_transaction(self.parts, lambda tx: tx.audit.list_recent(50))]


@pytest.fixture
async def house(parts: AppContext) -> Callable[..., House]:
    def make(*, post: bool = False, **rules: int) -> House:
        clock, sent = Clock(), Post()
        policy = HubPolicy(expiry=ExpiryRules(**rules))
        whole = replace(parts, policy=policy, now=clock, notification_channels=(sent,) if post else ())
        with parts.db.write() as tx:
            made = session(tx, project(tx), environment(tx))
        hub = Hub(whole)
        return House(whole, clock, hub, sent, made, ExpiryJob(whole, hub))

    return make


async def test_paused_data_go_after_two_warnings_and_a_time_in_the_trash(house) -> None:
    here = house(days=5, trash_days=2, post=True)
    await here.pauses("ada", "bob")
    await here.days(2.1)
    assert [letter.username for letter in here.post.letters] == ["ada", "bob"]
    assert here.post.letters[0].warnings[0].deleted_on == NOW + 5 * DAY
    await here.days(2)
    assert (len(here.post.letters), (await here.of("ada")).warned) == (4, 2)
    await write_transaction(here.parts, lambda tx: started(tx, here.session, "bob"))  # who resumes it
    await here.days(1)
    trashed = await here.of("ada")
    assert (trashed.status, trashed.claim is not None) == ("paused", True)
    assert trashed.trashed_until is not None
    assert timedelta() <= trashed.trashed_until - (NOW + 7 * DAY) < timedelta(hours=1)
    await here.days(2)
    gone = await here.of("ada")
    assert here.hub.deleted == [("ada", here.session.id)]
    assert (gone.status, gone.ended_reason, gone.look_at) == ("inactive", "deleted_expired", None)
    assert (await here.of("bob")).claim is not None
    assert await here.audited() == ["deleted expired data", "put data in the trash"]


async def test_one_letter_tells_a_person_of_all_their_sessions(house) -> None:
    here = house(days=5, post=True)
    await here.pauses("ada")
    with here.parts.db.write() as tx:
        here.session = session(tx, project(tx, "ada/rivers"), environment(tx, "R"), "Rivers")
    await here.pauses("ada")
    await here.days(2.1)
    (letter,) = here.post.letters
    assert sorted(each.title for each in letter.warnings) == ["Analysis", "Rivers"]
    assert letter.page == here.hub.page
    assert len({each.id for each in letter.warnings}) == 2


async def test_without_the_setting_nothing_ever_happens(house) -> None:
    here = house(post=True)
    await here.pauses("ada")
    await here.days(400, step=timedelta(days=1))
    kept = await here.of("ada")
    assert (kept.deleted_on, kept.status, here.post.letters, here.hub.deleted) == (None, "paused", [], [])


async def test_switching_it_on_gives_what_was_paused_for_long_the_whole_time(house) -> None:
    here = house(post=True)
    await here.pauses("ada")
    here.sleeps(400)
    here.restarts(days=5)
    await here.rounds.run_once()
    assert (await here.of("ada")).deleted_on == NOW + 405 * DAY
    here.restarts(days=90)
    await here.rounds.run_once()
    assert (await here.of("ada")).deleted_on == NOW + 490 * DAY
    here.restarts(days=4)
    await here.rounds.run_once()
    assert (await here.of("ada")).deleted_on == NOW + 490 * DAY


async def test_switching_it_off_brings_back_what_is_in_the_trash(house) -> None:
    here = house(days=4)
    await here.pauses("ada")
    await here.days(4.1)
    assert (await here.of("ada")).trashed_until is not None
    here.restarts()
    await here.days(40, step=timedelta(days=1))
    kept = await here.of("ada")
    assert (kept.trashed_until, kept.deleted_on, kept.claim is not None) == (None, None, True)


async def test_while_the_hub_was_away_nobody_was_warned_so_that_the_dates_move(house) -> None:
    here = house(days=5, trash_days=2, post=True)
    await here.pauses("ada")
    here.sleeps(30)
    here.restarts(days=5, trash_days=2)
    await here.rounds.run_once()
    assert ((await here.of("ada")).deleted_on, len(here.post.letters)) == (NOW + 33 * DAY, 1)
    await here.days(2.5)
    here.sleeps(10)
    await here.days(0.1)
    again = await here.of("ada")
    assert (again.warned, again.trashed_until) == (2, None)
    assert again.deleted_on is not None
    assert again.deleted_on >= NOW + 43 * DAY
    await here.days(0.6)
    assert (await here.of("ada")).trashed_until is not None
    here.sleeps(30)
    await here.days(0.1)
    assert here.hub.deleted == []
    await here.days(2)
    assert here.hub.deleted == [("ada", here.session.id)]


async def test_while_gitlab_or_the_cluster_is_away_nothing_happens_and_the_time_does_not_count(house) -> None:
    here = house(days=5, trash_days=2, post=True)
    await here.pauses("ada")
    here.hub.away = True
    await here.days(9)
    assert ((await here.of("ada")).warned, here.post.letters) == (0, [])
    here.hub.away = False
    await here.days(3.1)
    assert (await here.of("ada")).trashed_until is not None
    here.hub.away = True
    await here.days(9)
    here.hub.away = False
    await here.days(1)
    assert here.hub.deleted == []
    await here.days(1)
    assert here.hub.deleted == [("ada", here.session.id)]


async def test_a_warning_that_cannot_be_delivered_delays_what_it_announces(house) -> None:
    here = house(days=5, trash_days=2, post=True)
    await here.pauses("ada")
    here.post.away = True
    await here.days(9)
    state = await here.of("ada")
    assert (state.warned, state.trashed_until) == (0, None)
    assert state.deleted_on is not None
    assert state.deleted_on > here.clock.now + 3 * DAY - timedelta(hours=1)
    here.post.away = False
    await here.days(2.9)
    assert [len(here.post.letters), (await here.of("ada")).trashed_until] == [2, None]
    await here.days(0.3)
    assert (await here.of("ada")).trashed_until is not None


async def test_a_deletion_that_fails_is_seen_through_later(house) -> None:
    here = house(days=4, trash_days=1)
    await here.pauses("ada")
    await here.days(4.1)
    here.hub.busy = True
    await here.days(2)
    assert ((await here.of("ada")).desired, here.hub.deleted) == (DesiredState.DELETED, [])
    here.hub.busy = False
    await here.days(0.1)
    assert ((await here.of("ada")).ended_reason, len(here.hub.deleted)) == ("deleted_expired", 1)


async def test_whoever_the_hub_does_not_know_cannot_be_told_and_loses_nothing(house) -> None:
    here = house(days=4, trash_days=1, post=True)
    await here.pauses("ada")
    here.hub.gone = {"ada"}
    await here.days(10, step=timedelta(hours=1))
    state = await here.of("ada")
    assert (state.warned, state.claim is not None, here.post.letters) == (0, True, [])
