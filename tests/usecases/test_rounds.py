"""The rounds under a fake clock: what they do, and what they leave alone, whatever happens to the hub."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from renku_spawner.context.activity_sources import ActivitySources
from renku_spawner.context.app_context import AppContext, write_transaction
from renku_spawner.domain.errors import UnavailableError
from renku_spawner.domain.instances import Instance, InstanceStatus, ObservedState
from renku_spawner.domain.policy import HubPolicy, IdleRules
from renku_spawner.jobs.idle import run_idle_check
from renku_spawner.lifecycle.runs import load_instance, record_observation, record_ready, record_stopped, request_start
from renku_spawner.persistence.database import Database
from renku_spawner.usecases.idle import has_pause_warning, predict_pause, record_activity
from renku_spawner.usecases.instances import prepare_launch_spec

from .conftest import NOW
from .test_pins import ADA, CLASS, House, house

__all__ = ["house"]

MINUTE = timedelta(minutes=1)
RULES = IdleRules(pause=3600, warning=600, run_max=0)


@dataclass
class World:
    """A hub and its clock. The hub stops what it is told to; it has heard of no use but what is in `uses`."""

    house: House
    clock: datetime = NOW
    uses: dict[str, datetime] = field(default_factory=dict)
    cores: dict[tuple[str, str], float] | UnavailableError | None = None
    asked: int = 0
    away: bool = False
    stopped: list[str] = field(default_factory=list)

    @property
    def parts(self) -> AppContext:
        return self.house.parts

    def get_last_activity(self, instance: Instance) -> datetime | None:
        return self.uses.get(instance.session)

    async def load_processor_usage(self) -> dict[tuple[str, str], float] | None:
        self.asked += 1
        if isinstance(self.cores, UnavailableError):
            raise self.cores
        return self.cores

    async def pause_instance(self, instance: Instance) -> None:
        if self.away:
            raise UnavailableError("The cluster does not answer.")
        self.stopped.append(instance.session)
        await record_stopped(self.parts, instance.username, instance.session)

    async def passes(self, minutes: float) -> None:
        """Time goes by, with a round each minute."""
        for _ in range(int(minutes)):
            self.clock += MINUTE
            await run_idle_check(self.parts, self.clock, self)

    def restarted(self) -> None:
        """Another process takes over: nothing is left but what is stored."""
        self.house.parts = replace(self.parts, activity_sources=ActivitySources())

    async def runs(self, image: str = "quay.io/rounds/a:1") -> str:
        session = await self.house.ready_made(image)
        begun = await request_start(self.parts, await prepare_launch_spec(self.parts, ADA, session.id))
        assert await record_ready(self.parts, begun, "http://127.0.0.1:1")
        return session.id

    async def now(self, session: str) -> Instance:
        found = await load_instance(self.parts, "ada", session)
        assert found
        return found

    async def status(self, session: str) -> InstanceStatus:
        return (await self.now(session)).status

    async def pauses_in(self, session: str) -> float | None:
        """Minutes."""
        found = predict_pause(self.parts, await self.now(session))
        return found and (found.at - self.clock) / MINUTE


@pytest.fixture
def world(house: House) -> World:
    made = World(house=house)
    house.parts = replace(house.parts, policy=HubPolicy(classes=(CLASS,), idle=RULES), now=lambda: made.clock)
    return made


async def test_what_nobody_uses_is_warned_of_and_paused_and_says_why(world: World) -> None:
    session = await world.runs()
    with world.parts.event_bus.subscribe("ada") as news:
        await world.passes(49)
        assert await news.wait_for_changes(0.01) == [], "pages hear nothing before"
        await world.passes(1)
        assert await news.wait_for_changes(0.01) == [session], "open pages hear of it"
        assert has_pause_warning(world.parts, await world.now(session))
        assert await world.pauses_in(session) == 10
        await world.passes(9)
        assert await world.status(session) is InstanceStatus.RUNNING
        await world.passes(1)
        assert await news.wait_for_changes(0.01) == [session]
    found = await world.now(session)
    assert (found.status, found.ended_reason, found.due_at) == (InstanceStatus.PAUSED, "culled_idle", None)
    assert found.message == "Paused after 1 h without activity (signals: reports of its server)."
    assert world.stopped == [session]


async def test_use_moves_it_on_also_when_only_the_hub_has_heard_of_it(world: World) -> None:
    session = await world.runs()
    await world.passes(30)
    await record_activity(world.parts, await world.now(session), world.clock)
    await world.passes(55)
    assert has_pause_warning(world.parts, await world.now(session))
    world.uses[session] = world.clock
    await world.passes(50)
    assert await world.status(session) is InstanceStatus.RUNNING
    await world.passes(15)
    assert await world.status(session) is InstanceStatus.PAUSED


async def test_whoever_works_again_after_a_warning_reads_it_no_more(world: World) -> None:
    session = await world.runs()
    await world.passes(55)
    with world.parts.event_bus.subscribe("ada") as news:
        await record_activity(world.parts, await world.now(session), world.clock)
        assert await news.wait_for_changes(0.01) == [session]
    assert not has_pause_warning(world.parts, await world.now(session))


async def unseen(world: World, session: str) -> None:
    await record_observation(world.parts, await world.now(session), seen=False)


async def reported(world: World, session: str) -> None:
    old = await world.now(session)
    await write_transaction(world.parts, lambda tx: tx.instances.save(old, replace(old, reported_at=world.clock)))


async def proxy_away(world: World, session: str) -> None:
    world.parts.activity_sources.register_source("traffic", 3 * MINUTE)


@pytest.mark.parametrize("happens", [unseen, reported, proxy_away])
async def test_of_what_nobody_knows_nothing_is_paused(world: World, happens: Any) -> None:
    session = await world.runs()
    await world.passes(20)
    await happens(world, session)
    await world.passes(300)
    assert (await world.now(session)).desired == "running"
    assert await world.pauses_in(session) is None


async def test_after_the_proxy_was_away_everybody_is_warned_first(world: World) -> None:
    session = await world.runs()
    await proxy_away(world, session)
    await world.passes(300)
    for minutes in range(1, 11):
        world.parts.activity_sources.record_signal("traffic", world.clock)
        await world.passes(1)
        assert await world.pauses_in(session) == 10 - minutes or minutes == 10
    assert (await world.now(session)).message == "Paused after 5 h 10 min without activity (signals: traffic)."


async def test_after_it_was_out_of_sight_it_is_warned_of_first(world: World) -> None:
    session = await world.runs()
    await unseen(world, session)
    await world.passes(300)
    await record_observation(world.parts, await world.now(session), seen=True)
    await world.passes(9)
    assert await world.status(session) is InstanceStatus.RUNNING
    await world.passes(7)
    assert await world.status(session) is InstanceStatus.PAUSED


@pytest.mark.parametrize("hours", [-5, 5, 24 * 60], ids=["back", "forward", "two months"])
@pytest.mark.parametrize("killed", [True, False], ids=["restarted", "clock"])
async def test_no_gap_is_taken_for_idleness(world: World, hours: int, *, killed: bool) -> None:
    session = await world.runs()
    await world.passes(55)
    if killed:
        world.restarted()
    world.clock += timedelta(hours=hours)
    await world.passes(9)
    assert await world.status(session) is InstanceStatus.RUNNING, "warned anew"
    await world.passes(10 if hours > 0 else 5 * 60 + 10)
    assert await world.status(session) is InstanceStatus.PAUSED


async def test_a_pause_that_failed_is_on_record_and_left_to_the_reconciler(world: World) -> None:
    session, world.away = await world.runs(), True
    await world.passes(60)
    assert (await world.status(session), world.stopped) == (InstanceStatus.STOPPING, [])
    world.restarted()
    world.away = False
    await world.passes(6)
    found = await world.now(session)
    assert (found.status, found.ended_reason, world.stopped) == (InstanceStatus.STOPPING, "culled_idle", [])
    assert found.due_at is None


async def test_a_database_that_is_away_for_long_is_a_gap(world: World) -> None:
    session = await world.runs()
    await world.passes(55)
    there, world.house.parts = world.parts, replace(world.parts, db=Database("sqlite:////nowhere/x"))
    for _ in range(9):
        with pytest.raises(OperationalError):
            await world.passes(1)
    world.house.parts = there
    await world.passes(9)
    assert await world.status(session) is InstanceStatus.RUNNING
    await world.passes(3)
    assert await world.status(session) is InstanceStatus.PAUSED


async def test_two_hubs_pause_it_once(world: World) -> None:
    session = await world.runs()
    await world.passes(59)
    other = World(
        house=House(parts=replace(world.parts, activity_sources=world.parts.activity_sources), clients=[]),
        clock=world.clock,
    )
    await world.passes(1)
    await other.passes(1)
    assert (world.stopped, other.stopped) == ([session], [])


async def test_what_is_used_just_now_is_not_paused(world: World) -> None:
    session = await world.runs()
    await world.passes(59)

    class Late(World):
        def get_last_activity(self, instance: Instance) -> datetime | None:
            """Its owner comes back between our look and our act."""
            with world.parts.db.write() as tx:
                tx.instances.update_last_activity(session, "ada", self.clock)
            return None

    late = Late(house=world.house, clock=world.clock)
    await late.passes(1)
    assert await late.status(session) is InstanceStatus.RUNNING
    assert late.stopped == []


async def test_what_never_pauses_is_not_looked_at_again(world: World) -> None:
    world.house.parts = replace(world.parts, policy=replace(world.parts.policy, idle=IdleRules(pause=0)))
    session = await world.runs()
    await world.passes(3)
    found = await world.now(session)
    assert (found.due_at, found.observed) == (None, ObservedState.READY)


BUSY_RULES = replace(RULES, processor=0.1)


def measured(world: World, rules: IdleRules = BUSY_RULES) -> None:
    world.house.parts = replace(world.parts, policy=replace(world.parts.policy, idle=rules))


async def test_what_calculates_silently_for_hours_is_not_paused_and_then_says_what_was_heard(world: World) -> None:
    measured(world)
    session = await world.runs()
    world.cores = {("ada", session): 0.98}
    await world.passes(300)
    assert (await world.status(session), await world.pauses_in(session)) == (InstanceStatus.RUNNING, 60)
    assert world.asked == 300
    world.cores = {("ada", session): 0.1}
    await world.passes(59)
    assert await world.status(session) is InstanceStatus.RUNNING
    await world.passes(1)
    assert (await world.now(session)).message == "Paused after 1 h without activity (signals: processor)."


async def test_pages_that_warned_hear_that_it_calculates_again(world: World) -> None:
    measured(world)
    session = await world.runs()
    world.cores = {("ada", session): 0.0}
    await world.passes(55)
    assert has_pause_warning(world.parts, await world.now(session))
    with world.parts.event_bus.subscribe("ada") as news:
        world.cores = {("ada", session): 4.0}
        await world.passes(1)
        assert await news.wait_for_changes(0.01) == [session]
        assert not has_pause_warning(world.parts, await world.now(session))
        await world.passes(3)
        assert await news.wait_for_changes(0.01) == [], "once is enough"


@pytest.mark.parametrize("cores", [None, {}, UnavailableError("it does not answer.")])
async def test_where_nobody_tells_what_processors_do_all_is_as_without_them(
    world: World, cores: Any, caplog: pytest.LogCaptureFixture
) -> None:
    measured(world)
    session = await world.runs()
    world.cores = cores
    await world.passes(60)
    message = (await world.now(session)).message
    assert message == "Paused after 1 h without activity (signals: reports of its server)."
    said = [record.message for record in caplog.records if "CPU use" in record.message]
    away = isinstance(cores, UnavailableError)
    assert said == ["Failed to read CPU use of sessions, ignoring it as activity: it does not answer."] * away
    assert world.asked == (6 if away else 60), "who does not answer is asked more rarely"


async def test_a_hub_that_counts_no_processors_asks_nobody(world: World) -> None:
    await world.runs()
    await world.passes(2)
    assert world.asked == 0


async def test_a_start_that_works_hard_has_not_been_used(world: World) -> None:
    """What was never ready holds nobody's work."""
    measured(world)
    session = await world.house.ready_made("quay.io/rounds/b:1")
    begun = await request_start(world.parts, await prepare_launch_spec(world.parts, ADA, session.id))
    world.cores = {("ada", session.id): 3.0}
    await world.passes(1)
    assert (await world.now(session.id)).last_activity is None
    await record_ready(world.parts, begun, "http://127.0.0.1:1")
    await world.passes(1)
    assert (await world.now(session.id)).last_activity == world.clock
