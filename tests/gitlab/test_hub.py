"""A hub whose projects are in GitLab, as a whole: people log in there and find their projects."""

from typing import Any

from renku_spawner.domain.access import Role
from tests.fixtures import gitlab, renku

renku_hub, lab, gitlab_hub = renku.renku_hub, gitlab.lab, gitlab.gitlab_hub


async def test_people_log_in_at_gitlab_and_find_their_projects(gitlab_hub: Any) -> None:
    hub = await gitlab_hub()
    project = await hub.project("climate")
    assert project.role_of(hub.person("alice")) is Role.OWNER
    bob = await hub.visitor("bob")
    listed = await bob.get("renku", follow_redirects=True)
    shown = await bob.get(f"renku/projects/{project.path}", follow_redirects=True)
    assert project.title in listed.text
    assert shown.status_code == 200
    assert project.title in shown.text


async def test_somebody_who_is_asked_whether_they_agree_comes_in_too(gitlab_hub: Any) -> None:
    hub = await gitlab_hub()
    hub.lab.trusted = False
    assert "hub/login" not in str((await (await hub.visitor("dora")).get("home")).url)
