"""A start that waits for the cluster is told so, whatever the database is at."""

import asyncio
import sqlite3
from time import monotonic

import pytest

from renku_spawner.domain.instances import Instance
from renku_spawner.lifecycle.runs import load_instance, request_start
from renku_spawner.spawners.kubernetes import launch
from renku_spawner.spawners.kubernetes.launch import ClusterOutageNotice
from renku_spawner.usecases.instances import prepare_launch_spec

from .test_pins import ADA, House, house

__all__ = ["house"]


@pytest.fixture
async def begun(house: House) -> Instance:
    session = await house.ready_made("quay.io/silence/a:1")
    return await request_start(house.parts, await prepare_launch_spec(house.parts, ADA, session.id))


async def codes(house: House, instance: Instance) -> list[str]:
    found = await load_instance(house.parts, "ada", instance.session)
    return [notice["code"] for notice in found.notices] if found else []


async def test_a_busy_database_ends_neither_the_looking_nor_the_start(
    house: House, begun: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "_OUTAGE_NOTICE_DELAY_SECONDS", 0.0)
    other = sqlite3.connect(house.parts.db.url.removeprefix("sqlite:///"), isolation_level=None)
    telling = ClusterOutageNotice(context=house.parts, instance=begun, is_unreachable=lambda: True)
    other.execute("BEGIN IMMEDIATE")
    async with telling.show_during_outages():
        await asyncio.sleep(4)  # longer than a write is tried
        other.execute("ROLLBACK")
        end = monotonic() + 10
        while "cluster_unavailable" not in await codes(house, begun):
            assert monotonic() < end, "nobody looks any more"
            await asyncio.sleep(0.1)
        other.execute("BEGIN IMMEDIATE")
    other.execute("ROLLBACK")
    other.close()
    async with telling.show_during_outages():
        pass
    assert await codes(house, begun) == []
