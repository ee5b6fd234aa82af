"""The rounds under a fake clock: what they do, and what they leave alone, whatever happens to the hub."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from renku_spawner.domain.errors import Unavailable
from renku_spawner.domain.idle_rules import IdleRules
from renku_spawner.domain.instance import Instance, Observed, Status
from renku_spawner.domain.policy import Policy
from renku_spawner.services import idling, instances, rounds, runs, use
from renku_spawner.services.hearing import Hearing
from renku_spawner.services.parts import Parts, write
from renku_spawner.store.database import Database

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
    cores: dict[tuple[str, str], float] | Unavailable | None = None
    asked: int = 0
    away: bool = False
    stopped: list[str] = field(default_factory=list)

    @property
    def parts(self) -> Parts:
        return self.house.parts

    def used(self, instance: Instance) -> datetime | None:
        return self.uses.get(instance.session)

    async def processors(self) -> dict[tuple[str, str], float] | None:
        self.asked += 1
        if isinstance(self.cores, Unavailable):
            raise self.cores
        return self.cores

    async def pause(self, instance: Instance) -> None:
        if self.away:
            raise Unavailable("The cluster does not answer.")
        self.stopped.append(instance.session)
        await runs.stopped(self.parts, instance.username, instance.session)

    async def passes(self, minutes: float) -> None:
        """Time goes by, with a round each minute."""
        for _ in range(int(minutes)):
            self.clock += MINUTE
            await rounds.once(self.parts, self.clock, self)

    def restarted(self) -> None:
        """Another process takes over: nothing is left but what is stored."""
        self.house.parts = replace(self.parts, hearing=Hearing())

    async def runs(self, image: str = "quay.io/rounds/a:1") -> str:
        session = await self.house.ready_made(image)
        begun = await runs.begin(self.parts, await instances.prepare(self.parts, ADA, session.id))
        assert await runs.ready(self.parts, begun, "http://127.0.0.1:1")
        return session.id

    async def now(self, session: str) -> Instance:
        found = await runs.recorded(self.parts, "ada", session)
        assert found
        return found

    async def status(self, session: str) -> Status:
        return (await self.now(session)).status

    async def pauses_in(self, session: str) -> float | None:
        """Minutes."""
        found = idling.outlook(self.parts, await self.now(session))
        return found and (found.at - self.clock) / MINUTE


@pytest.fixture
def world(house: House) -> World:
    made = World(house=house)
    house.parts = replace(house.parts, policy=Policy(classes=(CLASS,), idle=RULES), now=lambda: made.clock)
    return made


async def test_what_nobody_uses_is_warned_of_and_paused_and_says_why(world: World) -> None:
    session = await world.runs()
    with world.parts.news.subscribe("ada") as news:
        await world.passes(49)
        assert await news.get(0.01) == [], "pages hear nothing before"
        await world.passes(1)
        assert await news.get(0.01) == [session], "open pages hear of it"
        assert idling.is_warned(world.parts, await world.now(session))
        assert await world.pauses_in(session) == 10
        await world.passes(9)
        assert await world.status(session) is Status.RUNNING
        await world.passes(1)
        assert await news.get(0.01) == [session]
    found = await world.now(session)
    assert (found.status, found.ended_reason, found.due_at) == (Status.PAUSED, "culled_idle", None)
    assert found.message == "Paused after 1 h without activity (signals: what its server tells)."
    assert world.stopped == [session]


async def test_use_moves_it_on_also_when_only_the_hub_has_heard_of_it(world: World) -> None:
    session = await world.runs()
    await world.passes(30)
    await use.used(world.parts, await world.now(session), world.clock)
    await world.passes(55)
    assert idling.is_warned(world.parts, await world.now(session))
    world.uses[session] = world.clock
    await world.passes(50)
    assert await world.status(session) is Status.RUNNING
    await world.passes(15)
    assert await world.status(session) is Status.PAUSED


async def test_whoever_works_again_after_a_warning_reads_it_no_more(world: World) -> None:
    session = await world.runs()
    await world.passes(55)
    with world.parts.news.subscribe("ada") as news:
        await use.used(world.parts, await world.now(session), world.clock)
        assert await news.get(0.01) == [session]
    assert not idling.is_warned(world.parts, await world.now(session))


async def unseen(world: World, session: str) -> None:
    await runs.sighted(world.parts, await world.now(session), seen=False)


async def reported(world: World, session: str) -> None:
    old = await world.now(session)
    await write(world.parts, lambda tx: tx.instances.save(old, replace(old, reported_at=world.clock)))


async def proxy_away(world: World, session: str) -> None:
    world.parts.hearing.expect("traffic", 3 * MINUTE)


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
        world.parts.hearing.hear("traffic", world.clock)
        await world.passes(1)
        assert await world.pauses_in(session) == 10 - minutes or minutes == 10
    assert (await world.now(session)).message == "Paused after 5 h 10 min without activity (signals: traffic)."


async def test_after_it_was_out_of_sight_it_is_warned_of_first(world: World) -> None:
    session = await world.runs()
    await unseen(world, session)
    await world.passes(300)
    await runs.sighted(world.parts, await world.now(session), seen=True)
    await world.passes(9)
    assert await world.status(session) is Status.RUNNING
    await world.passes(7)
    assert await world.status(session) is Status.PAUSED


@pytest.mark.parametrize("hours", [-5, 5, 24 * 60], ids=["back", "forward", "two months"])
@pytest.mark.parametrize("killed", [True, False], ids=["restarted", "clock"])
async def test_no_gap_is_taken_for_idleness(world: World, hours: int, *, killed: bool) -> None:
    session = await world.runs()
    await world.passes(55)
    if killed:
        world.restarted()
    world.clock += timedelta(hours=hours)
    await world.passes(9)
    assert await world.status(session) is Status.RUNNING, "warned anew"
    await world.passes(10 if hours > 0 else 5 * 60 + 10)
    assert await world.status(session) is Status.PAUSED


async def test_a_hub_that_ends_after_it_said_that_it_pauses_sees_it_through(world: World) -> None:
    session, world.away = await world.runs(), True
    await world.passes(60)
    assert (await world.status(session), world.stopped) == (Status.STOPPING, [])
    world.restarted()
    world.away = False
    await world.passes(6)
    found = await world.now(session)
    assert (found.status, found.ended_reason, world.stopped) == (Status.PAUSED, "culled_idle", [session])


async def test_a_database_that_is_away_for_long_is_a_gap(world: World) -> None:
    session = await world.runs()
    await world.passes(55)
    there, world.house.parts = world.parts, replace(world.parts, db=Database("sqlite:////nowhere/x"))
    for _ in range(9):
        with pytest.raises(OperationalError):
            await world.passes(1)
    world.house.parts = there
    await world.passes(9)
    assert await world.status(session) is Status.RUNNING
    await world.passes(3)
    assert await world.status(session) is Status.PAUSED


async def test_two_hubs_pause_it_once(world: World) -> None:
    session = await world.runs()
    await world.passes(59)
    other = World(house=House(parts=replace(world.parts, hearing=world.parts.hearing), clients=[]), clock=world.clock)
    await world.passes(1)
    await other.passes(1)
    assert (world.stopped, other.stopped) == ([session], [])


async def test_what_is_used_just_now_is_not_paused(world: World) -> None:
    session = await world.runs()
    await world.passes(59)

    class Late(World):
        def used(self, instance: Instance) -> datetime | None:
            """Its owner comes back between our look and our act."""
            with world.parts.db.write() as tx:
                tx.instances.touch(session, "ada", self.clock)
            return None

    late = Late(house=world.house, clock=world.clock)
    await late.passes(1)
    assert await late.status(session) is Status.RUNNING
    assert late.stopped == []


async def test_what_never_pauses_is_not_looked_at_again(world: World) -> None:
    world.house.parts = replace(world.parts, policy=replace(world.parts.policy, idle=IdleRules(pause=0)))
    session = await world.runs()
    await world.passes(3)
    found = await world.now(session)
    assert (found.due_at, found.observed) == (None, Observed.READY)


BUSY_RULES = replace(RULES, processor=0.1)


def measured(world: World, rules: IdleRules = BUSY_RULES) -> None:
    world.house.parts = replace(world.parts, policy=replace(world.parts.policy, idle=rules))


async def test_what_calculates_silently_for_hours_is_not_paused_and_then_says_what_was_heard(world: World) -> None:
    measured(world)
    session = await world.runs()
    world.cores = {("ada", session): 0.98}
    await world.passes(300)
    assert (await world.status(session), await world.pauses_in(session)) == (Status.RUNNING, 60)
    assert world.asked == 300
    world.cores = {("ada", session): 0.1}
    await world.passes(59)
    assert await world.status(session) is Status.RUNNING
    await world.passes(1)
    assert (await world.now(session)).message == "Paused after 1 h without activity (signals: processor)."


async def test_pages_that_warned_hear_that_it_calculates_again(world: World) -> None:
    measured(world)
    session = await world.runs()
    world.cores = {("ada", session): 0.0}
    await world.passes(55)
    assert idling.is_warned(world.parts, await world.now(session))
    with world.parts.news.subscribe("ada") as news:
        world.cores = {("ada", session): 4.0}
        await world.passes(1)
        assert await news.get(0.01) == [session]
        assert not idling.is_warned(world.parts, await world.now(session))
        await world.passes(3)
        assert await news.get(0.01) == [], "once is enough"


@pytest.mark.parametrize("cores", [None, {}, Unavailable("it does not answer.")])
async def test_where_nobody_tells_what_processors_do_all_is_as_without_them(
    world: World, cores: Any, caplog: pytest.LogCaptureFixture
) -> None:
    measured(world)
    session = await world.runs()
    world.cores = cores
    await world.passes(60)
    message = (await world.now(session)).message
    assert message == "Paused after 1 h without activity (signals: what its server tells)."
    said = [record.message for record in caplog.records if "processors" in record.message]
    away = isinstance(cores, Unavailable)
    assert said == ["What sessions use of processors does not count as use: it does not answer."] * away
    assert world.asked == (6 if away else 60), "who does not answer is asked more rarely"


async def test_a_hub_that_counts_no_processors_asks_nobody(world: World) -> None:
    await world.runs()
    await world.passes(2)
    assert world.asked == 0


async def test_a_start_that_works_hard_has_not_been_used(world: World) -> None:
    """What was never ready holds nobody's work."""
    measured(world)
    session = await world.house.ready_made("quay.io/rounds/b:1")
    begun = await runs.begin(world.parts, await instances.prepare(world.parts, ADA, session.id))
    world.cores = {("ada", session.id): 3.0}
    await world.passes(1)
    assert (await world.now(session.id)).last_activity is None
    await runs.ready(world.parts, begun, "http://127.0.0.1:1")
    await world.passes(1)
    assert (await world.now(session.id)).last_activity == world.clock
