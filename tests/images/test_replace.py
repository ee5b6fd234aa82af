"""A session of somebody's own image gets another image, or another way to run it: a new revision of its environment."""

import re
from html import unescape

from renku_spawner.domain.instances import InstanceStatus
from tests.fixtures.renku import xsrf
from tests.images.conftest import STACKS, address

APP = {"User": "1001", "ExposedPorts": {"8501/tcp": {}}, "Cmd": ["streamlit"]}
LABELLED = STACKS | {"Labels": {"org.opencontainers.image.description": "Numbers"}}


async def revise(it, added, name="alice", **said):
    return await it.hub.client(name).post(f"{address(added)}/revision", json=said)


async def stored(it, added):
    with it.hub.parts.db.read() as tx:
        return tx.sessions.get(added["id"])


async def history(it, added):
    found = await it.hub.client("alice").get(f"{address(added)}/revisions")
    return [(each["revision"], each["image"].rpartition("/")[2], each["created_by"]) for each in found.json()["items"]]


async def test_another_image_is_a_new_revision_that_the_next_start_runs(with_images):
    it = await with_images()
    host, project = it.registry.host, await it.hub.project()
    it.registry.push("replace/old", "1", config=LABELLED)
    digest = it.registry.push("replace/new", "2", config=APP)
    added = await it.add(project, f"{host}/replace/old:1")
    assert added["environment"]["description"] == "Numbers"
    for name, image, status in (
        ("carol", f"{host}/replace/new:2", 403),
        ("bob", f"{host}/replace/none:1", 422),
        ("bob", "10.0.0.1/x", 422),
        ("bob", "NGINX", 422),
    ):
        refused = await revise(it, added, name, image=image)
        assert refused.status_code == status, refused.text
        assert status == 403 or "image" in refused.json()["fields"]
    assert await history(it, added) == [(1, "old:1", "alice")]

    taken = (await revise(it, added, "bob", image=f"{host}/replace/new:2")).json()
    assert (taken["environment"]["revision"], taken["environment"]["digest"]) == (2, digest)
    assert (taken["environment"]["name"], taken["environment"]["description"]) == ("new", "")
    assert await history(it, added) == [(2, "new:2", "bob"), (1, "old:1", "alice")]
    run = (await stored(it, added)).revision.run
    assert (run.port, run.default_url) == (8501, "/")
    await it.start(added)
    await it.hub.becomes(await stored(it, added), InstanceStatus.RUNNING)
    assert it.running() == [f"{host}/replace/new@{digest}"]
    assert "Roll back to revision 1" in (await it.page(added)).text


async def test_another_way_to_run_keeps_the_content_that_is_pinned(with_images):
    it = await with_images()
    image = f"{it.registry.host}/replace/kept:1"
    digest = it.registry.push("replace/kept", "1", config=APP)
    added = await it.add(await it.hub.project(), image, run={"uid": 2000})
    it.registry.push("replace/kept", "1", config=APP | {"User": "1002"})
    wrong = await revise(it, added, run={"uid": 0})
    assert (wrong.status_code, list(wrong.json()["fields"])) == (422, ["uid"])
    same = (await revise(it, added, image=image, run={"uid": 2000})).json()
    assert same["environment"]["revision"] == 1
    other = (await revise(it, added, run={"port": 9000})).json()
    assert (other["environment"]["revision"], other["environment"]["digest"]) == (2, digest)
    run = (await stored(it, added)).revision.run
    assert (run.port, run.uid) == (9000, None)


async def test_what_somebody_else_has_changed_since_is_left_alone(with_images):
    it = await with_images()
    it.registry.push("replace/raced", "1", config=STACKS)
    it.registry.push("replace/raced", "2", config=APP)
    project = await it.hub.project()
    added = await it.add(project, f"{it.registry.host}/replace/raced:1")
    renamed = await it.hub.client("bob").patch(address(added), json={"version": added["version"], "title": "Bob's"})
    assert renamed.status_code == 200
    late = await revise(it, added, image=f"{it.registry.host}/replace/raced:2", version=added["version"])
    assert (late.status_code, late.json()["code"]) == (409, "changed")
    again = await revise(it, added, image=f"{it.registry.host}/replace/raced:2", version=renamed.json()["version"])
    assert again.json()["environment"]["revision"] == 2
    for said in ({}, {"revision": 1, "image": "x"}, {"revision": 1, "run": {}}):
        assert (await revise(it, added, **said)).status_code == 422


async def test_a_ready_made_session_gets_an_image_of_ones_own_after_its_differences_are_shown(with_images):
    it = await with_images()
    image = f"{it.registry.host}/replace/mine:1"
    digest = it.registry.push("replace/mine", "1", config=APP)
    session = await it.hub.session(await it.hub.project())
    where = {"project": session.project, "id": session.id}
    refused = await revise(it, where, run={"port": 1})
    assert (refused.status_code, list(refused.json()["fields"])) == (422, ["image"]), "of which image?"
    bob, url = await it.hub.visitor("bob"), f"renku/projects/alice/climate/-/sessions/{session.id}"
    assert 'id="image"' not in (await bob.get(f"{url}/edit")).text
    assert 'name="image"' in (await bob.get(f"{url}/environment?kind=external")).text

    form = {"_xsrf": xsrf(bob), "kind": "external", "image": image, "port": "9000", "version": str(session.version)}
    for image_given, sentence in (("", "Please give an image."), (f"{image}x", "does not exist or is not public")):
        wrong = await bob.post(f"{url}/environment", data=form | {"image": image_given})
        assert (wrong.status_code, sentence in wrong.text) == (422, True), wrong.text
    review = await bob.post(f"{url}/environment", data=form)
    assert review.status_code == 200
    for said in ("to mine", "This image will probably not start: 1 problem", digest[7:15]):
        assert said in unescape(review.text), said
    assert (await stored(it, where)).revision.id == session.revision.id, "nothing is stored yet"
    fields = hidden_fields(review.text)
    it.registry.push("replace/mine", "1", config=APP | {"User": "1002"})
    it.later(minutes=16)
    assert (await bob.post(f"{url}/environment", data=fields)).status_code == 409, "another image by now"
    fields = hidden_fields((await bob.post(f"{url}/environment", data=form)).text)
    assert (await bob.post(f"{url}/environment", data=fields)).status_code == 303
    changed = await stored(it, where)
    assert (changed.environment.kind, changed.revision.image, changed.revision.run.port) == ("external", image, 9000)
    assert (await bob.post(f"{url}/environment", data=fields)).status_code == 409, "an old version"


def hidden_fields(page):
    form = page.partition("<main")[2].partition("</main>")[0]
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form))


async def test_a_session_runs_as_the_images_own_user_where_that_is_a_number(with_images):
    it = await with_images()
    host, project = it.registry.host, await it.hub.project()
    for name, user in (("number", "1001:0"), ("root", ""), ("name", "jovyan")):
        it.registry.push(f"user/{name}", "1", config=APP | {"User": user})
    api = f"api/renku/projects/{project.id}/sessions"
    for name in ("root", "name"):
        said = {"image": f"{host}/user/{name}:1", "run": {"image_user": True}}
        refused = await it.hub.client("alice").post(api, json=said)
        assert (refused.status_code, list(refused.json()["fields"])) == (422, ["image_user"])
    bob = await it.hub.visitor("bob")
    fields = {"_xsrf": xsrf(bob), "kind": "external", "cpu": "500m", "memory": "1Gi", "disk": "1Gi"}
    own = fields | {"image": f"{host}/user/number:1", "image_user": "yes"}
    page = f"renku/projects/{project.path}/-/sessions"
    assert 'href="#image_user"' in (await bob.post(page, data=own | {"image": f"{host}/user/root:1"})).text
    assert (await bob.post(page, data=own)).status_code == 303
    (added,) = (await it.hub.client("alice").get(api)).json()["items"]
    assert "the image's own, 1001 in group 0" in unescape((await it.page(added)).text)
    edit = (await bob.get(f"{page}/{added['id']}/edit")).text
    assert 'name="image_user" aria-describedby="image_user-help" value="yes" checked' in edit
    await it.start(added)
    await it.hub.becomes(await stored(it, added), InstanceStatus.RUNNING)
    (pod,) = it.it.pods()
    security = pod["spec"]["securityContext"]
    assert [security[key] for key in ("runAsUser", "runAsGroup", "fsGroup")] == [1001, 0, 100]

    it.registry.push("user/number", "1", config=APP | {"User": "0"})
    it.later(minutes=16)
    await it.page(added)
    newer = await it.hub.client("alice").post(f"{address(added)}/revision", json={"revision": 2})
    assert (newer.status_code, newer.json()["code"]) == (422, "image_root"), newer.text
    usual = (await revise(it, added, run={})).json()
    assert usual["environment"]["revision"] == 2
    assert not (await stored(it, added)).revision.run.image_user


async def edited(it, client, url, **fields):
    """The edit page as it is sent again, with *fields* changed."""
    session = await stored(it, {"id": url.rpartition("/")[2]})
    usual = {"title": session.title, "cpu": "500m", "memory": "1Gi", "disk": "1Gi", "version": str(session.version)}
    return {"_xsrf": xsrf(client), "kind": "external", "image": session.revision.image, **usual, **fields}


async def test_an_editor_pastes_another_image_on_the_edit_page(with_images):
    it = await with_images()
    host, project = it.registry.host, await it.hub.project()
    old = it.registry.push("edit/old", "1", config=STACKS)
    new = it.registry.push("edit/new", "1", config=APP)
    added = await it.add(project, f"{host}/edit/old:1", run={"command": ["sh", "-c", "exec lab"], "uid": 2000})
    bob, url = await it.hub.visitor("bob"), f"renku/projects/{project.path}/-/sessions/{added['id']}"
    page = (await bob.get(f"{url}/edit")).text
    for said in (f'value="{host}/edit/old:1"', "Pinned as revision 1", old[7:15], 'value="2000"', "exec lab"):
        assert said in page, said

    retitled = await bob.post(
        f"{url}/edit", data=await edited(it, bob, url, title="Mine", uid="2000", command="sh -c 'exec lab'")
    )
    assert retitled.status_code == 303, retitled.text
    assert [number for number, *_ in await history(it, added)] == [1], "nothing of the image has changed"

    fields = await edited(it, bob, url, image=f"{host}/edit/new:1", title="Apps")
    read = await bob.post(f"{url}/check", data=fields)
    for said in ("This image will probably not start: 1 problem", new[7:15], 'placeholder="8501"', 'value="Apps"'):
        assert said in read.text, said
    assert "Pinned as revision" not in read.text
    refused = await bob.post(f"{url}/edit", data=fields | {"image": f"{host}/edit/none:1"})
    assert refused.status_code == 422
    assert "does not exist or is not public" in refused.text
    assert (await bob.post(f"{url}/edit", data=fields | {"image": " "})).status_code == 422
    assert (await stored(it, added)).title == "Mine", "one thing or the other"
    assert (await bob.post(f"{url}/edit", data=fields)).status_code == 303
    session = await stored(it, added)
    assert (session.title, session.revision.digest, session.revision.run.uid) == ("Apps", new, None)
    assert (await bob.post(f"{url}/edit", data=fields)).status_code == 409, "an old version"
    shown = (await bob.get(url)).text
    assert "Roll back to revision 1" in shown
