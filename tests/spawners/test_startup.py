"""What goes on beside the hub is seen through, whatever goes wrong in one step of it."""

import asyncio
import sqlite3

import httpx
import pytest

from renku_spawner.config.renku import Renku
from renku_spawner.domain.instances import InstanceStatus
from renku_spawner.hub import startup
from renku_spawner.hub.startup import run_startup_jobs
from renku_spawner.jobs import table
from renku_spawner.lifecycle.runs import request_start
from renku_spawner.usecases.instances import prepare_launch_spec
from tests.fixtures.renku import until
from tests.spawners import ways


async def test_a_step_that_fails_keeps_nobody_from_the_others_and_is_tried_again(renku_hub, monkeypatch, caplog):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    await request_start(hub.parts, await prepare_launch_spec(hub.parts, hub.person("alice"), session.id))
    monkeypatch.setattr(table, "RECONCILE_INTERVAL_SECONDS", 0.1)
    renku = Renku.instance()
    other = sqlite3.connect(hub.parts.db.url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("ALTER TABLE renku_instances RENAME TO elsewhere")
    renku.tasks.append(asyncio.ensure_future(run_startup_jobs(hub.app, renku)))
    for step in ("finish deletions", "settle instances that no poll looks after"):
        await until(lambda step=step: caplog.text.count(f"Failed to {step}\n") > 1, seconds=30)
    other.execute("ALTER TABLE elsewhere RENAME TO renku_instances")
    other.close()
    ended = await hub.becomes(session, InstanceStatus.FAILED, seconds=30)
    assert ended.reason == "lost"


async def test_the_token_of_a_session_that_the_hub_does_not_know_any_more_is_revoked_with_its_end(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    await ways.start(hub, session)
    await hub.becomes(session, InstanceStatus.RUNNING)
    spawner, renku = hub.user("alice").spawners[session.id], Renku.instance()
    lost, other = spawner.api_token, hub.user("alice").new_api_token(note="my own")
    assert [await is_good(hub, token) for token in (lost, other)] == [True, True]
    spawner.server = None
    hub.app.db.commit()
    renku.tasks.append(asyncio.ensure_future(run_startup_jobs(hub.app, renku)))
    await hub.becomes(session, InstanceStatus.FAILED, seconds=30)
    assert [await is_good(hub, token) for token in (lost, other)] == [False, True]


async def is_good(hub, token: str) -> bool:
    async with httpx.AsyncClient(base_url=hub.url, headers={"Authorization": f"token {token}"}) as client:
        return (await client.get("api/user")).status_code == 200


async def test_a_hub_that_does_not_start_closes_what_it_has_opened(renku_hub, monkeypatch):
    hub = await renku_hub()
    closed = []

    async def close(parts):
        closed.append(parts)

    monkeypatch.setattr(startup, "close_registry_checks", close)
    failed = asyncio.get_running_loop().create_future()
    failed.set_exception(RuntimeError("no proxy"))
    monkeypatch.setattr(hub.app, "_start_future", failed)
    with pytest.raises(RuntimeError, match="no proxy"):
        await run_startup_jobs(hub.app, Renku.instance())
    assert closed == [hub.parts]
