"""The API on a live hub, with tokens."""

import pytest
from jupyterhub import orm

from renku_spawner.domain.instances import InstanceStatus

PROJECT = {"path": "alice/ocean", "title": "Ocean", "visibility": "private"}


async def environment(client, name="Jupyter Python"):
    items = (await client.get("api/renku/environments")).json()["items"]
    return next(item["id"] for item in items if item["name"] == name)


async def test_a_project_is_made_changed_listed_and_deleted(renku_hub):
    hub = await renku_hub()
    alice = hub.client("alice")
    made = await alice.post("api/renku/projects", json=PROJECT)
    assert made.status_code == 201, made.text
    address = f"api/renku/projects/{made.json()['id']}"
    assert made.headers["location"].endswith(address)
    assert (await alice.get("api/renku/projects/alice%2Focean")).json() == made.json()
    changed = await alice.patch(address, json={"version": made.json()["version"], "title": "Sea"})
    assert changed.json()["title"] == "Sea"
    stale = await alice.patch(address, json={"version": made.json()["version"], "title": "Lake"})
    assert (stale.status_code, stale.json()["code"]) == (409, "changed")
    assert [p["title"] for p in (await alice.get("api/renku/projects")).json()["items"]] == ["Sea"]
    assert (await alice.delete(address)).status_code == 204
    assert (await alice.get(address)).status_code == 404


async def test_a_session_is_added_changed_and_removed(renku_hub):
    hub = await renku_hub()
    alice, project = hub.client("alice"), await hub.project()
    address = f"api/renku/projects/{project.id}/sessions"
    body = {"environment": await environment(alice), "configuration": {"cpu": "250m", "variables": {"A": "{b}"}}}
    made = (await alice.post(address, json=body)).json()
    assert (made["title"], made["is_default"], made["instance"]["status"]) == ("Jupyter Python", True, "inactive")
    change = {"version": made["version"], "configuration": {"memory": "2Gi"}}
    changed = (await alice.patch(f"{address}/{made['id']}", json=change)).json()
    assert changed["configuration"] == made["configuration"] | {"memory": "2Gi"}
    assert (await alice.delete(f"{address}/{made['id']}")).status_code == 204
    assert (await alice.get(address)).json() == {"items": [], "next": None}


async def test_an_instance_is_started_paused_and_deleted(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    alice, address = hub.client("alice"), f"api/renku/projects/alice%2Fclimate/sessions/{session.id}"
    started = await alice.post(f"{address}/start", json={"resource_class": "medium"})
    assert (started.status_code, started.json()["status"]) in ((202, "launching"), (200, "running"))
    assert started.json()["resource_class"] == "medium"
    await hub.becomes(session, InstanceStatus.RUNNING)
    again = await alice.post(f"{address}/start")
    assert (again.status_code, again.json()["status"]) == (200, "running")
    assert again.json()["url"].endswith(f"/user/alice/{session.id}/")
    assert (await alice.post(f"api/renku/sessions/{session.id}/pause")).status_code == 202
    await hub.becomes(session, InstanceStatus.PAUSED)
    mine = (await alice.get("api/renku/sessions")).json()["items"]
    assert [(m["session"], m["instance"]["status"]) for m in mine] == [(session.id, "paused")]
    assert (await alice.delete(f"api/renku/sessions/{session.id}/instance")).status_code == 204
    await hub.becomes(session, InstanceStatus.INACTIVE)


async def test_lists_go_on_where_next_leads(renku_hub):
    hub = await renku_hub()
    project, alice = await hub.project(), hub.client("alice")
    for title in ("One", "Two", "Three"):
        await hub.session(project, title)
    first = (await alice.get(f"api/renku/projects/{project.id}/sessions", params={"limit": 2})).json()
    second = (await alice.get(str(hub.app.bind_url).split("/@")[0] + first["next"])).json()
    assert [s["title"] for s in first["items"] + second["items"]] == ["One", "Two", "Three"]
    assert second["next"] is None


async def test_a_narrowed_token_reads_and_does_no_more(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    reader = hub.client("alice", scopes=["custom:renku:read"])
    address = f"api/renku/projects/alice%2Fclimate/sessions/{session.id}"
    assert (await reader.get(address)).status_code == 200
    for refused in (await reader.post(f"{address}/start"), await reader.patch(address, json={"version": 1})):
        assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")


async def test_a_stranger_is_told_the_same_of_a_hidden_project_as_of_none(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    dave = hub.client("dave")
    answers = [
        await dave.get("api/renku/projects/alice%2Fclimate"),
        await dave.get("api/renku/projects/alice%2Fnothing"),
        await dave.get("api/renku/projects/.."),
        await dave.get(f"api/renku/projects/alice%2Fclimate/sessions/{session.id}"),
        await dave.post(f"api/renku/projects/alice%2Fclimate/sessions/{session.id}/start"),
        await dave.get("api/renku/sessions/aaaaaaaaaaaa/logs"),
        await dave.get("api/renku/no/such/thing"),
        await dave.get(f"{hub.app.hub.url}api/renku/projects/%ff%00"),  # the proxy would answer that itself
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1


async def test_a_second_session_of_the_same_environment_is_refused_by_name(renku_hub):
    hub = await renku_hub()
    project, alice = await hub.project(), hub.client("alice")
    first, second = await hub.session(project, "One"), await hub.session(project, "Two")
    await alice.post(f"api/renku/projects/{project.id}/sessions/{first.id}/start")
    refused = await alice.post(f"api/renku/projects/{project.id}/sessions/{second.id}/start")
    assert (refused.status_code, refused.json()["code"]) == (409, "already_running")
    assert refused.json()["session"] == first.id
    await hub.becomes(first, InstanceStatus.RUNNING)


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b'{"title": "a", "title": "b"}', "application/json", 400),
        (b'{"title": "\xff"}', "application/json", 400),
        (b'{"title": "\\ud800"}', "application/json", 400),
        (b"[" * 20_000, "application/json", 400),
        (b"{" * 30, "application/json", 400),
        (b'{"a": ' * 25 + b"1" + b"}" * 25, "application/json", 400),
        (b"[]", "application/json", 422),
        (b'{"path": "alice/x", "title": "X", "id": "aaaaaaaaaaaa"}', "application/json", 422),
        (b'{"path": "alice/x", "title": "X", "__proto__": {}}', "application/json", 422),
        (b'{"path": "alice/x", "title": "X"}', "text/plain", 415),
        (b'{"path": "alice/x", "title": "X"}', "", 415),
        (b" " * 70_000, "application/json", 413),
        (b'{"path": "bob/x", "title": "X"}', "application/json", 403),
        (b'{"path": "alice/x", "title": "a\\u0000b"}', "application/json", 422),
    ],
)
async def test_bad_bodies_are_refused_and_nothing_is_stored(renku_hub, content, kind, status):
    hub = await renku_hub()
    alice = hub.client("alice")
    answer = await alice.post("api/renku/projects", content=content, headers={"Content-Type": kind} if kind else {})
    assert answer.status_code == status, answer.text
    assert answer.json()["status"] == status
    assert (await alice.get("api/renku/projects")).json()["items"] == []


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
async def test_every_method_wants_json(renku_hub, method):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    address = f"api/renku/projects/alice%2Fclimate/sessions{'' if method == 'POST' else f'/{session.id}'}"
    answer = await hub.client("alice").request(method, address, content=b"{}", headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


async def test_a_parameter_that_stands_twice_is_refused(renku_hub):
    hub = await renku_hub()
    answer = await hub.client("alice").get("api/renku/projects?limit=1&limit=2")
    assert answer.status_code == 400


async def test_a_method_that_is_not_there_is_405_and_says_which_are(renku_hub):
    hub = await renku_hub()
    answer = await hub.client("alice").put("api/renku/environments", json={})
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")


async def test_the_token_of_a_deleted_user_opens_nothing(renku_hub):
    hub = await renku_hub()
    dave = hub.client("dave")
    assert (await dave.get("api/renku/projects")).status_code == 200
    row = orm.User.find(hub.app.db, "dave")
    hub.app.users.delete(row)
    answer = await dave.get("api/renku/projects")
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/json")


async def test_a_cookie_needs_the_token_of_the_form(renku_hub):
    hub = await renku_hub()
    alice = await hub.visitor("alice")
    fetched = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}
    assert (await alice.get("api/renku/projects", headers=fetched)).status_code == 403
    assert (await alice.post("api/renku/projects", json=PROJECT)).status_code == 403
