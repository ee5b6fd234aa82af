"""B12: one round over 5000 sessions that run, among 100,000 that are stored."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from sqlalchemy import insert, select

from renku_spawner.domain.idle_rules import IdleRules
from renku_spawner.domain.policy import Policy
from renku_spawner.projects.hub import HubProjects
from renku_spawner.services import rounds
from renku_spawner.services.parts import Parts
from renku_spawner.store import migrate
from renku_spawner.store.database import Database
from renku_spawner.store.tables import metadata
from tests.store.made import environment, project, session, started
from tests.store.test_speed import Asked

pytestmark = pytest.mark.bench
RUNNING, STORED, ROUNDS = 5000, 100_000, 60


class Nobody:
    """Nobody uses anything, and nothing is due: what a round costs by itself."""

    def used(self, instance: Any) -> datetime | None:
        return None

    async def pause(self, instance: Any) -> None:
        raise AssertionError("nothing is due")


def seeded(folder: Path, now: datetime) -> Database:
    """*RUNNING* instances, used within the last hour, of *STORED* sessions."""
    url = f"sqlite:///{folder}/bench.sqlite"
    migrate.prepare(url, upgrade=True)
    db = Database(url)
    with db.write() as tx:
        one = session(tx, project(tx), environment(tx), "one")
        started(tx, one)
    sessions, instances = metadata.tables["renku_sessions"], metadata.tables["renku_instances"]
    with db.engine.begin() as connection:
        row = dict(connection.execute(select(sessions)).mappings().one())
        many = [{**row, "id": f"s{n:011d}", "title": f"t{n}", "folded_title": f"t{n}"} for n in range(STORED)]
        connection.execute(insert(sessions), many)
        row = dict(connection.execute(select(instances)).mappings().one())
        runs = {"desired": "running", "observed": "ready", "active": True, "slot": None, "ready_at": now}
        connection.execute(
            insert(instances),
            [
                {**row, **runs, "id": f"i{n:011d}", "session": f"s{n:011d}", "username": f"u{n}",
                 "last_activity": now - timedelta(seconds=n * 3600 / RUNNING), "due_at": now}
                for n in range(RUNNING)
            ],
        )  # fmt: skip
    return db


async def longest_stall(stop: asyncio.Event) -> float:
    """Seconds for which the loop did nothing else."""
    worst, last = 0.0, perf_counter()
    while not stop.is_set():
        await asyncio.sleep(0)
        now = perf_counter()
        worst, last = max(worst, now - last), now
    return worst


async def test_a_round_costs_next_to_nothing(tmp_path: Path) -> None:
    start = datetime.now(UTC)
    db = seeded(tmp_path, start)
    clock = [start]
    policy = Policy(idle=IdleRules(pause=86_400))
    parts = Parts(db=db, source=HubProjects(db), policy=policy, now=lambda: clock[0])
    walls, stalls, statements = [], [], []
    asked = Asked(db)
    for _ in range(ROUNDS):
        clock[0] += timedelta(minutes=1)
        asked.statements.clear()
        stop = asyncio.Event()
        watching = asyncio.ensure_future(longest_stall(stop))
        await asyncio.sleep(0)
        began = perf_counter()
        await rounds.once(parts, clock[0], Nobody())
        walls.append(perf_counter() - began)
        stop.set()
        stalls.append(await watching)
        statements.append(len(asked.statements))
    db.dispose()
    first, usual = walls[0], sorted(walls[1:])
    print(f"\nB12: the first round after a start {1000 * first:.0f} ms, {statements[0]} SQL;", end=" ")
    print(f"then {1000 * usual[len(usual) // 2]:.1f} ms (at most {1000 * usual[-1]:.1f}), stall", end=" ")
    print(f"{1000 * max(stalls[1:]):.1f} ms (first {1000 * stalls[0]:.1f}), {max(statements[1:])} SQL")
    assert max(statements[1:]) <= 3
