"""Forms act on what their page showed: each carries the version of that, and what has changed since is told first."""

import re
from dataclasses import replace
from typing import Any

import httpx
import pytest

from renku_spawner.context.app_context import write_transaction
from renku_spawner.domain.environments import NewRevision
from renku_spawner.domain.errors import ConflictError
from renku_spawner.domain.instances import InstanceStatus
from renku_spawner.domain.projects import NewRepository, Project, ProjectChange
from renku_spawner.domain.sessions import Session, SessionChange
from renku_spawner.domain.storages import NewStorage, StorageChange, StorageCredentials
from renku_spawner.hub.admission import admit_server_start
from renku_spawner.persistence.database import Transaction
from renku_spawner.usecases.projects import change_project, get_project
from renku_spawner.usecases.sessions import change_session, choose_revision
from renku_spawner.usecases.storages import add_storage, change_storage, list_storages
from renku_spawner.web.routes import ID_PATTERN, NAME_PATTERN, PAGE_ROUTES
from tests.fixtures.renku import RenkuHub, xsrf
from tests.web import examples
from tests.web.rendering import Page, ours, render

# Routes whose forms carry no version, each with the reason.
NEW = "It adds something of its own, and changes nothing that another user can change."
OWN = "It acts on the user's own instance or credentials, which no other user changes."
TYPED = "Its title is typed, and all of it goes, whatever has changed."
ADMIN = "It acts on one instance or resource that the form names, in whatever state that is."
WITHOUT = {
    "projects": NEW,
    "storages": NEW,
    "sessions": "It names a ready-made environment of the admins, or the image that was typed.",
    "sessions_described": "It carries the hash of the file that was shown.",
    "member_remove": "Leaving is the user's own; another member's removal carries a version.",
    "session_remove": TYPED,
    "project_remove": TYPED,
    "session_default": "It makes this very session the default, whatever it runs.",
    "session_dismissal": "It carries the digest of the image that was shown.",
    "session_pause": OWN,
    "instance_pause": OWN,
    "instance_restore": OWN,
    "instance_awake": OWN,
    "instance_data": OWN,
    "my_sessions_pause": OWN,
    "storage_credentials_remove": OWN,
    "environment_move": "It moves one step from wherever the environment is.",
    "admin_pause": ADMIN,
    "admin_nodes": ADMIN,
    "admin_restore": ADMIN,
    "admin_orphans": ADMIN,
}
# Routes that a script asks with the fields of a form beside it: they look, and change nothing.
LOOKS = {"session_check", "session_edit_check", "environment_new_check", "environment_check", "storage_check"}


def route_of(address: str) -> str:
    """The name of the route that an example's *address* leads to; ids of examples are any words."""
    path = address.removeprefix(examples.BASE).partition("?")[0].partition("#")[0]
    for route in PAGE_ROUTES:
        if re.fullmatch(route.path.replace(ID_PATTERN, NAME_PATTERN), path):
            return route.name
    raise AssertionError(f"{address} leads to no route")


def posts() -> list[tuple[str, str, bool]]:
    """Of each form of each template: the example, the route that it, or one of its buttons, is sent to, and whether it
    carries a version."""
    found = []
    for name, (template, values) in examples.PAGES.items():
        for form, *fields in Page(ours(render(template, values))).forms:
            if form.get("method") != "post":
                continue
            versions = [field for field in fields if re.match("version(_|$)", field.get("name") or "")]
            carries = bool(versions) and all(field.get("value") for field in versions)
            buttons = [field for field in fields if field["tag"] == "button"]
            addresses = {button.get("formaction") or form["action"] for button in buttons}
            found += [(name, route_of(address or ""), carries) for address in addresses]
    return found


def test_every_form_that_changes_what_others_change_carries_the_version_that_it_showed() -> None:
    found = posts()
    without = {(name, route) for name, route, carries in found if not carries and route not in LOOKS}
    assert {(name, route) for name, route in without if route not in WITHOUT} == set()
    assert set(WITHOUT) - {route for _, route in without} == set(), "a reason that no form needs"
    changing = {route.name for route in PAGE_ROUTES if "post" in route.handler.scope}
    assert changing - {route for _, route, _ in found} - LOOKS == {"launch"}, "a route whose form no example shows"


class Shown:
    """A session whose starts are offered by several pages, and an editor who changes it."""

    def __init__(self, hub: RenkuHub, project: Project, session: Session) -> None:
        self.hub, self.project, self.session = hub, project, session
        self.parts, self.bob = hub.parts, hub.person("bob")
        here = f"renku/projects/alice/climate/-/sessions/{session.id}"
        self.starts = {
            "renku/projects": f"{here}/start",
            "renku/projects/alice/climate": f"{here}/start",
            here: f"{here}/start",
            f"renku/launch/alice/climate/-/{session.id}": f"renku/launch/alice/climate/-/{session.id}",
            "renku/sessions": f"renku/sessions/{session.id}/resume",
            f"renku/sessions/{session.id}/data": f"renku/sessions/{session.id}/resume",
        }

    async def versions(self, client: httpx.AsyncClient) -> dict[str, set[str]]:
        """What the form of a start carries on each page."""
        found = {}
        for page, start in self.starts.items():
            forms = Page(ours((await client.get(page)).text)).forms
            found[page] = {
                str(field["value"])
                for form, *fields in forms
                for field in fields
                if str(form.get("action")).endswith(start) and field.get("name") == "version"
            }
        return found

    async def now(self) -> Session:
        def work(tx: Transaction) -> Session:
            found = tx.sessions.get(self.session.id)
            assert found is not None
            return found

        return await write_transaction(self.parts, work)

    async def edit(self, **change: Any) -> None:
        there = await self.now()
        new = SessionChange(version=there.version, **change)
        await change_session(self.parts, self.bob, self.project.id, self.session.id, new)

    async def image(self) -> None:
        """A newer revision of its environment, as an editor accepts it."""
        there = await self.now()
        newest = there.environment.revision
        tag = str(newest.number + 1)
        newer = NewRevision(image=f"{newest.repository}:{tag}", repository=newest.repository, tag=tag, run=newest.run)
        await write_transaction(
            self.parts,
            lambda tx: tx.environments.add_revision(there.environment.id, newer, by="admin", now=self.parts.now()),
        )
        await choose_revision(self.parts, self.bob, self.project.id, self.session.id, newest.number + 1)

    async def variables(self) -> None:
        there = await self.now()
        changed = {**there.configuration.variables, "STEP": str(there.version)}
        await self.edit(configuration=replace(there.configuration, variables=changed))

    async def resources(self) -> None:
        there = await self.now()
        await self.edit(
            configuration=replace(there.configuration, needs=replace(there.configuration.needs, cpu="700m"))
        )

    async def repositories(self) -> None:
        there = await get_project(self.parts, self.bob, self.project.id)
        new = ProjectChange(version=there.version, repositories=(NewRepository(url="http://git.test/more.git"),))
        await change_project(self.parts, self.bob, there.id, new)

    async def storages(self) -> None:
        [there] = await list_storages(self.parts, self.bob, self.project.id)
        change = StorageChange(version=there.version, path="elsewhere")
        await change_storage(self.parts, self.bob, self.project.id, there.id, change)

    async def description(self) -> None:
        await self.edit(title="Explore more", description="Other words.")


@pytest.fixture
async def shown(renku_hub: Any) -> Shown:
    hub = await renku_hub(Renku={"repository_hosts": {"git.test"}, "storage_check": False})
    project = await hub.project()
    settings = {"provider": "AWS"}
    new = NewStorage(kind="s3", directory="era5", settings=settings, path="a", credentials=StorageCredentials.NONE)
    await add_storage(hub.parts, hub.person("alice"), project.id, new)
    session = await hub.session(project)
    now = hub.parts.now()

    def paused(tx: Transaction) -> None:
        instance = tx.instances.get_or_create(session, "carol", now=now)
        tx.instances.save(instance, replace(instance, claim="aaaaaaaaaaaa", paused_at=now))

    await write_transaction(hub.parts, paused)
    return Shown(hub, project, session)


async def test_a_start_of_something_else_than_the_page_showed_says_what_changed_first(shown: Shown) -> None:
    carol = await shown.hub.visitor("carol")
    before = await shown.versions(carol)
    assert [len(versions) for versions in before.values()] == [1] * 6, before
    assert len(set.union(*before.values())) == 1, "all pages show the same"
    await shown.description()
    assert await shown.versions(carol) == before, "a title or description starts nothing else"

    for changed in ("image", "variables", "resources", "repositories", "storages"):
        [seen] = set.union(*(await shown.versions(carol)).values())
        await getattr(shown, changed)()
        for page, start in shown.starts.items():
            form = {"_xsrf": xsrf(carol), "resource_class": "none"}
            refused = await carol.post(start, data=form | {"version": seen})
            said = f"This session changed since you opened the page: {changed}. Nothing was started."
            assert (refused.status_code, said in refused.text) == (409, True), (changed, page, refused.text)
            again = re.search(r'name="version" value="([^"]+)"', ours(refused.text))
            assert again and "Start anyway" in refused.text
            meant = await carol.post(start, data=form | {"version": again[1]})
            assert "There is no class none." in meant.text, (changed, page)
        assert await shown.hub.status(shown.session, "carol") is InstanceStatus.PAUSED


async def test_the_api_starts_what_was_read_or_says_what_changed(shown: Shown) -> None:
    carol = shown.hub.client("carol")
    address = f"api/renku/projects/alice%2Fclimate/sessions/{shown.session.id}"
    read = (await carol.get(address)).json()
    await shown.variables()
    now = (await carol.get(address)).json()
    for body, changed in (
        ({"version": read["version"]}, []),
        ({"launch_version": read["launch_version"]}, ["variables"]),
        ({"version": now["version"], "launch_version": read["launch_version"]}, ["variables"]),
    ):
        refused = await carol.post(f"{address}/start", json=body)
        said = refused.json()
        assert (refused.status_code, said["code"], said["changed"]) == (409, "changed", changed), body
        newer = {name: said[name] for name in ("version", "launch_version")}
        assert newer == {name: now[name] for name in ("version", "launch_version")}
    assert await shown.hub.status(shown.session, "carol") is InstanceStatus.PAUSED
    for body in ({}, newer):
        other = await carol.post(f"{address}/start", json={**body, "resource_class": "none"})
        assert other.json()["code"] == "class_gone"


async def test_the_gate_looks_again_when_the_start_begins(shown: Shown) -> None:
    hub, name = shown.hub, shown.session.id
    before = (await hub.client("carol").get(f"api/renku/sessions/{name}")).json()["launch_version"]
    assert (await admit_server_start(hub.user("carol"), name, {}, seen=before)).session == name
    await shown.variables()
    assert (await admit_server_start(hub.user("carol"), name, {})).variables == {"STEP": "1"}
    with pytest.raises(ConflictError, match="changed since you opened the page: variables"):
        await admit_server_start(hub.user("carol"), name, {}, seen=before)


async def test_a_start_in_line_begins_only_what_was_shown(renku_hub: Any) -> None:
    hub = await renku_hub(JupyterHub={"concurrent_spawn_limit": 1})
    project = await hub.project()
    first = await hub.session(project, "First", variables={"TINY_WAIT": "yes"})
    second = Shown(hub, project, await hub.session(project, "Second", key="r"))
    alice, carol = hub.client("alice"), hub.client("carol")
    api = f"api/renku/projects/{project.id}/sessions"
    assert (await alice.post(f"{api}/{first.id}/start")).status_code == 202
    read = (await carol.get(f"{api}/{second.session.id}")).json()
    body = {"launch_version": read["launch_version"]}
    waits = await carol.post(f"{api}/{second.session.id}/start", json=body)
    assert (waits.status_code, waits.json()["queue_position"]) == (202, 1)
    await second.variables()
    await alice.post(f"{api}/{first.id}/pause")
    failed = await hub.becomes(second.session, InstanceStatus.FAILED, "carol")
    assert (failed.reason, "variables" in str(failed.message)) == ("changed", True)
    # 200 if the server answers before the hub stops waiting for it, 202 if it does not.
    assert (await carol.post(f"{api}/{second.session.id}/start")).status_code in {200, 202}
    await hub.becomes(second.session, InstanceStatus.RUNNING, "carol")


async def test_revisions_and_copies_are_of_the_session_that_the_page_showed(shown: Shown) -> None:
    hub = shown.hub
    bob, here = await hub.visitor("bob"), f"renku/projects/alice/climate/-/sessions/{shown.session.id}"
    await shown.image()
    version = (await shown.now()).version
    await shown.variables()
    for form, sent in (
        ("revision", {"revision": "1"}),
        ("copy", {"project": shown.project.id, "title": "Mine"}),
    ):
        stale = await bob.post(f"{here}/{form}", data={"_xsrf": xsrf(bob), "version": str(version), **sent})
        said = "This session was changed since you opened the page."
        assert (stale.status_code, said in stale.text) == (409, True), form
    assert (await shown.now()).revision.number == 2
    form = {"_xsrf": xsrf(bob), "revision": "1", "version": str((await shown.now()).version)}
    assert (await bob.post(f"{here}/revision", data=form)).status_code == 303
    body = {"revision": 2, "version": version}
    stale = await hub.client("bob").post(
        f"api/renku/projects/{shown.project.id}/sessions/{shown.session.id}/revision", json=body
    )
    assert (stale.status_code, stale.json()["code"]) == (409, "changed")
