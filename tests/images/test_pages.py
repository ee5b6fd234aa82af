"""The tab *Your own image* and the page of its session, without a script."""

import pytest

from tests.fixtures.renku import xsrf
from tests.images.conftest import STACKS, silent


def sessions(project):
    return f"renku/projects/{project.path}/-/sessions"


def form(client, **fields):
    return {"_xsrf": xsrf(client), "kind": "external", **fields}


async def test_an_image_is_read_about_and_added_without_a_script(with_images):
    it = await with_images()
    host, project = it.registry.host, await it.hub.project()
    digest = it.registry.push("page/stacks", "1", config=STACKS)
    bob = await it.hub.visitor("bob")
    blank = await bob.get(f"{sessions(project)}/new?kind=external")
    assert blank.status_code == 200
    for said in ('aria-current="page"', "Your own image", "What an image must do", "run on linux/amd64", "Check"):
        assert said in blank.text
    read = await bob.post(f"{sessions(project)}/check", data=form(bob, image=f"{host}/page/stacks:1"))
    assert read.status_code == 200
    for said in (
        "This image can be used",
        "Found and public",
        "Runs here: linux/amd64",
        "User 1000, not root",
        digest[7:15],
    ):
        assert said in read.text, said
    added = await bob.post(
        sessions(project), data=form(bob, image=f" {host}/page/stacks:1 ", name="Stacks", title="Mine")
    )
    assert added.status_code == 303, added.text
    shown = (await bob.get(f"renku/projects/{project.path}")).text
    for said in ("Mine", "Stacks", "Own image", digest[7:15]):
        assert said in shown, said
    again = await bob.post(f"{sessions(project)}/check", data=form(bob, image=f"{host}/page/stacks:1", gpu="1"))
    assert "The session “Mine” already uses this image" in again.text
    assert "GPU libraries" in again.text
    with it.hub.parts.db.read() as tx:
        (stored,) = tx.sessions.list_for_project(project.id)[0]
    page = (await bob.get(f"{sessions(project)}/{stored.id}")).text
    for said in (
        digest,
        "Looks like",
        "https://github.com/jupyter/docker-stacks",
        "1 label of the image",
        "to download",
    ):
        assert said in page, said


async def test_what_is_wrong_stands_at_the_image_and_nothing_is_added(with_images):
    it = await with_images()
    host, project = it.registry.host, await it.hub.project()
    it.registry.push("page/arm", "1", config=STACKS, platforms=("linux/arm64",))
    bob = await it.hub.visitor("bob")
    for image, verdict in (
        (f"{host}/page/none:1", "does not exist or is not public"),
        (f"{host}/page/arm:1", "it is built for linux/arm64 only"),
        ("NGINX", "Upper-case letters are not allowed in image names (character 1)."),
        ("", "Please give an image."),
        ("10.0.0.1/x", "not allow"),
    ):
        for address, status in ((f"{sessions(project)}/check", 200), (sessions(project), 422)):
            answer = await bob.post(address, data=form(bob, image=image, title="Mine"))
            assert answer.status_code == status, answer.text
            assert verdict in answer.text, image
            assert f'value="{image}"' in answer.text
            assert 'value="Mine"' in answer.text
    with it.hub.parts.db.read() as tx:
        assert tx.sessions.list_for_project(project.id)[0] == []


async def test_how_it_is_run_is_kept_and_what_is_wrong_there_stands_at_its_field(with_images):
    it = await with_images()
    project = await it.hub.project()
    image = f"{it.registry.host}/page/app:1"
    it.registry.push("page/app", "1", config={"User": "1001", "ExposedPorts": {"8501/tcp": {}}, "Cmd": ["streamlit"]})
    bob = await it.hub.visitor("bob")
    read = await bob.post(f"{sessions(project)}/check", data=form(bob, image=image))
    assert 'placeholder="8501"' in read.text
    for fields in ({"uid": "0"}, {"port": "x"}, {"command": '"'}, {"working_directory": "/tmp"}, {"default_url": "x"}):
        answer = await bob.post(sessions(project), data=form(bob, image=image, **fields))
        assert answer.status_code == 422
        assert f'href="#{next(iter(fields))}"' in answer.text, fields
    said = {"command": "streamlit run 'my app.py'", "uid": "2000", "working_directory": "/work/app"}
    assert (await bob.post(sessions(project), data=form(bob, image=image, **said))).status_code == 303
    with it.hub.parts.db.read() as tx:
        (session,) = tx.sessions.list_for_project(project.id)[0]
    run = session.revision.run
    assert (run.command, run.port, run.uid) == (("streamlit", "run", "my app.py"), 8501, 2000)
    assert (run.working_directory, run.default_url) == ("/work/app", "/")


async def test_an_image_that_cannot_be_checked_is_saved_and_says_so(with_images):
    host = silent()
    it = await with_images(host)
    project = await it.hub.project()
    bob = await it.hub.visitor("bob")
    read = await bob.post(f"{sessions(project)}/check", data=form(bob, image=f"{host}/a/b:1"))
    assert "This image could not be checked now; it can be saved all the same" in read.text
    added = await bob.post(sessions(project), data=form(bob, image=f"{host}/a/b:1"))
    assert added.status_code == 303
    assert "not checked yet" in (await bob.get(f"renku/projects/{project.path}")).text


HOSTILE = {
    "User": "<script>alert(1)</script>",
    "Cmd": ['"><img src=x onerror=alert(1)>'],
    "Labels": {
        "org.opencontainers.image.title": "<b>\u202etitle</b>",
        "org.opencontainers.image.source": "javascript:alert(1)",
        "org.opencontainers.image.description": "{{7*7}}" + "x" * 5000,
        "<i>": "'\"><svg onload=alert(1)>",
    },
}


async def test_what_a_stranger_wrote_into_an_image_is_text(with_images):
    it = await with_images()
    project = await it.hub.project()
    image = f"{it.registry.host}/page/hostile:1"
    it.registry.push("page/hostile", "1", config=HOSTILE)
    bob = await it.hub.visitor("bob")
    pages = [await bob.post(f"{sessions(project)}/check", data=form(bob, image=image))]
    assert (await bob.post(sessions(project), data=form(bob, image=image))).status_code == 303
    with it.hub.parts.db.read() as tx:
        (session,) = tx.sessions.list_for_project(project.id)[0]
    pages += [await bob.get(f"renku/projects/{project.path}"), await bob.get(f"{sessions(project)}/{session.id}")]
    for page in pages:
        assert page.status_code == 200
        for mark in ("<script>alert", "<img src=x", "<svg onload", "<b>", "<i>", 'href="javascript', "\u202e"):
            assert mark not in page.text, mark


@pytest.mark.parametrize("who", ["carol", "dave"])
async def test_only_editors_have_images_checked_for_a_project(with_images, who):
    it = await with_images()
    project = await it.hub.project()
    client = await it.hub.visitor(who)
    answer = await client.post(f"{sessions(project)}/check", data=form(client, image="nginx"))
    assert answer.status_code == (403 if who == "carol" else 404)
