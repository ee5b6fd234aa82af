"""What goes on beside the hub is seen through, whatever goes wrong in one step of it."""

import asyncio
import sqlite3

import httpx
import pytest

from renku_spawner import after_start
from renku_spawner.app import Renku
from renku_spawner.domain.instance import Status
from renku_spawner.services import instances, runs
from tests.fixtures.renku import until
from tests.spawner import ways


async def test_a_step_that_fails_keeps_nobody_from_the_others_and_is_tried_again(renku_hub, monkeypatch, caplog):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    await runs.begin(hub.parts, await instances.prepare(hub.parts, hub.person("alice"), session.id))
    monkeypatch.setattr(after_start, "_AGAIN", 0.1)
    monkeypatch.setattr(after_start, "_TRIES", 1000)
    renku = Renku.instance()
    other = sqlite3.connect(hub.parts.db.url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("ALTER TABLE renku_instances RENAME TO elsewhere")
    renku.tasks.append(asyncio.ensure_future(after_start.go_on(hub.app, renku)))
    for step in ("to finish deletions", "to settle what was lost"):
        await until(lambda step=step: f"The attempt {step} failed (2 of 1000)" in caplog.text, seconds=30)
    other.execute("ALTER TABLE elsewhere RENAME TO renku_instances")
    other.close()
    ended = await hub.becomes(session, Status.FAILED, seconds=30)
    assert ended.reason == "lost"


async def test_the_token_of_a_session_that_the_hub_does_not_know_any_more_is_revoked_with_its_end(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    await ways.start(hub, session)
    await hub.becomes(session, Status.RUNNING)
    spawner, renku = hub.user("alice").spawners[session.id], Renku.instance()
    lost, other = spawner.api_token, hub.user("alice").new_api_token(note="my own")
    assert [await is_good(hub, token) for token in (lost, other)] == [True, True]
    spawner.server = None
    hub.app.db.commit()
    renku.tasks.append(asyncio.ensure_future(after_start.go_on(hub.app, renku)))
    await hub.becomes(session, Status.FAILED, seconds=30)
    assert [await is_good(hub, token) for token in (lost, other)] == [False, True]


async def is_good(hub, token: str) -> bool:
    async with httpx.AsyncClient(base_url=hub.url, headers={"Authorization": f"token {token}"}) as client:
        return (await client.get("api/user")).status_code == 200


async def test_a_hub_that_does_not_start_closes_what_it_has_opened(renku_hub, monkeypatch):
    hub = await renku_hub()
    closed = []

    async def close(parts):
        closed.append(parts)

    monkeypatch.setattr(after_start.pins, "close", close)
    failed = asyncio.get_running_loop().create_future()
    failed.set_exception(RuntimeError("no proxy"))
    monkeypatch.setattr(hub.app, "_start_future", failed)
    with pytest.raises(RuntimeError, match="no proxy"):
        await after_start.go_on(hub.app, Renku.instance())
    assert closed == [hub.parts]
