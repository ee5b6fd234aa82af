"""Who may no longer see a project runs nothing of it any more, and keeps the files."""

from typing import Any

import pytest

from renku_spawner.domain.instances import InstanceStatus
from renku_spawner.jobs.access import pause_inaccessible_sessions
from tests.fixtures import gitlab, renku

renku_hub, lab, gitlab_hub = renku.renku_hub, gitlab.lab, gitlab.gitlab_hub


async def started(gitlab_hub: Any, **settings: Any) -> Any:
    """A session of a project of alice's, which she and bob run."""
    hub = await gitlab_hub(Renku=settings)
    await hub.join("alice")
    await hub.join("bob")
    spectra = hub.lab.project("astro/spectra", owner="alice")
    hub.lab.member(spectra, "bob", 20)
    session = await hub.session(await hub.shown(spectra))
    for name in ("alice", "bob"):
        started = await hub.client(name).post(f"api/renku/projects/{session.project}/sessions/{session.id}/start")
        assert started.status_code in (200, 202), started.text
    for name in ("alice", "bob"):
        await hub.becomes(session, InstanceStatus.RUNNING, name, seconds=60)
    return hub, spectra, session


@pytest.fixture
async def running(gitlab_hub: Any) -> Any:
    return await started(gitlab_hub)


async def look(hub: Any) -> int:
    return await pause_inaccessible_sessions(hub.app, hub.parts)


async def test_access_that_ended_pauses_what_runs_and_leaves_the_files_to_their_owner(running):
    hub, spectra, session = running
    hub.lab.remove_member(spectra, "bob")
    assert await look(hub) == 1
    await hub.becomes(session, InstanceStatus.PAUSED, "bob", seconds=60)
    assert await hub.status(session, "alice") is InstanceStatus.RUNNING
    page = (await (await hub.visitor("bob")).get("renku/sessions")).text
    assert "Paused because your access to the project ended." in page
    assert "spectra" not in page.lower()
    bob = hub.client("bob")
    start = f"api/renku/projects/{session.project}/sessions/{session.id}/start"
    refused = await bob.post(start)
    absent = await bob.post(start.replace(session.id, "a" * 12).replace(session.project, "b" * 12))
    assert (refused.status_code, refused.content) == (404, absent.content)
    assert (await bob.get(f"api/renku/sessions/{session.id}/logs")).status_code == 200
    assert (await bob.delete(f"api/renku/sessions/{session.id}/instance")).status_code == 204


async def test_nobody_is_paused_because_gitlab_gives_no_clear_answer(running):
    hub, spectra, session = running
    for mode in ("500", "502", "html", "bad json", "reset", "429:60", "scope", "401"):
        hub.lab.mode = mode
        assert await look(hub) == 0, mode
    hub.lab.mode = "ok"
    hub.lab.faults.own.clear()
    hub.lab.fault(f"/api/v4/projects/{spectra.id}", "404", times=1)  # once is no definite answer
    assert await look(hub) == 0
    spectra.move("astro/light")
    assert await look(hub) == 0
    for name in ("alice", "bob"):
        assert await hub.status(session, name) is InstanceStatus.RUNNING


async def test_a_project_that_is_gone_ends_for_everybody_and_deletes_nothing(running):
    hub, spectra, session = running
    spectra.delete()
    assert await look(hub) == 2
    for name in ("alice", "bob"):
        instance = await hub.becomes(session, InstanceStatus.PAUSED, name, seconds=60)
        assert instance.ended_reason == "access_revoked"
        assert instance.claim


async def test_the_look_comes_by_itself(gitlab_hub):
    hub, spectra, session = await started(gitlab_hub, access_check=1)
    hub.lab.remove_member(spectra, "bob")
    await hub.becomes(session, InstanceStatus.PAUSED, "bob", seconds=60)
    assert await hub.status(session, "alice") is InstanceStatus.RUNNING
