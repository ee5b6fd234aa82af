"""Somebody who may not see a project cannot tell that it exists: on no page, call, entry of the hub, link or stream."""

import asyncio
from threading import current_thread, main_thread

import httpx
import pytest
import sqlalchemy

from renku_spawner.domain.access import Visibility
from renku_spawner.domain.ids import create_id
from renku_spawner.domain.instances import InstanceStatus
from renku_spawner.domain.projects import ProjectChange
from renku_spawner.usecases.projects import change_project, get_project
from tests.fixtures.renku import until, xsrf
from tests.web.test_matrix import told

# Entries of the hub itself; `{id}` is a session's id.
HUB_PAGES = [
    ("GET", "spawn/dave/{id}"), ("GET", "spawn/alice/{id}"), ("POST", "spawn/dave/{id}"), ("POST", "spawn/alice/{id}"),
    ("GET", "spawn-pending/dave/{id}"), ("GET", "spawn-pending/alice/{id}"), ("GET", "user/dave/{id}/"),
    ("GET", "user/alice/{id}/"), ("GET", "user/dave/{id}/lab?x=y"), ("GET", "spawn/dave/{id}?opt-resource_class=small"),
    ("GET", "user-redirect/lab?server={id}"), ("GET", "accept-share?code={id}"),
]  # fmt: skip
HUB_CALLS = [
    ("POST", "api/users/dave/servers/{id}", {}), ("POST", "api/users/alice/servers/{id}", {}),
    ("POST", "api/users/dave/servers/{id}", {"user_options": {"resource_class": "small"}}),
    ("DELETE", "api/users/dave/servers/{id}", {}), ("DELETE", "api/users/dave/servers/{id}", {"remove": True}),
    ("DELETE", "api/users/alice/servers/{id}", {}),
    ("GET", "api/users/dave/servers/{id}/progress", None),
    ("GET", "api/users/alice/servers/{id}/progress", None), ("GET", "api/users/alice", None),
    ("PATCH", "api/users/dave/servers/{id}", {"display_name": "x"}),
    ("PATCH", "api/users/alice/servers/{id}", {"display_name": "x"}),
    ("GET", "api/shares/alice/{id}", None), ("POST", "api/share-codes/alice/{id}", {}),
]  # fmt: skip


async def asked(client, method, address, session, body=None):
    """An answer in which the id that was asked for is written `{id}`."""
    data = {"json": body} if body is not None else {}
    if method == "POST" and body is None:
        data = {"data": {"_xsrf": xsrf(client)}}
    answer = await client.request(method, address.format(id=session), **data)
    status, headers, content = told((answer.status_code, answer.headers, answer.content))
    return (
        status,
        {k: v.replace(session, "{id}") for k, v in headers.items()},
        content.replace(session.encode(), b"{id}"),
    )


async def test_no_entry_of_the_hub_tells_a_hidden_session_from_none(renku_hub):
    hub = await renku_hub()
    session, absent = await hub.session(await hub.project()), create_id()
    await hub.client("alice").post(f"api/renku/projects/alice%2Fclimate/sessions/{session.id}/start")
    await hub.becomes(session, InstanceStatus.RUNNING)
    visitor, token, nobody = (
        await hub.visitor("dave"),
        hub.client("dave"),
        httpx.AsyncClient(base_url=hub.url, trust_env=False),
    )
    hub.clients["nobody"] = nobody
    differ = []
    for method, address in HUB_PAGES:
        for who, client in (("dave", visitor), ("nobody", nobody)):
            if (who, method) == ("nobody", "POST"):
                continue  # refused for want of a token, with a fresh one in the page, before anything is looked at
            hidden, none = [await asked(client, method, address, each) for each in (session.id, absent)]
            differ += [(who, method, address, hidden, none)] if hidden != none else []
            assert hidden[0] < 500, (method, address)
    for method, address, body in HUB_CALLS:
        for who, client in (("dave", token), ("nobody", nobody)):
            hidden, none = [await asked(client, method, address, each, body) for each in (session.id, absent)]
            differ += [(who, method, address, hidden, none)] if hidden != none else []
            assert b"Climate" not in hidden[2]
    assert not differ, "\n".join(map(str, differ))
    assert await hub.instance(session, "dave") is None
    assert not hub.user("dave").spawners.get(session.id)


async def test_lists_searches_and_the_stream_of_a_stranger_know_nothing(renku_hub):
    hub = await renku_hub()
    project = await hub.project()
    session = await hub.session(project, "Hidden title")
    dave, page, heard = hub.client("dave"), await hub.visitor("dave"), []

    async def listen():
        async with dave.stream("GET", "api/renku/sessions/events") as answer:
            async for line in answer.aiter_lines():
                heard.append(line)

    listening = asyncio.ensure_future(listen())
    await until(lambda: heard)
    await hub.client("alice").post(f"api/renku/projects/{project.id}/sessions/{session.id}/start")
    await hub.becomes(session, InstanceStatus.RUNNING)
    answers = [await dave.get(f"api/renku/{each}") for each in ("projects", "sessions", "projects?search=climate")]
    answers += [await page.get(f"renku/{each}") for each in ("projects", "sessions", "projects?search=climate")]
    for answer in answers:
        assert answer.status_code == 200
        assert not [word for word in (project.id, project.title, session.id, "Hidden title") if word in answer.text]
    listening.cancel()
    assert session.id not in "".join(heard)


async def test_hidden_sessions_named_in_own_projects_are_as_good_as_none(renku_hub):
    """An id in a body, or below another project, tells no more than one that was never given out."""
    hub = await renku_hub()
    hidden = await hub.session(await hub.project())
    dave, page = hub.client("dave"), await hub.visitor("dave")
    own = (await dave.post("api/renku/projects", json={"path": "dave/own", "title": "Own"})).json()
    environment = (await dave.get("api/renku/environments")).json()["items"][0]["id"]
    mine = (await dave.post(f"api/renku/projects/{own['id']}/sessions", json={"environment": environment})).json()
    version = (await dave.get(f"api/renku/projects/{own['id']}")).json()["version"]
    address = f"api/renku/projects/{own['id']}"

    async def answers(session):
        form = {"_xsrf": xsrf(page)}
        return [
            await dave.patch(address, json={"version": version, "default_session": session}),
            await dave.request("DELETE", f"{address}/sessions/{mine['id']}", json={"new_default": session}),
            await dave.post(f"{address}/sessions", json={"environment": session}),
            await dave.get(f"{address}/sessions/{session}"),
            await dave.post(f"{address}/sessions/{session}/start"),
            await dave.get(f"{address}/sessions/{session}/events"),
            await page.get(f"renku/launch/dave/own/-/{session}"),
            await page.get(f"renku/projects/dave/own/-/sessions/{session}"),
            await page.post(f"renku/projects/dave/own/-/sessions/{session}/start", data=form),
            await page.post(f"renku/projects/dave/own/-/sessions/{session}/default", data=form),
            await page.post(f"renku/sessions/{session}/resume", data=form),
            await dave.post(f"api/renku/sessions/{session}/pause"),
        ]

    there, nowhere = await answers(hidden.id), await answers(create_id())
    assert [a.status_code for a in there] == [422, 422, *[404] * 10]
    assert [a.content for a in there] == [a.content for a in nowhere]


async def test_a_taken_path_below_somebody_elses_name_is_not_told(renku_hub):
    hub = await renku_hub()
    project = await hub.project()
    change = ProjectChange(version=project.version, path="alice/weather")
    await change_project(hub.parts, hub.person("alice"), project.id, change)
    dave, page = hub.client("dave"), await hub.visitor("dave")
    answers = [
        await dave.post("api/renku/projects", json={"path": path, "title": "X"})
        for path in ("alice/weather", "alice/climate", "alice/nothing")
    ]
    assert [(a.status_code, a.content) for a in answers] == [(403, answers[0].content)] * 3
    pages = [
        await page.get(f"renku/{kind}/alice/{slug}") for kind in ("projects", "launch") for slug in ("climate", "no")
    ]
    assert {(p.status_code, p.content) for p in pages} == {(404, pages[0].content)}


async def test_who_lost_access_keeps_their_data_and_sees_no_project(renku_hub):
    """Decision 15: pause, logs and deletion need no right; the project is as if it had never been."""
    hub = await renku_hub()
    project = await hub.project(public=True)
    session = await hub.session(project)
    dave, page = hub.client("dave"), await hub.visitor("dave")
    await dave.post(f"api/renku/projects/{project.id}/sessions/{session.id}/start")
    await hub.becomes(session, InstanceStatus.RUNNING, "dave")
    current = await get_project(hub.parts, hub.person("alice"), project.id)
    change = ProjectChange(version=current.version, visibility=Visibility.PRIVATE, title="Moved away")
    await change_project(hub.parts, hub.person("alice"), project.id, change)
    assert (await dave.get(f"api/renku/projects/{project.id}/sessions/{session.id}")).status_code == 404
    mine = (await dave.get("api/renku/sessions")).json()["items"][0]
    assert (mine["session"], mine["project"], mine["project_path"]) == (session.id, None, None)
    for address in ("renku/sessions", f"renku/sessions/{session.id}/data"):
        shown = await page.get(address)
        assert (shown.status_code, "Moved away" in shown.text, project.path in shown.text) == (200, False, False)
    assert (await dave.get(f"api/renku/sessions/{session.id}/logs")).status_code == 200
    assert (await dave.post(f"api/renku/sessions/{session.id}/pause")).status_code == 202
    await hub.becomes(session, InstanceStatus.PAUSED, "dave")
    form = {"_xsrf": xsrf(page)}
    assert (await page.post(f"renku/sessions/{session.id}/resume", data=form)).status_code == 404
    assert (await dave.post(f"api/users/dave/servers/{session.id}")).status_code == 400
    assert await hub.status(session, "dave") is InstanceStatus.PAUSED
    assert (await dave.delete(f"api/renku/sessions/{session.id}/instance")).status_code == 204
    assert (await dave.get("api/renku/sessions")).json()["items"] == []


async def test_an_admin_is_a_stranger_like_any_other_and_sees_no_status_of_others(renku_hub):
    """Decision 5: a status is its owner's alone, also in a project that one may see."""
    hub = await renku_hub()
    session = await hub.session(await hub.project(public=True))
    hub.user("admin", admin=True)
    alice, address = hub.client("alice"), f"api/renku/projects/alice%2Fclimate/sessions/{session.id}"
    before = (await hub.client("admin").get(address)).json()["instance"]
    await alice.post(f"{address}/start")
    await hub.becomes(session, InstanceStatus.RUNNING)
    for name in ("admin", "bob", "carol", "dave"):
        other = hub.client(name)
        assert (await other.get(address)).json()["instance"] == before
        assert (await other.get("api/renku/sessions")).json()["items"] == []
        assert (await other.get(f"{address}/logs")).json()["lines"] == []
        page = (await (await hub.visitor(name)).get(f"renku/projects/alice/climate/-/sessions/{session.id}")).text
        assert "You have not started this session yet." in page
        assert f"/user/alice/{session.id}" not in page


@pytest.mark.parametrize("kind", ["page", "call"])
async def test_what_is_hidden_costs_as_many_statements_as_what_is_not_there(renku_hub, kind):
    """No clock is needed to see a difference in work that is not there."""
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    client = await hub.visitor("dave") if kind == "page" else hub.client("dave")
    prefix = "renku/projects/{path}/-/sessions/{id}" if kind == "page" else "api/renku/projects/{ref}/sessions/{id}"
    seen: list[str] = []

    def note(*args):
        if current_thread() is main_thread():  # another one looks at the database now and then
            seen.append(args[2])

    sqlalchemy.event.listen(hub.parts.db.engine, "before_cursor_execute", note)

    async def statements(ref, name):
        await client.get(prefix.format(path=ref, ref=ref.replace("/", "%2F"), id=name))
        seen.clear()
        answer = await client.get(prefix.format(path=ref, ref=ref.replace("/", "%2F"), id=name))
        assert answer.status_code == 404
        return len(seen)

    hidden, absent = await statements("alice/climate", session.id), await statements("alice/nothing", create_id())
    assert hidden == absent > 0
