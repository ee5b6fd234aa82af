"""Ready-made environments on a live hub: who sees their pages, what admins do there, what projects are told."""

import re

import pytest

from renku_spawner.context.app_context import read_transaction, write_transaction
from renku_spawner.domain.environments import EnvironmentState
from renku_spawner.usecases.environments import list_offered_environments
from tests.fixtures.renku import RenkuHub, xsrf
from tests.spawners import ways
from tests.web.rendering import HOSTILE, Page, ours
from tests.web.test_matrix import ADMINS, told

API = "api/renku/environments"
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
BIDI, LONG = "\u202egnp.exe", "x" * 100


async def test_the_pages_and_calls_of_admins_answer_everybody_else_like_what_does_not_exist(renku_hub):
    """Byte for byte, whatever the method and the kind of content, of a browser and of a program."""
    hub = await renku_hub()
    ready, bob, token = (
        await hub.ready_made(),
        await hub.visitor("bob"),
        hub.client("bob", scopes=["custom:renku:read"]),
    )
    differ, compared = [], 0
    for address in sorted(ADMINS):
        there = address.format(ready=ready).lstrip("/")
        api = there.startswith("api/")
        nowhere = f"{'api/' if api else ''}renku/nowhere"
        for method, kind in (("GET", None), ("POST", JSON if api else FORM), ("POST", "text/plain"), ("PUT", None)):
            sent = {"headers": {"Content-Type": kind}, "content": b"{}"} if kind else {}
            one, other = [await asked(token if api else bob, method, where, **sent) for where in (there, nowhere)]
            compared += 1
            if one != other:
                differ.append((method, address, kind, one, other))
    assert compared == 4 * len(ADMINS) > 50
    assert not differ, differ[0]
    assert "renku/environments" not in (await bob.get("renku/projects")).text
    hub.curator("bob")
    assert "renku/environments" in (await bob.get("renku/projects")).text


async def asked(client, method, address, **sent):
    """An answer in which the address that was asked for is written `{here}`."""
    answer = await client.request(method, address, **sent)
    return told((answer.status_code, answer.headers, answer.content.replace(address.encode(), b"{here}")))


@pytest.fixture
async def hub(renku_hub) -> RenkuHub:
    made = await renku_hub()
    made.curator("root")
    return made


async def test_an_environment_lives_by_the_api_from_draft_to_archive(hub):
    root, alice = hub.client("root"), hub.client("alice")
    new = {"name": "New", "image": "quay.io/a/b:1", "keywords": ["x"], "run": {"port": 9000}}
    made = (await root.post(API, json=new)).json()
    here = f"{API}/{made['id']}"
    assert (made["state"], made["version"], made["run"]["port"], made["revision"]) == ("draft", 1, 9000, 1)
    assert made["id"] not in (await alice.get(API)).text
    active = (await root.post(f"{here}/state", json={"version": 1, "state": "active"})).json()
    assert made["id"] in (await alice.get(API)).text
    assert (await root.patch(here, json={"version": 1, "name": "X"})).json()["code"] == "changed"
    other = {"version": active["version"], "image": "quay.io/a/b:2", "description": "d"}
    changed = (await root.patch(here, json=other)).json()
    assert (changed["revision"], changed["run"]["port"], len(changed["revisions"])) == (2, 9000, 2)
    back = (await root.post(f"{here}/revision", json={"version": changed["version"], "revision": 1})).json()
    assert (back["revision"], back["image"]) == (3, "quay.io/a/b:1")
    gone = (await root.post(f"{here}/archive", json={"version": back["version"], "message": "Old."})).json()
    assert (gone["state"], gone["message"], gone["archived_at"] is None) == ("archived", "Old.", False)
    assert (await root.post(f"{here}/move", json={"to": "up"})).json()["code"] == "at_the_end"

    first = (await root.get(API, params={"state": "all", "limit": 2})).json()
    assert [each["name"] for each in first["items"]] == ["Jupyter Python", "R"]
    rest = (await root.get(str(root.base_url.join(first["next"])))).json()
    assert ([each["name"] for each in rest["items"]], rest["next"]) == (["New"], None)
    assert (await root.get(API, params={"state": "x"})).json()["fields"].keys() == {"state"}
    assert (await alice.get(API, params={"state": "draft"})).status_code == 403


async def test_hostile_words_and_names_are_refused_or_shown_as_text(hub):
    root = hub.client("root")
    good = {"name": "N", "image": "quay.io/a/b:1"}
    wrong = [
        ({"name": ""}, "name"), ({"name": "\u200b\u2800"}, "name"), ({"name": LONG}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"description": "x" * 2001}, "description"), ({"keywords": ["k" * 33]}, "keywords"),
        ({"keywords": [str(n) for n in range(21)]}, "keywords"), ({"icon": "fa-skull"}, "icon"),
        ({"icon": "' onload='x"}, "icon"), ({"image": ""}, "image"), ({"image": "https://quay.io/a"}, "image"),
        ({"image": "-rf/x"}, "image"), ({"image": "a b"}, "image"), ({"run": {"uid": 0}}, "uid"),
        ({"run": {"port": 70000}}, "port"), ({"run": {"working_directory": "/work/../etc"}}, "working_directory"),
        ({"state": "archived"}, "state"), ({"key": "python"}, "key"), ({"kind": "external"}, "kind"),
        ({"position": -1}, "position"), ({"project": "x"}, "project"), ({"version": 1}, "version"),
    ]  # fmt: skip
    for change, field in wrong:
        answer = await root.post(API, json=good | change)
        assert (answer.status_code, field in answer.json()["fields"]) == (422, True), (change, answer.text)
    name = HOSTILE[:99]
    made = (await root.post(API, json={"name": name, "image": "quay.io/a/b:1", "description": f"{HOSTILE}{BIDI}",
                                       "keywords": [HOSTILE[:32]], "state": "active"})).json()  # fmt: skip
    assert made["description"] == f"{HOSTILE}gnp.exe"
    session = await used(hub, made["id"])
    said = {"version": 1, "state": "deprecated", "message": HOSTILE}
    assert (await root.post(f"{API}/{made['id']}/state", json=said)).status_code == 200
    visitor, alice = await hub.visitor("root"), await hub.visitor("alice")
    for client, address in (
        (visitor, "renku/environments"), (visitor, f"renku/environments/{made['id']}"),
        (visitor, f"renku/environments/{made['id']}/state?to=archived"),
        (visitor, f"renku/environments/new?copy={made['id']}"), (alice, "renku/projects/alice/climate"),
        (alice, f"renku/projects/alice/climate/-/sessions/{session.id}"),
        (alice, "renku/projects/alice/climate/-/sessions/new"),
    ):  # fmt: skip
        text = ours((await client.get(address)).text)
        tags = [tag for tag, attributes in Page(text).elements if tag in ("img", "script") or "onerror" in attributes]
        assert tags == [], address
        assert "&lt;script&gt;" in text, address


async def used(hub, environment, title="Explore"):
    """Alice's session of it in her project."""
    project = await hub.project()
    body = {"environment": environment, "title": title}
    added = await hub.client("alice").post(f"api/renku/projects/{project.id}/sessions", json=body)
    assert added.status_code == 201, added.text
    return await read_transaction(hub.parts, lambda tx: tx.sessions.get(added.json()["id"]))


async def test_a_deprecated_environment_tells_everybody_and_offers_its_successor_to_those_who_write(hub):
    root = await hub.visitor("root")
    old, heir = await hub.ready_made("Old"), await hub.ready_made("Heir")
    session = await used(hub, old)
    form = {"_xsrf": xsrf(root), "version": "1", "state": "deprecated", "successor": heir, "message": "Heir is newer."}
    assert (await root.post(f"renku/environments/{old}/state", data=form)).status_code == 303
    page = f"renku/projects/alice/climate/-/sessions/{session.id}"
    carol, bob = await hub.visitor("carol"), await hub.visitor("bob")
    for text in ((await carol.get(page)).text, (await carol.get("renku/projects/alice/climate")).text):
        assert "Heir is newer. An editor of the project can change to Heir." in text
        assert "/environment" not in text
    review = f"{page}/environment?environment={heir}"
    assert (await carol.get(review)).status_code == 403
    assert f"{session.id}/environment?environment={heir}" in (await bob.get("renku/projects/alice/climate")).text
    shown = (await bob.get(review)).text
    assert "Change “Explore” to Heir" in shown
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', ours(shown)))
    assert (await bob.post(f"{page}/environment", data=fields | {"revision": "1"})).status_code == 409
    assert (await bob.post(f"{page}/environment", data=fields)).status_code == 303
    after = (await bob.get(ways.address(session))).json()
    assert (after["environment"]["name"], after["environment"]["revision"], after["successor"]) == ("Heir", 2, None)
    assert heir not in (await bob.get(f"{page}/environment")).text, "it is the present one"


async def test_no_way_in_starts_what_is_archived_and_the_words_are_the_same_everywhere(hub):
    ready = await hub.ready_made("Old")
    session = await used(hub, ready)
    await write_transaction(
        hub.parts, lambda tx: tx.environments.set_state(ready, EnvironmentState.ARCHIVED, now=hub.parts.now())
    )
    words = "The environment Old has been retired."
    alice, token = await hub.visitor("alice"), hub.client("alice")
    form = {"_xsrf": xsrf(alice)}
    page = f"renku/projects/alice/climate/-/sessions/{session.id}"
    answers = [
        await alice.post(f"{page}/start", data=form),
        await alice.post(f"renku/launch/alice/climate/-/{session.id}", data=form),
        await ways.start(hub, session), await token.post(f"api/users/alice/servers/{session.id}", json={}),
        await alice.post(f"spawn/alice/{session.id}", params=form),
    ]  # fmt: skip
    assert [words in answer.text for answer in answers] == [True] * 5, [(a.status_code, a.text[-300:]) for a in answers]
    assert {answer.status_code for answer in answers[:3]} == {409}
    assert ways.servers(hub.parts.workspace) == []
    assert words in (await alice.get(page)).text
    added = await token.post(f"api/renku/projects/{session.project}/sessions", json={"environment": ready})
    assert (added.status_code, added.json()["code"]) == (422, "env_archived")


async def test_what_is_configured_is_copied_and_a_copy_is_edited(hub):
    root = await hub.visitor("root")
    ((python, _), _) = await list_offered_environments(hub.parts, hub.person("root"))
    page = (await root.get(f"renku/environments/{python.id}")).text
    assert "Copy to edit" in page
    assert 'name="image"' not in page
    refused = await root.post(
        f"renku/environments/{python.id}", data={"_xsrf": xsrf(root), "name": "X", "image": "a", "version": "1"}
    )
    assert (refused.status_code, "configuration says what this environment is" in refused.text) == (409, True)
    copy = (await root.get(f"renku/environments/new?copy={python.id}")).text
    assert 'value="Jupyter Python (copy)"' in copy
    form = {"_xsrf": xsrf(root), "name": "Mine", "image": python.revision.image, "state": "active"}
    added = await root.post("renku/environments", data=form)
    assert added.status_code == 303
    listed = (await root.get("renku/environments")).text
    assert listed.index("Jupyter Python") < listed.index(">R<") < listed.index(">Mine<")
