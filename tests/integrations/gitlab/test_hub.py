"""A hub whose projects are in GitLab, as a whole: people log in there and find their projects."""

from typing import Any

from renku_spawner.domain.access import Role
from renku_spawner.domain.instances import InstanceStatus
from tests.fixtures import gitlab, renku
from tests.fixtures.gitlab import later
from tests.fixtures.renku import xsrf

renku_hub, lab, gitlab_hub = renku.renku_hub, gitlab.lab, gitlab.gitlab_hub


async def test_people_log_in_at_gitlab_and_find_their_projects(gitlab_hub: Any) -> None:
    hub = await gitlab_hub()
    project = await hub.project("climate")
    assert project.get_role(hub.person("alice")) is Role.OWNER
    bob = await hub.visitor("bob")
    listed = await bob.get("renku", follow_redirects=True)
    shown = await bob.get(f"renku/projects/{project.path}", follow_redirects=True)
    assert project.title in listed.text
    assert shown.status_code == 200
    assert project.title in shown.text


async def test_a_start_asks_gitlab_once_a_minute(gitlab_hub: Any) -> None:
    hub = await gitlab_hub()
    project = await hub.project("climate")
    session = await hub.session(project)
    bob, clock = await hub.visitor("bob"), later(hub)
    path = f"api/renku/projects/{project.id}/sessions/{session.id}"
    headers = {"X-XSRFToken": xsrf(bob)}
    for ahead, calls in ((0, ["projects"]), (1, []), (99, ["projects"])):
        clock.seconds = ahead
        if calls:
            hub.app.authenticator.heard._taken.clear()  # what GitLab took more than a minute ago says nothing
        hub.lab.calls.clear()
        assert (await bob.post(f"{path}/start", json={}, headers=headers)).status_code in (200, 202)
        await hub.becomes(session, InstanceStatus.RUNNING, "bob", seconds=60)
        assert [path.split("/")[3] for _, path, _ in hub.lab.calls if path.startswith("/api/v4/")] == calls, ahead
        await bob.post(f"{path}/pause", json={}, headers=headers)
        await hub.becomes(session, InstanceStatus.PAUSED, "bob", seconds=60)


async def test_somebody_who_is_asked_whether_they_agree_comes_in_too(gitlab_hub: Any) -> None:
    hub = await gitlab_hub()
    hub.lab.trusted = False
    assert "hub/login" not in str((await (await hub.visitor("dora")).get("home")).url)
