"""The tab *Built from a repository*, its API and the news, as people see them."""

import re
from dataclasses import dataclass, replace
from html import unescape
from typing import Any

import httpx
import pytest

from renku_spawner.config.renku import Renku
from renku_spawner.context.app_context import read_transaction
from renku_spawner.domain.projects import Project
from renku_spawner.usecases.ci_images import expire_ci_image_status
from tests.fakes.gitlab_project import Project as Code
from tests.fixtures import gitlab, renku
from tests.fixtures.gitlab import GitLabHub
from tests.fixtures.renku import until, xsrf

renku_hub, lab, gitlab_hub = renku.renku_hub, gitlab.lab, gitlab.gitlab_hub


@dataclass
class Built:
    """A hub that runs images (nothing is started here), and a project of alice whose CI builds them."""

    hub: GitLabHub
    project: Project
    code: Code

    def commit(self, message: str, *, built: bool = True, status: str = "success", branch: str = "main") -> str:
        sha = self.code.push(branch, {"Dockerfile": message}, message=message)
        self.code.pipeline(sha, status, ref=branch)
        if built:
            self.code.image(sha[:8])
        self.hub.parts.gitlab_ci.clear_cache()
        return sha

    async def api(self, method: str, path: str, name: str = "alice", **more: Any) -> httpx.Response:
        address = f"api/renku/projects/{self.project.id}/{path}"
        return await self.hub.client(name).request(method, address, **more)


@pytest.fixture
async def it(gitlab_hub) -> Built:
    hub = await gitlab_hub(Renku={"webhook_secret": "a secret of some length"})
    made = Renku.instance()
    made.context = replace(made.context, policy=replace(made.context.policy, local=False))
    project = await hub.project()
    return Built(hub, project, hub.lab.world.projects[int(project.source_id)])


def text(page: httpx.Response) -> str:
    """What the main part of a page says."""
    main = page.text.partition("<main")[2].partition("</main>")[0]
    return unescape(" ".join(re.sub(r"<[^>]+>", " ", main).split()))


async def add(it: Built, client: httpx.AsyncClient, sha: str) -> str:
    """Add a session of that commit's image by the form; the address of its page."""
    form = {
        "_xsrf": xsrf(client), "kind": "repository", "repository": "climate", "branch": "main",
        "image": f"{it.code.image_prefix}:{sha[:8]}", "title": "Spectra",
        "image_user": "yes",
    }  # fmt: skip
    added = await client.post(f"renku/projects/{it.project.path}/-/sessions", data=form)
    assert added.status_code == 303, text(added)
    [session] = (await it.api("GET", "sessions")).json()["items"]
    return f"renku/projects/{it.project.path}/-/sessions/{session['id']}"


async def test_the_tab_shows_commits_and_what_ci_made_of_them(it: Built) -> None:
    old = it.commit("Begin <b>here</b>")
    it.commit("Break it", built=False, status="failed")
    alice = await it.hub.visitor("alice")
    page = await alice.get(f"renku/projects/{it.project.path}/-/sessions/new?kind=repository")
    assert page.status_code == 200
    for said in ("Built from a repository", "Begin <b>here</b>", "CI failed for the newest commit.", "Break it"):
        assert said in text(page)
    assert f"/-/jobs/{it.code.pipelines[-1].jobs[0].id}" in page.text
    assert f'value="{it.code.image_prefix}:{old[:8]}"' in page.text


async def test_who_adds_one_may_say_how_it_is_run(it: Built) -> None:
    sha, alice = it.commit("Begin"), await it.hub.visitor("alice")
    address = f"renku/projects/{it.project.path}/-/sessions"
    form = {
        "_xsrf": xsrf(alice), "kind": "repository", "repository": "climate", "branch": "main",
        "image": f"{it.code.image_prefix}:{sha[:8]}", "name": "Dashboard", "port": "many",
        "default_url": "/app/", "command": "voila 'My notes.ipynb'",
    }  # fmt: skip
    refused = await alice.post(address, data=form)
    assert (refused.status_code, 'id="port-error"' in refused.text) == (422, True)
    for kept in ('id="how" open', 'value="many"', 'value="voila &#39;My notes.ipynb&#39;"', 'value="Dashboard"'):
        assert kept in refused.text
    assert (await alice.post(address, data=form | {"port": "8866"})).status_code == 303
    [session] = (await it.api("GET", "sessions")).json()["items"]
    environment = (await read_transaction(it.hub.parts, lambda tx: tx.sessions.get(session["id"]))).environment
    run = environment.revision.run
    assert (environment.name, run.port, run.default_url, run.command) == (
        "Dashboard", 8866, "/app/", ("voila", "My notes.ipynb"),
    )  # fmt: skip


async def test_a_session_says_where_its_image_comes_from(it: Built) -> None:
    sha = it.commit("Begin")
    alice = await it.hub.visitor("alice")
    address = await add(it, alice, sha)
    shown = text(await alice.get(address))
    assert f"branch main Commit {sha[:8]} , built by pipeline {it.code.pipelines[0].id}" in shown
    assert "User the image's own. It is not known yet: until then the usual one." in shown
    it.commit("Break it", built=False, status="failed")
    await expire_ci_image_status(it.hub.parts, str(it.code.id))

    async def told() -> str:
        found = text(await alice.get(address))
        return found if "CI failed for the newest commit. Read why in GitLab" in found else ""

    shown = await until(told, seconds=60)
    assert f"pipeline {it.code.pipelines[0].id} : CI passed" in shown
    assert "A newer image is there" not in shown


async def test_a_newer_image_is_told_at_once_and_dismissed_or_accepted(it: Built) -> None:
    alice = await it.hub.visitor("alice")
    address = await add(it, alice, it.commit("Begin"))
    api = f"sessions/{address.rpartition('/')[2]}"
    await alice.get(address)
    it.commit("Break it", built=False, status="failed")
    newest = it.commit("Mend it")
    it.code.hook(f"{it.hub.url}api/renku/gitlab-hook", "a secret of some length")
    it.code.pipelines[-1].becomes("success")

    async def news() -> str:
        found = text(await alice.get(address))
        return found if "A newer image is there" in found else ""

    shown = await until(news, seconds=60)
    for said in ("2 commits later", "Mend it", "Break it", "Accept revision 2"):
        assert said in shown
    update = (await it.api("GET", api)).json()["update"]
    assert [update[name] for name in ("revision", "commits", "commit")] == [2, 2, newest]
    assert "Accept revision 2" not in text(await (await it.hub.visitor("carol")).get(address))

    said = {"_xsrf": xsrf(alice), "digest": update["digest"]}
    assert (await alice.post(f"{address}/dismissal", data=said)).status_code == 303
    assert "A newer image is there" not in text(await alice.get(address))
    version = str((await it.api("GET", api)).json()["version"])
    assert (
        await alice.post(f"{address}/revision", data=said | {"revision": "2", "version": version})
    ).status_code == 303
    found = (await it.api("GET", api)).json()
    assert (found["environment"]["revision"], found["environment"]["built"]["commit"]) == (2, newest)
    assert found["update"] is None


async def test_an_editor_changes_the_commit_after_its_differences_are_shown(it: Built) -> None:
    first, second = it.commit("Begin"), it.commit("Go on")
    gpu, alice = it.commit("Try a GPU", branch="gpu"), await it.hub.visitor("alice")
    address = await add(it, alice, second)
    api = f"sessions/{address.rpartition('/')[2]}"
    session = (await it.api("GET", api)).json()
    chooser = await alice.get(f"{address}/environment?kind=repository&branch=main")
    for sha in (first, second):
        assert f'value="{it.code.image_prefix}:{sha[:8]}"' in chooser.text
    form = {
        "_xsrf": xsrf(alice), "kind": "repository", "repository": "climate", "branch": "main",
        "image": f"{it.code.image_prefix}:{first[:8]}", "image_user": "yes", "version": str(session["version"]),
    }  # fmt: skip
    unchosen = await alice.post(f"{address}/environment", data=form | {"image": ""})
    assert (unchosen.status_code, "Please choose a commit that has an image." in unchosen.text) == (422, True)
    review = await alice.post(f"{address}/environment", data=form)
    assert f"Commit {second[:8]} {first[:8]}" in text(review)
    assert (await it.api("GET", api)).json() == session, "nothing is stored yet"
    assert (await alice.post(f"{address}/environment", data=form | {"reviewed": "yes"})).status_code == 303
    changed = (await it.api("GET", api)).json()["environment"]
    assert (changed["id"], changed["revision"], changed["built"]["commit"]) == (session["environment"]["id"], 2, first)

    built = {"repository": "climate", "branch": "gpu"}
    for name, status in (("carol", 403), ("alice", 200)):
        answer = await it.api("POST", f"{api}/revision", name, json={"built": built, "run": {"image_user": True}})
        assert answer.status_code == status, answer.text
    changed = answer.json()["environment"]
    assert (changed["id"], changed["revision"], changed["built"]["commit"]) == (session["environment"]["id"], 3, gpu)
    back = (await it.api("POST", f"{api}/revision", json={"revision": 2})).json()["environment"]
    assert (back["revision"], back["built"]["commit"]) == (2, first)


async def test_the_api_lists_images_and_makes_a_session_of_one(it: Built) -> None:
    old = it.commit("Begin")
    gpu = it.commit("Try a GPU", branch="gpu")
    listed = (await it.api("GET", "images")).json()
    assert (listed["repository"], listed["branch"], listed["state"], listed["log"]) == (
        "climate",
        "main",
        "built",
        None,
    )
    assert [each["commit"] for each in listed["items"]] == [old]
    assert {each["name"]: each["image"][-8:] for each in listed["branches"]} == {"gpu": gpu[:8], "main": old[:8]}
    assert listed["items"][0]["pipeline"]["status"] == "success"
    branch = (await it.api("GET", "images?repository=climate&branch=gpu")).json()
    assert branch["items"][0]["commit"] == gpu

    made = await it.api(
        "POST", "sessions", json={"built": {"repository": "climate", "branch": "gpu"}, "run": {"image_user": True}}
    )
    assert made.status_code == 201, made.text
    with it.hub.parts.db.read() as tx:
        assert tx.sessions.get(made.json()["id"]).revision.run.image_user
    assert made.json()["environment"]["built"] == {
        "repository": f"{it.hub.lab.url}/{it.code.path}.git",
        "branch": "gpu",
        "commit": gpu,
        "pipeline": it.code.pipelines[-1].id,
    }


async def test_what_there_is_not_is_refused_at_its_field(it: Built) -> None:
    it.commit("Begin")
    for query, field in (("repository=none", "repository"), ("branch=none", "branch")):
        answer = await it.api("GET", f"images?{query}")
        assert (answer.status_code, set(answer.json()["fields"])) == (422, {field})
    for said, field in (
        ({"repository": "none"}, "repository"),
        ({"repository": "climate", "branch": "none"}, "branch"),
        ({"repository": "climate", "image": "docker.io/library/nginx:latest"}, "image"),
        ({"repository": "climate", "tag": "x"}, "built.tag"),
    ):
        answer = await it.api("POST", "sessions", json={"built": said})
        assert (answer.status_code, set(answer.json()["fields"])) == (422, {field})
    both = await it.api("POST", "sessions", json={"built": {"repository": "climate"}, "image": "nginx"})
    assert both.status_code == 422


async def test_only_those_who_may_add_see_what_there_is(it: Built) -> None:
    it.commit("Begin")
    await it.hub.join("dave")
    answers = {name: (await it.api("GET", "images", name)).status_code for name in ("alice", "bob", "carol", "dave")}
    assert answers == {"alice": 200, "bob": 200, "carol": 403, "dave": 404}
    carol = await it.hub.visitor("carol")
    page = await carol.get(f"renku/projects/{it.project.path}/-/sessions/new?kind=repository")
    assert page.status_code == 403


async def test_a_form_without_a_choice_is_shown_again(it: Built) -> None:
    it.commit("Begin")
    alice = await it.hub.visitor("alice")
    form = {"_xsrf": xsrf(alice), "kind": "repository", "repository": "climate", "branch": "main", "title": "Kept"}
    page = await alice.post(f"renku/projects/{it.project.path}/-/sessions", data=form)
    assert page.status_code == 422
    assert "Please choose a commit that has an image." in text(page)
    assert 'value="Kept"' in page.text


async def test_without_ci_the_tab_leads_to_the_guide(it: Built) -> None:
    it.code.push("main", {"README.md": "x"})
    it.hub.parts.gitlab_ci.clear_cache()
    alice = await it.hub.visitor("alice")
    page = await alice.get(f"renku/projects/{it.project.path}/-/sessions/new?kind=repository")
    assert "No CI has ever run on this branch." in text(page)
    guide = await alice.get("renku/images/ci")
    assert guide.status_code == 200
    assert "CI_COMMIT_SHORT_SHA" in guide.text
    assert "/renku/images/ci" in page.text


async def test_gitlab_away_is_said_within_the_tab(it: Built) -> None:
    it.commit("Begin")
    alice = await it.hub.visitor("alice")
    it.hub.lab.fault(f"/api/v4/projects/{it.code.id}/registry", "503")
    page = await alice.get(f"renku/projects/{it.project.path}/-/sessions/new?kind=repository")
    assert page.status_code == 200
    assert "GitLab does not answer at the moment." in text(page)
    assert (await it.api("GET", "images")).status_code == 503


async def test_on_one_machine_there_is_no_such_tab(it: Built) -> None:
    it.commit("Begin")
    made = Renku.instance()
    made.context = replace(made.context, policy=replace(made.context.policy, local=True))
    alice = await it.hub.visitor("alice")
    page = await alice.get(f"renku/projects/{it.project.path}/-/sessions/new?kind=repository")
    assert "Built from a repository" not in page.text
    assert (await it.api("GET", "images")).status_code == 422
    made = await it.api("POST", "sessions", json={"built": {"repository": "climate"}})
    assert (made.status_code, set(made.json()["fields"])) == (422, {"repository"})


async def test_the_look_for_news_is_one_for_all_who_see_the_session(it: Built) -> None:
    it.commit("Begin")
    made = (await it.api("POST", "sessions", json={"built": {"repository": "climate"}})).json()
    alice = await it.hub.visitor("alice")
    address = f"renku/projects/{it.project.path}/-/sessions/{made['id']}"
    await alice.get(address)

    async def seen() -> Any:
        return await read_transaction(
            it.hub.parts, lambda tx: tx.ci_images.get((str(it.code.id), "main", it.code.image_prefix))
        )

    await until(seen, seconds=30)
    asked = it.hub.lab.counted(f"/api/v4/projects/{it.code.id}/registry")
    it.hub.parts.gitlab_ci.clear_cache()
    bob = await it.hub.visitor("bob")
    for client in (alice, bob, alice):
        assert (await client.get(address)).status_code == 200
    assert it.hub.lab.counted(f"/api/v4/projects/{it.code.id}/registry") == asked
    await expire_ci_image_status(it.hub.parts, str(it.code.id))
    await bob.get(address)
    await until(lambda: it.hub.lab.counted(f"/api/v4/projects/{it.code.id}/registry") > asked, seconds=30)
