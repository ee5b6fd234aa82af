"""The pages on a live hub, as a browser without a script sees them."""

import asyncio
import re
import subprocess
from html import unescape
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from renku_spawner.domain.access import Role
from renku_spawner.domain.ids import PATH_PART_RULE
from renku_spawner.domain.instances import InstanceStatus
from renku_spawner.domain.projects import NewRepository, ProjectChange, ProjectMember
from renku_spawner.domain.resource_classes import ResourceRequirements
from renku_spawner.usecases.environments import list_offered_environments
from renku_spawner.usecases.projects import change_project, delete_project, get_project
from renku_spawner.usecases.session_queries import load_project_page
from tests.fixtures.renku import xsrf

USERS = Path(__file__).parents[2] / "docs" / "users.md"


async def test_the_list_of_projects_shows_mine_with_their_default_session(renku_hub):
    hub = await renku_hub()
    project = await hub.project()
    await hub.session(project)
    alice = await hub.visitor("alice")
    page = await alice.get("renku/projects")
    assert page.status_code == 200
    assert project.title in page.text
    assert "Explore" in page.text


async def test_every_page_of_a_project_shows(renku_hub):
    hub = await renku_hub()
    project = await hub.project()
    session = await hub.session(project)
    alice = await hub.visitor("alice")
    for address in (
        "renku/projects/new",
        "renku/projects/alice/climate",
        "renku/projects/alice/climate/-/settings",
        "renku/projects/alice/climate/-/delete",
        "renku/projects/alice/climate/-/sessions/new",
        f"renku/projects/alice/climate/-/sessions/{session.id}",
        f"renku/projects/alice/climate/-/sessions/{session.id}/edit",
        f"renku/projects/alice/climate/-/sessions/{session.id}/delete",
        "renku/launch/alice/climate",
        f"renku/launch/alice/climate/-/{session.id}",
        "renku/sessions",
    ):
        page = await alice.get(address)
        assert page.status_code == 200, (address, page.text)


async def test_variables_of_another_user_are_shown_where_start_stands(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project(), variables={"SEED": "<1>", "API_TOKEN": "hush"})
    project, launch = "renku/projects/alice/climate", f"renku/launch/alice/climate/-/{session.id}"
    page = f"{project}/-/sessions/{session.id}"
    carol, alice = await hub.visitor("carol"), await hub.visitor("alice")
    for address in (project, page):
        text = (await carol.get(address)).text
        assert "<summary>This session sets 2 variables</summary>" in text
        assert "This session sets" not in (await alice.get(address)).text, "they are her own"
    for address in (project, page, launch):
        text = (await carol.get(address)).text
        assert "<code>SEED=&lt;1&gt;</code>" in text
        assert "<code>API_TOKEN=•••</code>" in text
        assert "hush" not in text


async def test_a_session_is_started_and_paused_by_forms(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    alice = await hub.visitor("alice")
    address = f"renku/projects/alice/climate/-/sessions/{session.id}"
    form = {"_xsrf": xsrf(alice), "back": "project", "resource_class": "small"}
    answer = await alice.post(f"{address}/start", data=form)
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"].endswith(f"renku/projects/alice/climate#session-{session.id}")
    await hub.becomes(session, InstanceStatus.RUNNING)
    assert f"/user/alice/{session.id}/" in (await alice.get(address)).text
    assert (await alice.post(f"{address}/pause", data=form)).status_code == 303
    await hub.becomes(session, InstanceStatus.PAUSED)
    assert "Resume" in (await alice.get(address)).text


async def test_a_stranger_is_sent_to_the_login_and_from_there_to_the_page(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    address = f"renku/projects/alice/climate/-/sessions/{session.id}"
    async with httpx.AsyncClient(base_url=hub.url, trust_env=False) as nobody:
        looked = await nobody.get(f"{address}?path=lab")
        acted = await nobody.post(f"{address}/start", data={"back": "projects"})
    assert (looked.status_code, acted.status_code) == (302, 303)
    assert looked.headers["location"].endswith(quote(f"{address}?path=lab", safe=""))
    assert acted.headers["location"].endswith(quote(address, safe=""))
    assert await hub.status(session, "alice") is InstanceStatus.INACTIVE


async def test_a_hidden_project_and_none_are_the_same_page(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    dave = await hub.visitor("dave")
    form = {"_xsrf": xsrf(dave)}
    pages = [
        await dave.get("renku/projects/alice/climate"),
        await dave.get("renku/projects/alice/nothing"),
        await dave.get("renku/projects/alice/climate/-/settings"),
        await dave.get(f"renku/projects/alice/climate/-/sessions/{session.id}"),
        await dave.get("renku/projects/alice/climate/-/sessions/aaaaaaaaaaaa"),
        await dave.get("renku/projects/alice/climate/-/sessions/1e9"),
        await dave.get("renku/launch/alice/climate"),
        await dave.get("renku/no/such/page"),
        await dave.post(f"renku/projects/alice/climate/-/sessions/{session.id}/start", data=form),
        await dave.post("renku/projects/alice/climate/-/delete", data=form),
        await dave.post("renku/projects/no/thing/-/sessions", data=form | {"environment": "aaaaaaaaaaaa"}),
        await dave.get(f"renku/sessions/{session.id}/data"),
    ]
    assert {page.status_code for page in pages} == {404}
    assert len({page.content for page in pages}) == 1


async def test_a_form_without_or_with_a_foreign_token_does_nothing(renku_hub):
    hub = await renku_hub()
    await hub.project()
    alice = await hub.visitor("alice")
    new = {"title": "Ocean", "slug": "ocean"}
    for form in (new, new | {"_xsrf": "foreign"}):
        answer = await alice.post("renku/projects", data=form)
        assert answer.status_code == 403, answer.text
    for site in ("cross-site", "same-site"):
        answer = await alice.post("renku/projects", data=new | {"_xsrf": xsrf(alice)}, headers={"Sec-Fetch-Site": site})
        assert answer.status_code == 403, answer.text
    assert (await alice.get("renku/projects/alice/ocean")).status_code == 404


async def test_a_project_is_made_by_the_form_and_a_mistake_is_shown_in_it(renku_hub):
    hub = await renku_hub()
    alice = await hub.visitor("alice")
    form = {"_xsrf": xsrf(alice), "title": "Ocean & Co", "slug": "a b", "repositories": "file:///etc"}
    wrong = await alice.post("renku/projects", data=form)
    assert wrong.status_code == 422
    assert 'id="slug-error"' in wrong.text
    assert 'value="Ocean &amp; Co"' in wrong.text
    wrong = await alice.post("renku/projects", data=form | {"slug": "ocean"})
    assert 'id="repositories-error"' in wrong.text
    made = await alice.post("renku/projects", data=form | {"slug": "ocean", "repositories": ""})
    assert (made.status_code, made.headers["location"][-12:]) == (303, "/alice/ocean")
    taken = await alice.post("renku/projects", data=form | {"slug": "ocean", "repositories": ""})
    assert taken.status_code == 409
    assert 'id="slug-error"' in taken.text


async def test_path_of_a_new_project_is_made_from_its_title(renku_hub):
    hub = await renku_hub()
    alice = await hub.visitor("alice")
    form = {"_xsrf": xsrf(alice), "slug": "", "repositories": ""}
    made = await alice.post("renku/projects", data=form | {"title": "Ocean & Co"})
    assert (made.status_code, made.headers["location"][-15:]) == (303, "/alice/ocean-co")
    wrong = await alice.post("renku/projects", data=form | {"title": "雪"})
    assert (wrong.status_code, 'id="slug-error"' in wrong.text) == (422, True)


async def test_new_member_is_offered_names_from_shared_projects_only(renku_hub):
    hub = await renku_hub()
    await hub.project()
    hub.user("zoe")
    alice, bob = hub.client("alice"), hub.client("bob")
    for client, path in ((alice, "alice/second"), (bob, "bob/own")):
        assert (await client.post("api/renku/projects", json={"path": path, "title": "Second"})).status_code == 201
    page = (await (await hub.visitor("alice")).get("renku/projects/alice/second/-/settings")).text
    offered = page.partition('<datalist id="known-names">')[2].partition("</datalist>")[0]
    assert offered == '<option value="bob"><option value="carol">'
    page = (await (await hub.visitor("carol")).get("renku/projects/alice/climate/-/settings")).text
    assert "<datalist" not in page
    rows = page.partition('aria-label="Members"')[2]
    assert rows.index("alice") < rows.index("bob") < rows.index("carol")


async def test_one_path_is_accepted_by_form_and_api(renku_hub):
    hub = await renku_hub()
    alice, api = await hub.visitor("alice"), hub.client("alice")
    form = {"_xsrf": xsrf(alice), "title": "Snow", "slug": "Snow_1.x", "repositories": ""}
    assert (await alice.post("renku/projects", data=form)).status_code == 303
    assert (await api.post("api/renku/projects", json={"path": "alice/Snow_1.y", "title": "X"})).status_code == 201


async def test_a_session_is_added_edited_and_removed_by_forms(renku_hub):
    hub = await renku_hub()
    project = await hub.project()
    alice = await hub.visitor("alice")
    offered, _ = await list_offered_environments(hub.parts, hub.person("alice"))
    base, form = "renku/projects/alice/climate/-/sessions", {"_xsrf": xsrf(alice)}
    added = await alice.post(base, data=form | {"environment": offered[0].id})
    assert added.status_code == 303, added.text
    session = (await load_project_page(hub.parts, hub.person("alice"), project.id)).sessions[0].session
    edit = form | {
        "title": "Better", "cpu": "2000", "memory": "1Gi", "gpu": "", "disk": "1Gi", "which": "some",
        "variables": "A=1", "version": str(session.version),
    }  # fmt: skip
    wrong = await alice.post(f"{base}/{session.id}/edit", data=edit)
    assert (wrong.status_code, 'id="cpu-error"' in wrong.text) == (422, True)
    assert (await alice.post(f"{base}/{session.id}/edit", data=edit | {"cpu": "1"})).status_code == 303
    stale = await alice.post(f"{base}/{session.id}/edit", data=edit | {"cpu": "1"})
    assert (stale.status_code, "This session was changed since you opened the page." in stale.text) == (409, True)
    page = await alice.get(f"{base}/{session.id}")
    assert "Better" in page.text
    assert "A=1" in page.text
    wrong = await alice.post(f"{base}/{session.id}/delete", data=form | {"confirm": "better"})
    assert (wrong.status_code, 'id="confirm-error"' in wrong.text) == (422, True)
    assert (await alice.post(f"{base}/{session.id}/delete", data=form | {"confirm": "Better"})).status_code == 303
    assert (await alice.get(f"{base}/{session.id}")).status_code == 404


def version_of(page: str) -> str:
    """The version that the forms of a page of settings carry."""
    [version] = set(re.findall(r'name="version" value="(\d+)"', page.partition('id="storages"')[0]))
    return version


async def test_settings_keep_repositories_and_members(renku_hub):
    hub = await renku_hub(Renku={"repository_hosts": {"git.test"}})
    await hub.project()
    hub.user("dave")
    alice, base = await hub.visitor("alice"), "renku/projects/alice/climate/-"

    async def post(where, **fields):
        version = version_of((await alice.get(f"{base}/settings")).text)
        return await alice.post(f"{base}/{where}", data={"_xsrf": xsrf(alice), "version": version} | fields)

    one = {"url": "http://git.test/x.git", "ref": "", "directory": ""}
    assert (await post("repositories", **one)).status_code == 303
    wrong = await post("repositories", **one | {"url": "ext::sh -c x", "lfs": "yes"})
    assert (wrong.status_code, 'id="url-error"' in wrong.text) == (422, True)
    assert "ext::sh" in wrong.text
    assert [f'name="{name}" value="yes" checked' in wrong.text for name in ("lfs", "submodules")] == [True, False]
    assert (await post("repositories", url="http://git.test/y.git", lfs="yes", submodules="yes")).status_code == 303
    assert "with large files and submodules" in (await alice.get(f"{base}/settings")).text
    kept = (await hub.client("alice").get("api/renku/projects/alice%2Fclimate")).json()["repositories"]
    assert [(r["lfs"], r["submodules"]) for r in kept] == [(False, False), (True, True)]
    assert (await post("repositories/y/delete")).status_code == 303
    assert (await post("members", username="dave", role="editor")).status_code == 303
    page = (await alice.get(f"{base}/settings")).text
    assert "http://<wbr>git.test" in page or "git.test" in page
    assert "dave" in page
    assert (await post("repositories/x/delete")).status_code == 303
    assert (await post("members/dave/delete")).status_code == 303
    assert "dave" not in (await alice.get(f"{base}/settings")).text
    last = await post("members/alice/delete")
    assert last.status_code == 409


@pytest.mark.parametrize(
    ("where", "fields"),
    [
        ("settings", {"title": "Mine", "slug": "climate", "visibility": "public"}),
        ("repositories", {"url": "http://git.test/x.git", "ref": "", "directory": ""}),
        ("repositories/data/delete", {}),
        ("members", {"username": "carol", "role": "viewer"}),
        ("members/carol/delete", {}),
    ],
)
async def test_settings_that_another_user_changed_meanwhile_are_shown_again_and_nothing_is_done(
    renku_hub, where, fields
):
    hub = await renku_hub(Renku={"repository_hosts": {"git.test"}})
    repository = NewRepository(url="http://git.test/data.git", directory="data")
    project = await hub.project(repositories=(repository,))
    alice, base = await hub.visitor("alice"), "renku/projects/alice/climate/-"
    shown = version_of((await alice.get(f"{base}/settings")).text)
    carol = ProjectMember(kind="user", name="carol", role=Role.EDITOR)
    members = (*(m for m in project.members if m.name != "carol"), carol)
    now = await change_project(
        hub.parts, hub.person("alice"), project.id, ProjectChange(version=project.version, members=members)
    )
    form = {"_xsrf": xsrf(alice), "version": shown, **fields}
    again = await alice.post(f"{base}/{where}", data=form)
    assert (again.status_code, "This project was changed since you opened the page." in again.text) == (409, True)
    assert version_of(again.text) == str(now.version)
    assert (await get_project(hub.parts, hub.person("alice"), project.id)) == now
    assert (await alice.post(f"{base}/{where}", data=form | {"version": str(now.version)})).status_code == 303


async def test_a_member_who_has_never_logged_in_is_confirmed_first_and_never_an_owner(renku_hub):
    hub = await renku_hub()
    project = await hub.project()
    hub.user("dave")
    alice, base = await hub.visitor("alice"), "renku/projects/alice/climate/-"

    async def post(name, role, **more):
        version = version_of((await alice.get(f"{base}/settings")).text)
        form = {"_xsrf": xsrf(alice), "version": version, "username": name, "role": role} | more
        return await alice.post(f"{base}/members", data=form)

    asked = await post("ghost", "viewer")
    assert (asked.status_code, 'id="username-error"' in asked.text) == (422, True)
    assert "“ghost” has never logged in here. Add anyway?" in asked.text
    assert 'name="allow_unknown" value="yes"' in asked.text and 'value="ghost"' in asked.text
    for confirmed in ({}, {"allow_unknown": "yes"}):
        owner = await post("ghost", "owner", **confirmed)
        assert (owner.status_code, "allow_unknown" in owner.text) == (422, False)
        assert "Only users and groups that this hub knows can be owners." in owner.text
    assert (await post("ghost", "viewer", allow_unknown="yes")).status_code == 303
    assert (await post("ghost", "editor")).status_code == 303, "who is a member is not asked about again"
    assert (await post("ghost", "owner", allow_unknown="yes")).status_code == 422
    assert (await post("dave", "owner")).status_code == 303
    roles = {m.name: m.role for m in (await get_project(hub.parts, hub.person("alice"), project.id)).members}
    assert roles == {
        "alice": Role.OWNER, "bob": Role.EDITOR, "carol": Role.VIEWER, "ghost": Role.EDITOR, "dave": Role.OWNER,
    }  # fmt: skip


async def test_the_api_names_members_whom_the_hub_does_not_know(renku_hub):
    hub = await renku_hub()
    project = await hub.project()
    hub.group("lab")
    alice, address = hub.client("alice"), "api/renku/projects/alice%2Fclimate"
    owner = {"name": "alice", "role": "owner"}
    new = [owner, {"name": "ghost", "role": "viewer"}, {"kind": "group", "name": "none", "role": "editor"}]
    refused = await alice.patch(address, json={"version": project.version, "members": new})
    assert (refused.status_code, refused.json()["code"]) == (422, "member_unknown")
    assert refused.json()["fields"] == {
        "members.1.name": "“ghost” has never logged in here. Add anyway?",
        "members.2.name": "There is no group “none” here. Add anyway?",
    }
    ghosts = [owner, {"name": "ghost", "role": "owner"}]
    refused = await alice.patch(address, json={"version": project.version, "members": ghosts, "allow_unknown": True})
    assert (refused.status_code, list(refused.json()["fields"])) == (422, ["members.1.name"])
    new.append({"kind": "group", "name": "lab", "role": "owner"})
    added = await alice.patch(address, json={"version": project.version, "members": new, "allow_unknown": True})
    assert (added.status_code, len(added.json()["members"])) == (200, 4)


async def test_a_variable_whose_name_looks_secret_is_confirmed_once(renku_hub):
    hub = await renku_hub()
    project = await hub.project()
    alice, base = await hub.visitor("alice"), "renku/projects/alice/climate/-/sessions"
    question = "Everybody who sees this project will read API_TOKEN. Save anyway?"
    fields = {"_xsrf": xsrf(alice), "environment": await hub.ready_made(), "variables": "API_TOKEN=1\nSEED=2"}
    asked = await alice.post(base, data=fields)
    assert (asked.status_code, question in asked.text, 'name="allow_secret"' in asked.text) == (422, True, True)
    assert (await alice.post(base, data=fields | {"allow_secret": "yes"})).status_code == 303
    wrong = await alice.post(base, data=fields | {"variables": "JUPYTERHUB_API_TOKEN=1"})
    assert (wrong.status_code, 'name="allow_secret"' in wrong.text) == (422, False)

    client, address = hub.client("alice"), f"api/renku/projects/{project.id}/sessions"
    session = (await client.get(address)).json()["items"][0]
    one = f"{address}/{session['id']}"

    async def save(version, names, **more):
        configuration = {"variables": dict.fromkeys(names, "1")}
        return await client.patch(one, json={"version": version, "configuration": configuration} | more)

    kept = await save(session["version"], ["API_TOKEN"])
    assert kept.status_code == 200, "a name that was confirmed is not asked about again"
    version = kept.json()["version"]
    refused = await save(version, ["API_TOKEN", "DB_PASSWORD", "MY_SECRET"])
    assert (refused.status_code, refused.json()["code"]) == (422, "variable_secret")
    assert refused.json()["fields"]["variables"].startswith("Everybody who sees this project will read DB_PASSWORD and")
    assert (await save(version, ["DB_PASSWORD", "MY_SECRET"], allow_secret=True)).status_code == 200


async def test_a_repository_is_changed_in_its_place(renku_hub):
    hub = await renku_hub()
    await hub.project()
    alice, base = await hub.visitor("alice"), "renku/projects/alice/climate/-"

    async def send(version=None, **fields):
        version = version or version_of((await alice.get(f"{base}/settings")).text)
        return await alice.post(f"{base}/repositories", data={"_xsrf": xsrf(alice), "version": version} | fields)

    for name in ("one", "two"):
        assert (await send(url=f"https://git.example.org/a/{name}.git")).status_code == 303
    project = await get_project(hub.parts, hub.person("alice"), "alice/climate")
    session = await hub.session(project, repositories=("two", "one"))
    form = (await alice.get(f"{base}/settings?change=one")).text
    assert "settings?change=two#repository" in form
    assert 'name="instead" value="one"' in form and 'value="https://git.example.org/a/one.git"' in form
    wrong = await send(instead="one", url="https://git.example.org/a/one.git", directory="two")
    assert (wrong.status_code, 'name="instead" value="one"' in wrong.text) == (422, True), "it stays a change"
    saved = await send(
        instead="one", url="https://git.example.org/a/other.git", ref="dev", directory="three", lfs="yes"
    )
    assert saved.status_code == 303
    project = await get_project(hub.parts, hub.person("alice"), "alice/climate")
    assert [(r.directory, r.url, r.ref, r.lfs) for r in project.repositories] == [
        ("three", "https://git.example.org/a/other.git", "dev", True),
        ("two", "https://git.example.org/a/two.git", None, False),
    ]
    found = await hub.client("alice").get(f"api/renku/projects/{project.id}/sessions/{session.id}")
    assert found.json()["configuration"]["repositories"] == ["two", "three"], "a session that selects it follows"
    gone = await send(instead="one", url="https://git.example.org/a/one.git")
    assert (gone.status_code, "The project no longer has this repository." in gone.text) == (422, True)


async def test_one_rule_says_what_the_path_of_a_project_may_be(renku_hub):
    hub = await renku_hub()
    await hub.project()
    alice, api = await hub.visitor("alice"), hub.client("alice")
    forms = [(await alice.get(f"renku/projects/{page}")).text for page in ("new", "alice/climate/-/settings")]
    form = {"_xsrf": xsrf(alice), "title": "X", "slug": "-x", "visibility": "private"}
    wrong = await alice.post("renku/projects", data=form)
    refused = await api.post("api/renku/projects", json={"path": "alice/-x", "title": "X"})
    document = (await api.get("api/renku/openapi.json")).json()["components"]["schemas"]
    said = [*forms, wrong.text, refused.json()["fields"]["path"], " ".join(USERS.read_text().split())]
    said += [document[name]["properties"]["path"]["description"] for name in ("ProjectBody", "ProjectChangeBody")]
    assert [PATH_PART_RULE in unescape(text) for text in said] == [True] * 7
    assert [wrong.status_code, refused.status_code] == [422, 422]


async def test_an_empty_project_offers_its_editors_everything_that_can_be_added(renku_hub):
    hub = await renku_hub()
    await hub.project()
    base = "renku/projects/alice/climate/-"
    ways = [f"{base}/sessions/new", f"{base}/settings#repositories", f"{base}/storages/new"]
    for name, shown in (("alice", True), ("bob", True), ("carol", False)):
        page = (await (await hub.visitor(name)).get("renku/projects/alice/climate")).text
        assert [f'{way}"' in page for way in ways] == [shown] * 3


async def test_a_viewer_launches_and_changes_nothing(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    carol = await hub.visitor("carol")
    base, form = "renku/projects/alice/climate/-/sessions", {"_xsrf": xsrf(carol)}
    page = (await carol.get("renku/projects/alice/climate")).text
    assert "Add session" not in page
    assert "Make default" not in page
    assert (await carol.get(f"{base}/new")).status_code == 403
    assert (await carol.post(f"{base}/{session.id}/default", data=form)).status_code == 403
    assert (await carol.post(f"{base}/{session.id}/delete", data=form | {"confirm": "Explore"})).status_code == 403
    started = await carol.post(f"{base}/{session.id}/start", data=form)
    assert started.status_code == 303
    await hub.becomes(session, InstanceStatus.RUNNING, "carol")
    assert await hub.status(session, "alice") is InstanceStatus.INACTIVE


async def test_data_are_deleted_after_the_title_was_typed(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    alice = await hub.visitor("alice")
    form = {"_xsrf": xsrf(alice)}
    await alice.post(f"renku/projects/alice/climate/-/sessions/{session.id}/start", data=form)
    instance = await hub.becomes(session, InstanceStatus.RUNNING)
    (hub.parts.workspace / instance.claim / "work" / "note.txt").write_text("only here")
    page = await alice.get(f"renku/sessions/{session.id}/data")
    assert "files outside of repositories" in page.text
    assert "would be lost" in page.text
    wrong = await alice.post(f"renku/sessions/{session.id}/data", data=form | {"confirm": "explore"})
    assert (wrong.status_code, 'id="confirm-error"' in wrong.text) == (422, True)
    assert await hub.status(session) is InstanceStatus.RUNNING
    done = await alice.post(f"renku/sessions/{session.id}/data", data=form | {"confirm": "Explore"})
    assert done.status_code == 303, done.text
    assert await hub.status(session) is InstanceStatus.INACTIVE
    assert not (hub.parts.workspace / instance.claim).exists()


async def test_a_launch_link_starts_nothing_until_start_is_pressed(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project(public=True))
    dave = await hub.visitor("dave")
    page = await dave.get("renku/launch/alice/climate?path=lab/tree/a b.ipynb&branch=x")
    assert page.status_code == 200
    assert "lab/tree/a b.ipynb" in page.text
    assert "branch" in page.text
    assert await hub.status(session, "dave") is InstanceStatus.INACTIVE
    form = {"_xsrf": xsrf(dave), "path": "lab/tree/a b.ipynb"}
    started = await dave.post("renku/launch/alice/climate", data=form)
    assert started.status_code == 303
    await hub.becomes(session, InstanceStatus.RUNNING, "dave")
    shown = await dave.get(str(httpx.URL(hub.url).join(started.headers["location"])))
    assert f"/user/dave/{session.id}/lab/tree/a%20b.ipynb" in shown.text


async def test_an_old_path_leads_to_the_new_one(renku_hub):
    hub = await renku_hub()
    project = await hub.project()
    change = ProjectChange(version=project.version, path="alice/weather")
    await change_project(hub.parts, hub.person("alice"), project.id, change)
    answer = await (await hub.visitor("alice")).get("renku/projects/alice/climate")
    assert (answer.status_code, answer.headers["location"][-14:]) == (302, "/alice/weather")


async def test_back_never_leads_away(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    alice = await hub.visitor("alice")
    for back in (
        "//evil.example",
        "https://evil.example",
        "project?next=//evil",
        "\r\nX: y",
        "projects?after=%0d%0aX:y",
    ):
        form = {"_xsrf": xsrf(alice), "back": back}
        answer = await alice.post(f"renku/projects/alice/climate/-/sessions/{session.id}/default", data=form)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith(hub.app.hub.base_url)
        assert "evil" not in answer.headers["location"].partition("?")[0]
        assert "x" not in answer.headers


async def test_pages_carry_the_headers_that_browsers_need(renku_hub):
    hub = await renku_hub()
    alice = await hub.visitor("alice")
    for address in ("renku/projects", "renku/no/such/page"):
        headers = (await alice.get(address, headers={"Host": "evil.example"})).headers
        assert headers["cache-control"] == "no-store"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["x-content-type-options"] == "nosniff"
        for part in ("object-src 'none'", "base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'"):
            assert part in headers["content-security-policy"]


async def test_no_address_is_made_from_the_host_of_a_request(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    alice = await hub.visitor("alice")
    hostile = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "gopher"}
    for address in (f"renku/projects/alice/climate/-/sessions/{session.id}", "renku/projects", "renku/"):
        answer = await alice.get(address, headers=hostile)
        assert "evil" not in answer.text + str(answer.headers)
    assert (
        hub.app.bind_url.split("/@")[0]
        in (await alice.get(f"renku/projects/alice/climate/-/sessions/{session.id}")).text
    )


async def test_a_field_that_stands_twice_is_refused(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    alice = await hub.visitor("alice")
    address = f"renku/projects/alice/climate/-/sessions/{session.id}/start"
    form = {"_xsrf": xsrf(alice), "resource_class": ["small", "large"]}
    assert (await alice.post(address, data=form)).status_code == 400
    assert await hub.status(session) is InstanceStatus.INACTIVE


async def test_a_form_with_foreign_fields_is_refused(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    alice = await hub.visitor("alice")
    form = {"_xsrf": xsrf(alice), "image": "evil"}
    answer = await alice.post(f"renku/projects/alice/climate/-/sessions/{session.id}/start", data=form)
    assert answer.status_code == 422
    assert await hub.status(session) is InstanceStatus.INACTIVE


async def test_work_that_is_nowhere_else_is_shown_before_data_are_deleted(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    alice = await hub.visitor("alice")
    start = f"renku/projects/alice/climate/-/sessions/{session.id}/start"
    await alice.post(start, data={"_xsrf": xsrf(alice)})
    instance = await hub.becomes(session, InstanceStatus.RUNNING)
    repository = hub.parts.workspace / instance.claim / "work" / "analysis"
    await asyncio.to_thread(subprocess.run, ["git", "init", "-q", "-b", "main", repository], check=True)
    (repository / "new.py").write_text("1\n")
    page = (await alice.get(f"renku/sessions/{session.id}/data")).text
    assert "<code>analysis</code>" in page
    assert "would be lost" in page
    assert "It is running and will be stopped first" in page
    assert "as it is now" in page
    await alice.post(f"renku/sessions/{session.id}/pause", data={"_xsrf": xsrf(alice)})
    await hub.becomes(session, InstanceStatus.PAUSED)
    page = (await alice.get(f"renku/sessions/{session.id}/data")).text
    assert "<code>analysis</code>" in page
    assert "as it is now" in page


async def test_the_head_of_the_project_starts_its_default_and_a_writer_may_change_it(renku_hub):
    hub = await renku_hub()
    project = await hub.project()
    first, second = await hub.session(project, "One"), await hub.session(project, "Two", key="r")
    bob = await hub.visitor("bob")
    assert "Start One" in (await bob.get("renku/projects/alice/climate")).text
    form = {"_xsrf": xsrf(bob), "back": "project"}
    assert (
        await bob.post(f"renku/projects/alice/climate/-/sessions/{second.id}/default", data=form)
    ).status_code == 303
    assert "Start Two" in (await bob.get("renku/projects/alice/climate")).text
    removal = f"renku/projects/alice/climate/-/sessions/{second.id}/delete"
    assert f'value="{first.id}" selected' in (await bob.get(removal)).text
    gone = await bob.post(removal, data={"_xsrf": xsrf(bob), "confirm": "Two", "new_default": first.id})
    assert gone.status_code == 303
    assert "Start One" not in (await bob.get("renku/projects/alice/climate")).text  # its card is the only one
    assert (await get_project(hub.parts, hub.person("bob"), project.id)).default_session == first.id


async def test_who_lost_access_still_pauses_and_deletes(renku_hub):
    hub = await renku_hub()
    project = await hub.project()
    session = await hub.session(project)
    carol = await hub.visitor("carol")
    form = {"_xsrf": xsrf(carol)}
    await carol.post(f"renku/projects/alice/climate/-/sessions/{session.id}/start", data=form)
    await hub.becomes(session, InstanceStatus.RUNNING, "carol")
    await delete_project(hub.parts, hub.person("alice"), project.id)
    page = (await carol.get("renku/sessions")).text
    assert "Explore" in page
    assert "climate" not in page.lower()
    assert (await carol.post(f"renku/sessions/{session.id}/resume", data=form)).status_code == 404
    paused = await carol.post(f"renku/sessions/{session.id}/pause", data=form | {"back": "project"})
    assert (paused.status_code, "climate" in paused.headers["location"]) == (303, False)
    await hub.becomes(session, InstanceStatus.PAUSED, "carol")
    done = await carol.post(f"renku/sessions/{session.id}/data", data=form | {"confirm": "Explore"})
    assert done.status_code == 303
    assert await hub.status(session, "carol") is InstanceStatus.INACTIVE


async def test_who_fits_no_class_is_told_why_start_is_disabled(renku_hub):
    classes = [
        {"name": "small", "cpu": "1", "memory": "2Gi"},
        {"name": "big", "cpu": "8", "memory": "32Gi", "users": ["bob"]},
    ]
    hub = await renku_hub(Renku={"resource_classes": classes})
    session = await hub.session(await hub.project(), needs=ResourceRequirements(cpu="4", memory="1Gi", disk="1Gi"))
    carol = await hub.visitor("carol")
    page = (await carol.get("renku/projects/alice/climate")).text
    assert "None of your classes has 4 CPU" in page
    address = f"renku/projects/alice/climate/-/sessions/{session.id}/start"
    refused = await carol.post(address, data={"_xsrf": xsrf(carol)})
    assert (refused.status_code, "None of your classes" in refused.text) == (409, True)


async def test_the_forms_that_make_a_project_public_say_what_everybody_then_reads(renku_hub):
    hub = await renku_hub()
    project, alice = await hub.project(), await hub.visitor("alice")
    for page in ("renku/projects/new", f"renku/projects/{project.path}/-/settings"):
        text = (await alice.get(page)).text
        assert "also its members, its variables and the addresses of its storages" in text, page
