"""People with a cookie are known from memory, and only as long as the cookie holds."""

from jupyterhub import orm

from renku_spawner.domain.access import Role
from renku_spawner.domain.projects import ProjectChange, ProjectMember
from renku_spawner.usecases.projects import change_project

PAGE = "renku/projects"


async def test_a_cookie_that_was_revoked_opens_no_page(renku_hub):
    hub = await renku_hub()
    bob = await hub.visitor("bob")
    assert (await bob.get(PAGE)).status_code == 200
    hub.user("bob").orm_user.cookie_id = orm.new_token()
    hub.app.db.commit()
    assert (await bob.get(PAGE)).status_code == 302


async def test_who_was_deleted_is_no_longer_known(renku_hub):
    hub = await renku_hub()
    bob = await hub.visitor("bob")
    assert (await bob.get(PAGE)).status_code == 200
    hub.user("admin", admin=True)
    assert (await hub.client("admin").delete("api/users/bob")).status_code == 204
    assert (await bob.get(PAGE)).status_code == 302
    hub.user("bob")
    assert (await bob.get(PAGE)).status_code == 302


async def test_a_forged_cookie_opens_no_page(renku_hub):
    hub = await renku_hub()
    bob = await hub.visitor("bob")
    for cookie in bob.cookies.jar:
        cookie.value = cookie.value[:-1] + ("0" if cookie.value[-1] != "0" else "1")
    assert (await bob.get(PAGE)).status_code == 302


async def test_groups_and_roles_given_later_count_at_once(renku_hub):
    hub = await renku_hub()
    project = await hub.project()
    dave = await hub.visitor("dave")
    address = "renku/projects/alice/climate"
    assert (await dave.get(address)).status_code == 404
    hub.user("admin", admin=True)
    admin = hub.client("admin")
    assert (await admin.post("api/groups/staff", json={"users": ["dave"]})).status_code == 201
    members = (*project.members, ProjectMember(kind="group", name="staff", role=Role.VIEWER))
    change = ProjectChange(version=project.version, members=members)
    await change_project(hub.parts, hub.person("alice"), project.id, change)
    assert (await dave.get(address)).status_code == 200
    assert (await admin.request("DELETE", "api/groups/staff/users", json={"users": ["dave"]})).status_code == 200
    assert (await dave.get(address)).status_code == 404
