"""B12: one round over 5000 sessions that run, among 100,000 that are stored; data of all that are paused expire."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from sqlalchemy import insert, select

from renku_spawner.context.activity_sources import ActivitySources
from renku_spawner.context.app_context import AppContext
from renku_spawner.domain.expiry import ExpiryRules
from renku_spawner.domain.policy import HubPolicy, IdleRules
from renku_spawner.integrations.project_source import HubProjectSource
from renku_spawner.jobs.expiry import EXPIRY_HEARTBEAT_INTERVAL, ExpiryJob
from renku_spawner.jobs.idle import run_idle_check
from renku_spawner.persistence.database import Database
from renku_spawner.persistence.migrate import prepare_schema
from renku_spawner.persistence.tables import metadata
from tests.persistence.made import environment, project, session, started
from tests.persistence.test_speed import Asked

RUNNING, STORED, ROUNDS = 5000, 100_000, 60
WALL, STALL, SQL = 0.1, 0.02, 3  # bars of a usual round: seconds, seconds, statements
MINUTE, DAYS = timedelta(minutes=1), 30


class Nobody:
    """Nobody uses anything, nothing of what runs is due, and everybody is known: what a round costs by itself."""

    page = None

    def get_last_activity(self, instance: Any) -> datetime | None:
        return None

    async def load_processor_usage(self) -> dict[tuple[str, str], float]:
        return {}

    async def pause_instance(self, instance: Any) -> None:
        raise AssertionError("nothing is due")

    def has_user(self, username: str) -> bool:
        return True

    async def is_healthy(self) -> bool:
        return True

    async def delete_data(self, username: str, session_id: str) -> None:
        raise AssertionError("nothing is due")


def seeded(folder: Path, now: datetime, running: int, stored: int) -> Database:
    """*running* instances, used within the last hour, of *stored* sessions; the others are paused, with data."""
    url = f"sqlite:///{folder}/bench.sqlite"
    prepare_schema(url, upgrade=True)
    db = Database(url)
    with db.write() as tx:
        one = session(tx, project(tx), environment(tx), "one")
        started(tx, one)
    sessions, instances = metadata.tables["renku_sessions"], metadata.tables["renku_instances"]
    runs = {"desired": "running", "observed": "ready", "active": True, "ready_at": now, "due_at": now}
    rests = {"desired": "stopped", "observed": "absent", "active": False, "paused_at": now, "run": None}
    with db.engine.begin() as connection:
        row = dict(connection.execute(select(sessions)).mappings().one())
        many = [{**row, "id": f"s{n:011d}", "title": f"t{n}", "folded_title": f"t{n}"} for n in range(stored)]
        connection.execute(insert(sessions), many)
        row = dict(connection.execute(select(instances)).mappings().one()) | {"slot": None}
        names = [{"id": f"i{n:011d}", "session": f"s{n:011d}", "username": f"u{n}", "claim": f"c{n:011d}"}
                 for n in range(stored)]  # fmt: skip
        used = [{"last_activity": now - timedelta(seconds=n * 3600 / running)} for n in range(running)]
        connection.execute(insert(instances), [{**row, **runs, **n, **u} for n, u in zip(names, used, strict=False)])
        connection.execute(insert(instances), [{**row, **rests, **name} for name in names[running:]])
    return db


async def longest_stall(stop: asyncio.Event) -> float:
    """Seconds for which the loop did nothing else."""
    worst, last = 0.0, perf_counter()
    while not stop.is_set():
        await asyncio.sleep(0)
        now = perf_counter()
        worst, last = max(worst, now - last), now
    return worst


@dataclass
class Cost:
    """Seconds, seconds, and statements."""

    wall: float
    stall: float
    sql: int

    def __str__(self) -> str:
        return f"{1000 * self.wall:.1f} ms, stall {1000 * self.stall:.1f} ms, {self.sql} SQL"


@dataclass
class Hub:
    """One process of a hub with that much on record, by a clock of its own."""

    parts: AppContext
    asked: Asked
    clock: list[datetime]
    expiring: ExpiryJob
    seen: list[Cost] = field(default_factory=list)

    @classmethod
    def with_(cls, db: Database, start: datetime) -> "Hub":
        policy = HubPolicy(idle=IdleRules(pause=86_400), expiry=ExpiryRules(days=DAYS))
        clock = [start]
        parts = AppContext(db=db, source=HubProjectSource(db), policy=policy, now=lambda: clock[0])
        return cls(parts, Asked(db), clock, ExpiryJob(parts, Nobody()))

    def restarts(self) -> None:
        self.parts = replace(self.parts, activity_sources=ActivitySources())
        self.expiring = ExpiryJob(self.parts, Nobody())

    async def round(self) -> Cost:
        """As `rounds.forever` does one."""
        self.clock[0] += MINUTE
        return await self.cost(lambda: asyncio.gather(self.expiring.run_once(), self.idle()))

    async def idle(self) -> None:
        await run_idle_check(self.parts, self.clock[0], Nobody())

    async def cost(self, of: Callable[[], Awaitable[object]]) -> Cost:
        self.asked.statements.clear()
        stop = asyncio.Event()
        watching = asyncio.ensure_future(longest_stall(stop))
        await asyncio.sleep(0)  # it watches before anything is done
        began = perf_counter()
        await of()
        wall = perf_counter() - began
        stop.set()
        return Cost(wall, await watching, len(self.asked.statements))


def worst(of: list[Cost]) -> Cost:
    return Cost(max(each.wall for each in of), max(each.stall for each in of), max(each.sql for each in of))


async def measured(folder: Path, running: int, stored: int, number: int) -> dict[str, Cost]:
    """What each kind of round costs, by name; `usual` and `noting`, which is every tenth, are the worst of theirs."""
    start = datetime.now(UTC)
    db = seeded(folder, start, running, stored)
    hub = Hub.with_(db, start)
    found = {"expiry switched on": await hub.cost(hub.expiring.run_once)}
    hub.restarts()
    found["first after a start"] = await hub.round()
    many = [await hub.round() for _ in range(number)]
    noting = many[int(EXPIRY_HEARTBEAT_INTERVAL / MINUTE) - 1 :: int(EXPIRY_HEARTBEAT_INTERVAL / MINUTE)]
    found["usual"] = worst([each for each in many if each not in noting])
    found["noting"] = worst(noting)
    hub.clock[0] += timedelta(days=DAYS - 3)
    found["many warnings"] = await hub.cost(hub.expiring.run_once)
    db.dispose()
    return found


def said(found: dict[str, Cost]) -> str:
    return "\n".join(f"B12: {name}: {cost}" for name, cost in found.items())


async def test_a_short_round_costs_as_few_statements(tmp_path: Path) -> None:
    """Only they are looked at: they are the same on any machine, and however much is stored."""
    found = await measured(tmp_path, 30, 200, 11)
    assert found["usual"].sql <= SQL, said(found)
    assert found["noting"].sql <= SQL + 2, said(found)
    assert found["many warnings"].sql > 50, "they are given in one look"


@pytest.mark.bench
async def test_a_round_costs_next_to_nothing(tmp_path: Path) -> None:
    found = await measured(tmp_path, RUNNING, STORED, ROUNDS)
    usual = found["usual"]
    bars = {"wall": usual.wall <= WALL, "stall": usual.stall <= STALL, "SQL": usual.sql <= SQL}
    print(f"\n{said(found)}\nB12: bars of the usual round {bars}")
    assert usual.sql <= SQL
