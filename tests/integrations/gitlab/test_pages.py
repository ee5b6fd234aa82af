"""Pages of a hub whose projects are GitLab's, as people see them who have logged in there."""

import html
import re
import time
from collections.abc import Awaitable, Callable

import httpx
import pytest

from renku_spawner.domain.instances import InstanceStatus
from renku_spawner.domain.projects import Project
from renku_spawner.domain.sessions import Session
from tests.fakes.gitlab import FakeGitLab
from tests.fakes.gitlab_world import DEVELOPER, GUEST
from tests.fixtures.gitlab import GitLabHub, gitlab_hub, lab
from tests.fixtures.renku import renku_hub, until, xsrf

__all__ = ["gitlab_hub", "lab", "renku_hub"]
PATH = "klima/alpen/daily"
PAGE = f"renku/projects/{PATH}"
SETTINGS = f"{PAGE}/-/settings"
DESCRIBED = "version: 1\nsessions:\n- title: From GitLab\n  environment: {ready_made: python}\n"


class Site:
    """The hub with a project in groups of groups, of which alice is a developer and bob a guest."""

    def __init__(self, hub: GitLabHub) -> None:
        self.hub, self.lab = hub, hub.lab
        self.there = self.lab.project(PATH, owner="erin", visibility="internal")
        self.there.push("main", {"a": "1"})
        self.lab.member(self.there, "alice", DEVELOPER)
        self.lab.member(self.there, "bob", GUEST)

    async def project(self) -> Project:
        return await self.hub.shown(self.there)

    async def session(self) -> Session:
        return await self.hub.session(await self.project())

    async def post(self, client: httpx.AsyncClient, page: str, **fields: str) -> httpx.Response:
        return await client.post(page, data={"_xsrf": xsrf(client)} | fields, follow_redirects=False)

    def later(self, seconds: float) -> None:
        """Let time go by for all that is remembered of GitLab."""
        source = self.hub.parts.source
        looks = source._looks
        ahead = time.monotonic() + seconds - source._clock()

        def clock() -> float:
            return time.monotonic() + ahead

        verdicts = looks.verdicts
        for each in (source, source._lists, looks, verdicts, looks._users, looks._paths, looks._away, verdicts._sights,
                     verdicts._levels, verdicts._purged, source._lists._pages):  # fmt: skip
            each._clock = clock


def words(page: str) -> str:
    """What somebody reads of a page."""
    main = page[page.index("<main") : page.index("</main>")]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", main)).split())


@pytest.fixture
async def site(gitlab_hub: Callable[..., Awaitable[GitLabHub]], lab: FakeGitLab) -> Site:
    lab.user("erin")
    made = Site(await gitlab_hub())
    await made.hub.join("alice")
    return made


async def test_projects_are_made_in_gitlab(site: Site) -> None:
    alice = await site.hub.visitor("alice")
    page = (await alice.get("renku/projects")).text
    assert "Daily" in words(page)
    assert f'href="{site.lab.url}"' in page
    assert "projects/new" not in page
    made = await alice.get("renku/projects/new")
    assert (made.status_code, "GitLab" in words(made.text)) == (403, True)
    answer = await site.hub.client("alice").post("api/renku/projects", json={"path": "alice/x", "title": "X"})
    assert (answer.status_code, "GitLab" in answer.json()["message"]) == (403, True)
    page = (await (await site.hub.visitor("dave")).get("renku/projects")).text
    assert "You are in no project yet" in page
    assert f"{site.lab.url}/projects/new" in page
    assert 'href="/hub/renku/projects/new' not in page


async def test_a_project_says_where_it_is_and_who_sees_it(site: Site) -> None:
    page = (await (await site.hub.visitor("bob")).get(PAGE)).text
    assert "all users who are logged in to GitLab, except external users" in words(page)
    assert "you are viewer" in words(page)
    assert f'href="{site.lab.url}/{PATH}"' in page
    assert f"{site.lab.url}/{PATH}/-/project_members" in page
    assert "/-/settings" not in page
    site.there.archived = True
    site.later(400)
    page = (await (await site.hub.visitor("alice")).get(PAGE)).text
    assert "archived in GitLab" in words(page)
    assert "you are viewer" in words(page)


async def test_settings_are_repositories_that_are_looked_at_before_they_are_saved(site: Site) -> None:
    alice = await site.hub.visitor("alice")
    open_one = site.lab.project("erin/tools", visibility="public")
    open_one.push("main", {"a": "1"})
    page = (await alice.get(SETTINGS)).text
    assert "the project itself" in words(page)
    assert not re.search(r'name="(title|slug|visibility|username|role)"', page)
    assert "/-/delete" not in page

    async def shown() -> dict[str, str]:
        return {"version": str((await site.project()).version)}

    wrong = await site.post(
        alice, f"{PAGE}/-/repositories", url=f"{site.lab.url}/erin/hidden.git", directory="mine", **await shown()
    )
    assert wrong.status_code == 422
    assert 'id="url-error"' in wrong.text
    assert "no such repository in GitLab" in words(wrong.text)
    assert 'value="mine"' in wrong.text
    wrong = await site.post(
        alice, f"{PAGE}/-/repositories", url=f"{site.lab.url}/erin/tools.git", ref="gone", **await shown()
    )
    assert 'id="ref-error"' in wrong.text
    right = await site.post(
        alice, f"{PAGE}/-/repositories", url=f"{site.lab.url}/erin/tools.git", ref="main", **await shown()
    )
    assert right.status_code == 303
    page = (await alice.get(SETTINGS)).text
    assert page.count("/delete") == 1
    project = await site.project()
    assert [(r.directory, r.ref, r.fixed) for r in project.repositories] == [
        ("daily", None, True),
        ("tools", "main", False),
    ]
    await site.post(alice, f"{PAGE}/-/repositories/tools/delete", **await shown())
    assert [r.directory for r in (await site.project()).repositories] == ["daily"]
    assert (
        await site.post(await site.hub.visitor("bob"), f"{PAGE}/-/repositories", url="https://x.org/y")
    ).status_code == 403


async def test_the_api_changes_what_is_ours_and_says_what_is_not(site: Site) -> None:
    alice = site.hub.client("alice")
    project = await site.project()
    url = f"api/renku/projects/{project.id}"
    known = (await alice.get(url)).json()
    about = [known[key] for key in ("web", "archived", "stale")] + [r["fixed"] for r in known["repositories"]]
    assert about == [f"{site.lab.url}/{PATH}", False, None, True]
    refused = await alice.patch(url, json={"version": known["version"], "title": "Mine"})
    assert (refused.status_code, "GitLab" in refused.json()["message"]) == (403, True)
    wanted = [{"url": r["url"]} for r in known["repositories"]] + [{"url": f"{site.lab.url}/erin/hidden"}]
    refused = await alice.patch(url, json={"version": known["version"], "repositories": wanted})
    assert (refused.status_code, list(refused.json()["fields"])) == (422, ["repositories.1.url"])
    kept = await alice.patch(url, json={"version": known["version"], "repositories": wanted[:1]})
    assert (kept.status_code, kept.json()["repositories"]) == (200, known["repositories"])
    assert (await alice.delete(url)).status_code == 403
    assert (await alice.delete(f"{url}/members/alice")).status_code == 403


async def test_while_gitlab_is_away_pages_are_of_earlier_and_starts_wait_for_it(site: Site) -> None:
    session = await site.session()
    alice = await site.hub.visitor("alice")
    start = f"{PAGE}/-/sessions/{session.id}/start"
    for page in (PAGE, "renku/projects"):
        assert "GitLab does not answer" not in (await alice.get(page)).text
    site.lab.mode = "500"
    site.later(400)
    page = (await alice.get(PAGE)).text
    assert "You see the project as it was at" in words(page)
    assert "We cannot check your access because GitLab does not answer" in words(page)
    assert "/-/settings" not in page
    assert re.search(r'<button[^>]* disabled aria-describedby="blocked-', page)
    assert "You see your projects as they were at" in words((await alice.get("renku/projects")).text)
    refused = await site.post(alice, start, back="project", resource_class="small")
    assert refused.status_code == 503
    assert "We cannot check your access because GitLab does not answer. Try again in a moment." in words(refused.text)
    assert f'/hub/{start}"' in refused.text
    assert 'name="resource_class" value="small"' in refused.text
    assert await site.hub.status(session) is InstanceStatus.INACTIVE
    site.lab.mode = "ok"
    site.later(30)
    assert (await site.post(alice, start)).status_code == 303
    await site.hub.becomes(session, InstanceStatus.RUNNING)


async def test_the_api_says_of_when_it_speaks_and_what_was_typed_is_kept(site: Site) -> None:
    session = await site.session()
    alice = await site.hub.visitor("alice")
    await alice.get("renku/projects")
    site.lab.mode = "500"
    site.later(400)
    refused = await site.hub.client("alice").post(f"api/renku/projects/{session.project}/sessions/{session.id}/start")
    assert (refused.status_code, refused.json()["code"]) == (503, "access_unverified")
    stale = (await site.hub.client("alice").get(f"api/renku/projects/{session.project}")).json()["stale"]
    listed = (await site.hub.client("alice").get("api/renku/projects")).json()["items"]
    assert stale
    assert [entry["stale"] is None for entry in listed] == [False]
    refused = await alice.get(f"{PAGE}/-/sessions/{session.id}/edit")
    assert refused.status_code == 503
    assert '<form method="post"' not in refused.text
    edit = {"title": "Anew", "which": "some", "repositories": "daily", "cpu": "1"}
    refused = await site.post(alice, f"{PAGE}/-/sessions/{session.id}/edit", **edit)
    assert [f'name="{key}" value="{value}"' in refused.text for key, value in edit.items()] == [True] * 4


async def test_what_runs_goes_on_without_gitlab(site: Site) -> None:
    session = await site.session()
    alice, carol = await site.hub.visitor("alice"), await site.hub.visitor("carol")
    for address in (f"{PAGE}/-/sessions/{session.id}", f"renku/launch/{PATH}/-/{session.id}"):
        acts = "Code in this session can act in GitLab as you (read)."
        assert acts in words((await alice.get(address)).text)
        assert acts not in words((await carol.get(address)).text)  # who only passes by
    await site.post(alice, f"{PAGE}/-/sessions/{session.id}/start")
    await site.hub.becomes(session, InstanceStatus.RUNNING)
    site.lab.mode = "500"
    site.later(400)
    page = (await alice.get(PAGE)).text
    assert f"/user/alice/{session.id}/" in page
    assert "/pause" in page
    site.later(2000)  # nothing is known any more
    assert (await alice.get(PAGE)).status_code == 503
    page = (await alice.get("renku/sessions")).text
    assert f"/user/alice/{session.id}/" in page
    assert (await site.post(alice, f"renku/sessions/{session.id}/pause")).status_code == 303
    await site.hub.becomes(session, InstanceStatus.PAUSED)
    doomed = f"renku/sessions/{session.id}/data"
    assert (await alice.get(doomed)).status_code == 200
    assert (await site.post(alice, doomed, confirm=session.title)).status_code == 303
    assert await site.hub.status(session) is InstanceStatus.INACTIVE


async def test_who_lost_access_reads_why_and_keeps_what_is_theirs(
    gitlab_hub: Callable[..., Awaitable[GitLabHub]], lab: FakeGitLab
) -> None:
    lab.user("erin")
    site = Site(await gitlab_hub(Renku={"access_check": 1}))
    alice = await site.hub.visitor("alice")
    session = await site.session()
    await site.post(alice, f"{PAGE}/-/sessions/{session.id}/start")
    await site.hub.becomes(session, InstanceStatus.RUNNING)
    site.there.visibility = "private"
    lab.remove_member(site.there, "alice")
    site.later(400)
    await site.hub.becomes(session, InstanceStatus.PAUSED, seconds=60)
    page = (await alice.get("renku/sessions")).text
    assert session.title in words(page)
    assert "Paused because your access to the project ended. Your files are kept" in words(page)
    assert PATH not in page
    assert "Daily" not in words(page)
    assert "/resume" not in page
    assert (await alice.get(PAGE)).status_code == 404
    assert (await site.post(alice, f"renku/sessions/{session.id}/resume")).status_code == 404
    doomed = f"renku/sessions/{session.id}/data"
    assert doomed in page
    page = (await alice.get(doomed)).text
    assert PATH not in page
    assert "Resume instead" not in page
    assert (await site.post(alice, doomed, confirm=session.title)).status_code == 303
    assert await site.hub.status(session) is InstanceStatus.INACTIVE


async def test_sessions_that_the_projects_own_repository_describes_are_offered_to_who_may_add_them(site: Site) -> None:
    site.there.push("main", {".renku/sessions.yaml": DESCRIBED})
    alice = await site.hub.visitor("alice")

    async def offered() -> bool:  # the page waits for GitLab a moment only
        return "daily describes 1 session From GitLab" in words((await alice.get(PAGE)).text)

    await until(offered)
    looked = (await alice.get(f"{PAGE}/-/sessions/described")).text
    content = re.search(r'name="content" value="(\w+)"', looked)
    assert content
    added = await site.post(alice, f"{PAGE}/-/sessions/described", content=content[1])
    assert added.status_code == 303
    assert "describes" not in words((await alice.get(PAGE)).text)
    await site.hub.join("bob")
    bob = await site.hub.visitor("bob")
    assert (await bob.get(f"{PAGE}/-/sessions/described")).status_code == 403
    assert "From GitLab" in (await bob.get(f"{PAGE}/-/sessions.yaml")).text
