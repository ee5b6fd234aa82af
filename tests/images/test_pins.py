"""What a session runs is pinned: a newer image is announced, accepted or left, and an older one is a click away."""

from dataclasses import replace

from sqlalchemy import text

from renku_spawner.config.renku import Renku
from renku_spawner.domain.images import ImagePolicy
from renku_spawner.domain.instances import InstanceStatus
from tests.images.conftest import STACKS, address, silent


async def choose(it, added, name="alice", **said):
    return await it.hub.client(name).post(f"{address(added)}/revision", json=said)


async def test_the_pod_runs_the_content_that_was_pinned_whatever_its_tag_is_now(with_images):
    it = await with_images()
    digest = it.registry.push("pin/stays", "1", config=STACKS)
    added = await it.add(await it.hub.project(), f"{it.registry.host}/pin/stays:1")
    assert (added["environment"]["kind"], added["environment"]["name"]) == ("external", "stays")
    assert (added["environment"]["digest"], added["title"], added["update"]) == (digest, "stays", None)
    it.registry.push("pin/stays", "1", config=STACKS | {"User": "1001"})
    await it.start(added)
    await it.hub.becomes(session := await stored(it, added), InstanceStatus.RUNNING)
    assert it.running() == [f"{it.registry.host}/pin/stays@{digest}"]
    assert session.revision.facts["user"] == "1000"


async def stored(it, added):
    with it.hub.parts.db.read() as tx:
        return tx.sessions.get(added["id"])


async def test_a_moved_tag_is_announced_and_changes_nothing(with_images):
    it = await with_images()
    host = it.registry.host
    old = it.registry.push("pin/moves", "latest", config=STACKS)
    added = await it.add(await it.hub.project(), f"{host}/pin/moves")
    assert "A newer image is there" not in (await it.page(added)).text

    new = it.registry.push("pin/moves", "latest", config=STACKS | {"User": "1001"})
    assert "A newer image is there" not in (await it.page(added)).text, "asked within 15 minutes"
    it.later(minutes=16)
    page = (await it.page(added)).text
    assert "A newer image is there" in page
    assert "Nothing changes until you accept it." in page
    assert "Accept revision 2" in page
    assert old[:19] in page
    assert new[:19] in page
    update = (await it.session(added))["update"]
    assert (update["revision"], update["digest"], update["image"]) == (2, new, f"{host}/pin/moves:latest")

    viewer = (await it.page(added, "carol")).text
    assert "Nothing changes until an editor accepts it." in viewer
    assert "Accept revision 2" not in viewer
    assert (await choose(it, added, "carol", revision=2)).status_code == 403
    assert (await choose(it, added, revision=2, digest=old)).json()["code"] == "changed"
    assert (await choose(it, added, revision=3)).status_code == 422


async def test_an_accepted_image_runs_from_the_next_start_on_and_the_old_one_is_a_click_away(with_images):
    it = await with_images()
    old = it.registry.push("pin/accepted", "latest", config=STACKS)
    added = await it.add(await it.hub.project(), f"{it.registry.host}/pin/accepted")
    await it.start(added)
    await it.hub.becomes(await stored(it, added), InstanceStatus.RUNNING)
    new = it.registry.push("pin/accepted", "latest", config=STACKS | {"User": "1001"})
    it.later(minutes=16)
    await it.page(added)
    accepted = (await choose(it, added, "bob", revision=2, digest=new)).json()
    assert (accepted["environment"]["revision"], accepted["environment"]["digest"]) == (2, new)
    assert accepted["update"] is None
    (running,) = it.running()
    assert running.endswith(old), "what runs is not touched"
    history = (await it.hub.client("alice").get(f"{address(added)}/revisions")).json()["items"]
    assert [(each["revision"], each["created_by"]) for each in history] == [(2, "bob"), (1, "alice")]

    await it.hub.client("alice").post(f"{address(added)}/pause")
    await it.hub.becomes(await stored(it, added), InstanceStatus.PAUSED)
    assert "revision 2 of the image" in (await it.page(added)).text, "said before the click"
    await it.start(added)
    await it.hub.becomes(await stored(it, added), InstanceStatus.RUNNING)
    assert it.running()[0].endswith(new)

    assert "Roll back to revision 1" in (await it.page(added)).text
    back = (await choose(it, added, revision=1)).json()
    assert (back["environment"]["revision"], back["environment"]["digest"]) == (1, old)
    assert back["update"]["revision"] == 2


async def test_all_sessions_with_an_image_share_one_look_at_it(with_images):
    it = await with_images()
    it.registry.push("pin/shared", "1", config=STACKS)
    project = await it.hub.project()
    added = [await it.add(project, f"{it.registry.host}/pin/shared:1", title=f"{n}") for n in range(3)]
    it.later(minutes=16)
    before = len(it.registry.requests("pin/shared"))
    for each in added:
        await it.page(each)
    asked = it.registry.requests("pin/shared")[before:]
    assert [each.split()[0] for each in asked] == ["HEAD", "HEAD"], asked  # the tag, and the content


async def test_what_could_not_be_checked_runs_by_its_tag_and_is_pinned_by_the_first_answer(with_images):
    host = silent()
    it = await with_images(host)
    project = await it.hub.project()
    added = await it.add(project, f"{host}/pin/later:1")
    assert (added["environment"]["digest"], added["environment"]["image"]) == (None, f"{host}/pin/later:1")
    await it.start(added)
    instance = await it.hub.becomes(await stored(it, added), InstanceStatus.RUNNING)
    assert [notice["code"] for notice in instance.notices] == ["image_unverified"]
    (pod,) = it.it.pods()
    assert it.running() == [f"{host}/pin/later:1"]
    assert pod["spec"]["containers"][0]["imagePullPolicy"] == "Always"
    assert "not checked yet" in (await it.page(added)).text


async def test_the_first_answer_is_said_on_the_page_and_taken_by_the_next_start(with_images):
    it = await with_images()
    image = f"{it.registry.host}/pin/first:1"
    renku = Renku.instance()
    heard = renku.context
    added = await add_unchecked(it, image)
    renku.context = heard
    digest = it.registry.push("pin/first", "1", config=STACKS)
    page = (await it.page(added)).text
    assert digest in page
    assert "the hub" in page
    shown = (await it.session(added))["environment"]
    assert (shown["digest"], shown["revision"]) == (digest, 2)
    back = await choose(it, added, revision=1)
    assert (back.status_code, back.json()["code"]) == (422, "revision_superseded")
    assert "revision 2 pins it" in back.json()["fields"]["revision"]
    await it.start(added)
    await it.hub.becomes(await stored(it, added), InstanceStatus.RUNNING)
    assert it.running()[0].endswith(digest)


async def add_unchecked(it, image):
    """Add an image while the hub asks nobody."""
    renku = Renku.instance()
    renku.context = replace(renku.context, registry=None)
    return await it.add(await it.hub.project(), image)


async def test_a_content_that_the_registry_has_dropped_is_told_before_the_start(with_images):
    it = await with_images()
    old = it.registry.push("pin/gone", "1", config=STACKS)
    added = await it.add(await it.hub.project(), f"{it.registry.host}/pin/gone:1")
    new = it.registry.push("pin/gone", "1", config=STACKS | {"User": "1001"})
    it.registry.delete("pin/gone", old)
    it.later(minutes=16)
    answer = await it.start(added)
    assert (answer.status_code, answer.json()["code"]) == (409, "image_digest_gone"), answer.text
    assert it.it.pods() == []
    page = (await it.page(added)).text
    assert "no longer in the registry" in page
    assert "Accept revision 2" in page
    assert (await choose(it, added, revision=2, digest=new)).status_code == 200
    assert (await choose(it, added, revision=1)).json()["code"] == "image_digest_gone"
    assert (await it.start(added)).status_code in (200, 202)
    await it.hub.becomes(await stored(it, added), InstanceStatus.RUNNING)


async def test_an_image_that_is_gone_altogether_is_told_before_the_start(with_images):
    it = await with_images()
    digest = it.registry.push("pin/nothing", "1", config=STACKS)
    added = await it.add(await it.hub.project(), f"{it.registry.host}/pin/nothing:1")
    it.registry.delete("pin/nothing", digest)
    it.later(minutes=16)
    answer = await it.start(added)
    assert (answer.status_code, answer.json()["code"]) == (409, "image_not_found")


async def test_a_registry_that_is_down_keeps_nobody_from_starting(with_images):
    it = await with_images()
    it.registry.push("pin/down", "1", config=STACKS)
    added = await it.add(await it.hub.project(), f"{it.registry.host}/pin/down:1")
    with it.hub.parts.db.read() as tx:
        session = tx.sessions.get(added["id"])
    moved(it, session, silent())
    answer = await it.start(added)
    assert answer.status_code in (200, 202)
    await it.hub.becomes(await stored(it, added), InstanceStatus.RUNNING)


def moved(it, session, host):
    """The registry of a session's image is now where nobody listens."""
    with it.hub.parts.db.engine.begin() as connection:
        said = {"repository": f"{host}/pin/down", "id": session.revision.id}
        connection.execute(text("UPDATE renku_revisions SET repository = :repository WHERE id = :id"), said)
    it.hub.parts.db._known._found.clear()
    it.listen_to(host)


async def test_a_policy_that_has_changed_holds_for_the_next_start(with_images):
    it = await with_images()
    it.registry.push("pin/policy", "1", config=STACKS)
    added = await it.add(await it.hub.project(), f"{it.registry.host}/pin/policy:1")
    renku = Renku.instance()
    policy = replace(renku.context.policy, images=ImagePolicy(allowed=("quay.io",)))
    renku.context = replace(renku.context, policy=policy)
    answer = await it.start(added)
    assert (answer.status_code, answer.json()["code"]) == (409, "registry_not_allowed")


async def test_an_own_image_is_of_its_project_alone(with_images):
    it = await with_images()
    it.registry.push("pin/mine", "1", config=STACKS)
    added = await it.add(await it.hub.project(), f"{it.registry.host}/pin/mine:1")
    other = await it.hub.project("other")
    said = {"environment": added["environment"]["id"]}
    answer = await it.hub.client("alice").post(f"api/renku/projects/{other.id}/sessions", json=said)
    assert answer.status_code == 404
    offered = (await it.hub.client("alice").get("api/renku/environments")).json()["items"]
    assert added["environment"]["id"] not in [each["id"] for each in offered]
