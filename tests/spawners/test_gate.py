"""One gate in front of every way to start something: nothing but a known session and the name of a class."""

import json
import re

import pytest

from renku_spawner.domain.instances import InstanceStatus
from tests.fixtures.renku import xsrf
from tests.spawners import ways

FOREIGN = (
    "image", "cmd", "args", "extra_pod_config", "profile", "environment", "volumes", "uid", "gid", "privileged",
    "node_selector", "namespace", "service_account", "init_containers", "extra_containers", "modify_pod_hook",
    "start_timeout", "storage_capacity", "working_dir", "__proto__",
)  # fmt: skip
VALUES = {"cmd": ["/bin/sh", "-c", "id"], "environment": {"LD_PRELOAD": "/tmp/x.so"}, "uid": 0, "start_timeout": 1}
INVALID = "This start request is not valid. Start it from the session's page."
UNKNOWN = "abcdefghijkl"  # looks like the id of a session


def hostile(key):
    return {key: VALUES.get(key, "evil")}


async def untouched(hub, session=None):
    """Nothing was stored, nothing runs, the hub counts no failure."""
    assert ways.rows(hub) == {}
    assert ways.marked(hub.parts.workspace) == {}
    assert ways.failure_count(hub) == 0
    if session is not None:
        assert await hub.instance(session) is None


def same(answer, session):
    """An answer in which ids and tokens do not tell."""
    text = re.sub(r'(_xsrf["\s:=]+)[^"&,]+', r"\1", answer.text.replace(session, "ID"))
    return answer.status_code, re.sub(r"[A-Za-z0-9_-]{40,}={0,2}(\|[^\"'&]*)?", "T", text)


async def test_foreign_options_are_refused_at_the_hubs_api_and_leave_nothing(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    alice, server = hub.client("alice"), f"api/users/alice/servers/{session.id}"
    bodies = [form for key in FOREIGN for form in (hostile(key), {"user_options": hostile(key)})]
    bodies += [{"display_name": "x", "user_options": hostile("image") | {"resource_class": "small"}}]
    for body in bodies:
        for method in ("PUT", "POST"):
            answer = await alice.request(method, server, json=body)
            assert (answer.status_code, answer.json()["message"]) == (400, INVALID), (method, body)
    await untouched(hub, session)


async def test_foreign_options_are_refused_in_links_and_forms_and_leave_nothing(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    alice = await hub.visitor("alice")
    page = f"spawn/alice/{session.id}"
    for key in FOREIGN:
        for query in ({f"opt-{key}": "evil"}, {key: "evil"}, {f"opt-{key}": "evil", "resource_class": "small"}):
            answer = await alice.get(page, params=query)
            assert answer.status_code == 400 and "This start request is not valid" in answer.text, query
        answer = await alice.post(page, params={"_xsrf": xsrf(alice)}, data={key: "evil"})
        assert answer.status_code == 400 and "This start request is not valid" in answer.text, key
    files = {"image": ("x", b"evil")}
    answer = await alice.post(page, params={"_xsrf": xsrf(alice)}, files=files, data={"resource_class": "small"})
    assert answer.status_code == 400
    await untouched(hub, session)


BODIES = {
    "no object": b"[1]",
    "options that are a list": b'{"user_options": ["image"]}',
    "options that are a text": b'{"user_options": "image=evil"}',
    "no JSON": b"image=evil",
    "nothing in braces but a brace": b"{",
}


async def test_a_body_that_is_no_object_or_too_large_is_refused_and_leaves_nothing(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    alice, server = hub.client("alice"), f"api/users/alice/servers/{session.id}"
    large = json.dumps({"user_options": {"resource_class": "x" * 20_000_000}}).encode()
    for method in ("PUT", "POST"):
        for what, body in {**BODIES, "20 MB": large}.items():
            answer = await alice.request(method, server, content=body, headers={"Content-Type": "application/json"})
            assert answer.status_code == (413 if body is large else 400), (method, what)
    await untouched(hub, session)


async def test_an_unknown_server_is_refused_everywhere_and_leaves_no_row(renku_hub):
    hub = await renku_hub()
    await hub.project()
    alice, visitor = hub.client("alice"), await hub.visitor("alice")
    for name in (UNKNOWN, "evil", "a--b", "UPPER", "x" * 40, "-x", "%2e%2e", "caf%C3%A9", "x%00y"):
        for method in ("PUT", "POST"):
            answer = await alice.request(method, f"api/users/alice/servers/{name}")
            assert answer.status_code == 404, (method, name, answer.text)
        for ask in (visitor.get, visitor.post):  # the home page's "Add new server" is the first
            answer = await ask(f"spawn/alice/{name}", params={"_xsrf": xsrf(visitor)})
            assert answer.status_code == 404, (name, answer.text)
        assert (await alice.patch(f"api/users/alice/servers/{name}", json={"user_options": {}})).status_code == 404
    assert (await visitor.get("home")).status_code == 302
    await untouched(hub)


async def test_who_may_not_see_a_project_hears_the_same_as_for_an_unknown_id(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    dave, visitor = hub.client("dave"), await hub.visitor("dave")
    for method in ("PUT", "POST", "PATCH", "GET", "DELETE"):
        seen, unknown = [
            await dave.request(method, f"api/users/dave/servers/{name}", json={"user_options": {}})
            if method == "PATCH"
            else await dave.request(method, f"api/users/dave/servers/{name}")
            for name in (session.id, UNKNOWN)
        ]
        assert same(seen, session.id) == same(unknown, UNKNOWN), method
        assert seen.status_code == 404
    seen, unknown = [await visitor.get(f"spawn/dave/{name}") for name in (session.id, UNKNOWN)]
    assert same(seen, session.id) == same(unknown, UNKNOWN)
    assert seen.status_code == 404
    for name in (session.id, UNKNOWN):
        answer = await dave.post(f"api/renku/projects/{session.project}/sessions/{name}/start")
        assert answer.status_code == 404
    assert (await dave.post(f"api/users/alice/servers/{session.id}")).status_code in (403, 404)
    await untouched(hub, session)


async def test_the_default_server_does_not_start(renku_hub):
    hub = await renku_hub()
    await hub.session(await hub.project())
    alice, visitor = hub.client("alice"), await hub.visitor("alice")
    for path in ("api/users/alice/server", "api/users/alice/servers/"):
        answer = await alice.post(path)
        assert (answer.status_code, answer.json()["message"].split(".")[0]) == (
            400,
            "There is no such session, or you have no access to it",
        )
    for path in ("spawn", "spawn/alice"):
        assert (await visitor.get(path)).headers["Location"].endswith("/renku/sessions")
        assert (await visitor.post(path, params={"_xsrf": xsrf(visitor)})).status_code in (200, 400)
    assert not hub.user("alice").running
    await untouched(hub)


async def test_an_admin_starts_for_a_user_with_the_users_rights_alone(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    hub.user("boss", admin=True)
    boss = hub.client("boss")
    for name in ("carol", "dave"):
        hub.user(name)
    assert (await boss.post(f"api/users/dave/servers/{session.id}")).status_code == 404
    await untouched(hub, session)
    assert (await boss.post(f"api/users/carol/servers/{session.id}")).status_code in (201, 202)
    instance = await hub.becomes(session, InstanceStatus.RUNNING, "carol")
    (pid,) = ways.servers(hub.parts.workspace)
    assert ways.environ(pid)["RENKU_USERNAME"] == "carol"
    assert instance.username == "carol"
    assert await hub.instance(session, "boss") is None


async def test_only_the_name_of_a_usable_class_is_taken(renku_hub):
    classes = [
        {"name": "small", "cpu": "1", "memory": "2Gi"},
        {"name": "gigantic", "cpu": "9", "memory": "9Gi", "users": ["bob"]},
    ]
    hub = await renku_hub(Renku={"resource_classes": classes})
    session = await hub.session(await hub.project())
    alice, server = hub.client("alice"), f"api/users/alice/servers/{session.id}"
    for chosen in ("gigantic", "", "small ", 5, ["small"], {"name": "small"}):
        answer = await alice.post(server, json={"resource_class": chosen})
        assert answer.status_code == 400, (chosen, answer.text)
        assert await hub.status(session) is InstanceStatus.INACTIVE
        assert ways.marked(hub.parts.workspace) == {}
        assert ways.rows(hub) in ({}, {("alice", session.id): {}}), "nothing of the request is kept"
    assert (await alice.post(server, json={"resource_class": None})).status_code in (201, 202)
    assert (await hub.becomes(session, InstanceStatus.RUNNING)).resource_class == "small"


async def test_a_server_is_not_renamed(renku_hub):
    hub = await renku_hub()
    project = await hub.project()
    session = await hub.session(project)
    await ways.start(hub, session)
    await hub.becomes(session, InstanceStatus.RUNNING)
    await ways.pause(hub, session)
    await hub.becomes(session, InstanceStatus.PAUSED)
    other = await hub.session(project, "Other")
    alice = hub.client("alice")
    for source in (f"servers/{session.id}", "server", "servers/"):
        for name in ("evil", UNKNOWN, other.id):
            answer = await alice.patch(f"api/users/alice/{source}", json={"name": name})
            assert answer.status_code in (400, 404), (source, name, answer.text)
    assert set(ways.rows(hub)) == {("alice", session.id)}


def normalised(hub, pid, instance):
    """The process without what is new at each start."""
    variables = ways.environ(pid)
    secrets = {variables["JUPYTERHUB_API_TOKEN"]: "TOKEN", variables["RENKU_SESSION_PORT"]: "PORT"}

    def plain(text):
        for secret, name in secrets.items():
            text = text.replace(secret, name)
        return text

    return [plain(word) for word in ways.argv(pid)], {name: plain(value) for name, value in variables.items()}


async def test_stored_options_change_nothing_of_what_runs(renku_hub):
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    alice = hub.client("alice")

    async def run(start):
        answer = await start()
        assert answer.status_code in (200, 201, 202), answer.text
        instance = await hub.becomes(session, InstanceStatus.RUNNING)
        (pid,) = ways.servers(hub.parts.workspace)
        seen = normalised(hub, pid, instance)
        await ways.pause(hub, session)
        await hub.becomes(session, InstanceStatus.PAUSED)
        await hub.app.users[hub.user("alice").orm_user].spawners[session.id].poll()
        return *seen, instance.revision, instance.resource_class, instance.fingerprint, instance.claim

    legitimate = await run(lambda: ways.start(hub, session))
    options = {key: value for each in FOREIGN for key, value in hostile(each).items()}
    server = f"api/users/alice/servers/{session.id}"
    for start in (lambda: ways.start(hub, session), lambda: alice.post(server, json={"user_options": {}})):
        assert (await alice.patch(server, json={"user_options": options})).status_code == 200  # no hook is there
        assert await run(start) == legitimate
        assert ways.rows(hub)["alice", session.id] == {}
    await alice.patch(server, json={"user_options": options})
    answer = await alice.post(server)
    assert (answer.status_code, answer.json()["message"]) == (400, INVALID)
    assert ways.marked(hub.parts.workspace) == {}
    assert ways.failure_count(hub) == 0
    assert await run(lambda: alice.post(server)) == legitimate, "a refused request leaves no options either"


SITES = {None: True, "same-origin": True, "none": True, "same-site": False, "cross-site": False}


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_link_on_another_site_starts_nothing(renku_hub, method):
    hub = await renku_hub(Renku={"one_active_per_environment": False})
    project = await hub.project()
    visitor = await hub.visitor("alice")
    for number, (site, allowed) in enumerate(SITES.items()):
        session = await hub.session(project, f"Site {number}")
        for mode in ("navigate", "no-cors", "cors", "same-origin", "websocket"):
            headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode} if site else {}
            answer = await visitor.request(
                method, f"spawn/alice/{session.id}", headers=headers, params={"_xsrf": xsrf(visitor)}
            )
            assert allowed or answer.status_code == 403, (site, mode, answer.status_code)
        assert (await hub.instance(session) is not None) == (allowed and method == "POST"), site


async def test_a_link_to_the_hubs_spawn_page_asks_before_anything_starts(renku_hub):
    hub = await renku_hub()
    project = await hub.project()
    session = await hub.session(project)
    answer = await (await hub.visitor("alice")).get(f"spawn/alice/{session.id}")
    assert answer.status_code == 302
    assert answer.headers["Location"].endswith(f"/hub/renku/launch/{project.path}/-/{session.id}")
    assert await hub.instance(session) is None
