"""Expiry on a live hub: the same door as a confirmed delete, and nobody else's data."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from renku_spawner.context.app_context import read_transaction
from renku_spawner.domain.errors import ConflictError
from renku_spawner.domain.instances import InstanceStatus
from renku_spawner.domain.sessions import Session
from renku_spawner.jobs.expiry import ExpiryHubAdapter, ExpiryJob
from tests.fixtures.renku import RenkuHub, xsrf

DAY = timedelta(days=1)


class Time:
    """The hub's time, moved on by a test, with a look as often as rounds are made in it."""

    def __init__(self, hub: RenkuHub) -> None:
        self._now, self._ahead = hub.parts.now, timedelta()
        object.__setattr__(hub.parts, "now", lambda: self._now() + self._ahead)
        self.door = ExpiryHubAdapter(hub.app, hub.parts)
        self._rounds = ExpiryJob(hub.parts, self.door)

    async def passes(self, days: float) -> None:
        end = self._ahead + days * DAY
        while self._ahead < end:
            self._ahead += timedelta(minutes=25)
            await self._rounds.run_once()


async def pauses(hub: RenkuHub, session: Session, name: str) -> Path:
    """Somebody leaves data behind; returns where."""
    api = f"api/renku/projects/{session.project}/sessions/{session.id}"
    started = await hub.client(name).post(f"{api}/start", json={})
    assert started.status_code in (200, 202), started.text
    running = await hub.becomes(session, InstanceStatus.RUNNING, name)
    (folder,) = (path for path in Path(str(hub.parts.workspace)).rglob("*") if path.name == running.claim)
    (folder / "work.txt").write_text(name)
    await hub.client(name).post(f"api/renku/sessions/{session.id}/pause", json={})
    await hub.becomes(session, InstanceStatus.PAUSED, name)
    return folder


async def mine(hub: RenkuHub, name: str) -> dict[str, Any]:
    answer = await hub.client(name).get("api/renku/sessions")
    return answer.json()["items"][0]["instance"]


async def trashed(hub: RenkuHub, name: str) -> bool:
    """Whether somebody reads that their data are in the trash."""
    said = await mine(hub, name)
    assert said["status"] == "paused"
    return said["trashed_until"] is not None and [notice["code"] for notice in said["notices"]] == ["in_trash"]


async def audited(hub: RenkuHub) -> list[tuple[str, str | None, str]]:
    events = await read_transaction(hub.parts, lambda tx: tx.audit.list_recent(50))
    return [(event.actor, event.username, event.action) for event in events]


async def test_what_nobody_comes_back_for_goes_and_nothing_else(renku_hub) -> None:
    hub = await renku_hub(Renku={"expire_paused_days": 4, "trash_days": 2})
    hub.curator("root")
    session = await hub.session(await hub.project())
    folders = {name: await pauses(hub, session, name) for name in ("alice", "bob", "carol")}
    time, on = Time(hub), (await mine(hub, "alice"))["deleted_on"]
    assert on is not None
    page = await (alice := await hub.visitor("alice")).get("renku/sessions")
    assert "unless resumed" in page.text

    await time.passes(1.2)
    said = await mine(hub, "alice")
    assert (said["deleted_on"], said["notices"][0]["code"]) == (on, "delete_soon")
    assert "Your data in 1 session will be deleted on" in (await alice.get("renku/projects")).text
    assert "Deleted in 3 days unless resumed" in (await alice.get("renku/sessions")).text

    await time.passes(2.9)
    assert [await trashed(hub, name) for name in folders] == [True, True, True]
    restored = await hub.client("bob").post(f"api/renku/sessions/{session.id}/restore", json={})
    assert (restored.json()["status"], restored.json()["trashed_until"]) == ("paused", None)
    for_somebody = {"username": "carol", "session": session.id}
    assert (await hub.client("root").post("api/renku/admin/restore", json=for_somebody)).status_code == 200
    assert "Bring back" in (await alice.get("renku/sessions")).text

    await time.passes(2.1)
    assert {name: folder.exists() for name, folder in folders.items()} == {"alice": False, "bob": True, "carol": True}
    assert (folders["bob"] / "work.txt").read_text() == "bob"
    gone = await hub.becomes(session, InstanceStatus.INACTIVE)
    assert (gone.status, gone.claim, gone.ended_reason) == (InstanceStatus.INACTIVE, None, "deleted_expired")
    assert session.id not in hub.user("alice").spawners
    done = {("hub", "alice", "deleted expired data"), ("root", "carol", "bring back for somebody")}
    assert done <= set(await audited(hub))

    again = await alice.post(f"renku/sessions/{session.id}/restore", data={"_xsrf": xsrf(alice)})
    assert again.status_code == 303  # nothing is in the trash, and nothing happens


async def test_what_the_hub_finds_running_is_never_deleted_whatever_is_on_record(renku_hub) -> None:
    hub = await renku_hub(Renku={"expire_paused_days": 4})
    session = await hub.session(await hub.project())
    api = f"api/renku/projects/{session.project}/sessions/{session.id}"
    await hub.client("alice").post(f"{api}/start", json={})
    await hub.becomes(session, InstanceStatus.RUNNING)
    time = Time(hub)
    with pytest.raises(ConflictError):
        await time.door.delete_data("alice", session.id)
    await time.passes(30)
    assert await hub.status(session) is InstanceStatus.RUNNING
