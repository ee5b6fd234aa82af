"""A start that waits for the cluster is told so, whatever the database is at."""

import asyncio
import sqlite3
from time import monotonic

import pytest

from renku_spawner import silence
from renku_spawner.domain.instance import Instance
from renku_spawner.services import instances, runs
from renku_spawner.silence import Silence

from .test_pins import ADA, House, house

__all__ = ["house"]


@pytest.fixture
async def begun(house: House) -> Instance:
    session = await house.ready_made("quay.io/silence/a:1")
    return await runs.begin(house.parts, await instances.prepare(house.parts, ADA, session.id))


async def codes(house: House, instance: Instance) -> list[str]:
    found = await runs.recorded(house.parts, "ada", instance.session)
    return [notice["code"] for notice in found.notices] if found else []


async def test_a_busy_database_ends_neither_the_looking_nor_the_start(
    house: House, begun: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "_LASTING", 0.0)
    other = sqlite3.connect(house.parts.db.url.removeprefix("sqlite:///"), isolation_level=None)
    telling = Silence(parts=house.parts, instance=begun, silent=lambda: True)
    other.execute("BEGIN IMMEDIATE")
    async with telling.told():
        await asyncio.sleep(4)  # longer than a write is tried
        other.execute("ROLLBACK")
        end = monotonic() + 10
        while "cluster_unavailable" not in await codes(house, begun):
            assert monotonic() < end, "nobody looks any more"
            await asyncio.sleep(0.1)
        other.execute("BEGIN IMMEDIATE")
    other.execute("ROLLBACK")
    other.close()
    async with telling.told():
        pass
    assert await codes(house, begun) == []
