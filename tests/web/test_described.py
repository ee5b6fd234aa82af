"""Sessions that a project's repository describes: offered on its empty page, looked at, and added with a click."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace

import httpx
import pytest

from renku_spawner.config.renku import Renku
from renku_spawner.domain.access import Visibility
from renku_spawner.domain.projects import NewProject, NewRepository, ProjectChange
from renku_spawner.integrations.git_server import GitServerClient
from renku_spawner.integrations.net.guarded_http import EgressGuard
from renku_spawner.usecases.projects import change_project, create_project, get_project
from tests.fixtures.renku import RenkuHub, renku_hub, until, xsrf
from tests.spawners.local.conftest import Upstream, git, upstream

__all__ = ["renku_hub", "upstream"]
FILE = """\
version: 1
sessions:
- title: Explore
  environment: {ready_made: python}
- title: <b>Model</b>
  environment: {ready_made: python}
  configuration: {memory: 2Gi}
"""
PAGE = "renku/projects/alice/described"
DESCRIBED = f"{PAGE}/-/sessions/described"


class Watched(GitServerClient):
    """A git server's answers can be held back, and are counted."""

    asked = 0

    def __init__(self, guard: EgressGuard) -> None:
        super().__init__(guard)
        self.open = asyncio.Event()
        self.open.set()

    async def read_file(self, *asked: object) -> bytes | None:
        self.asked += 1
        await self.open.wait()
        return await super().read_file(*asked)  # type: ignore[arg-type]


@pytest.fixture
async def begun(renku_hub: Callable[..., Awaitable[RenkuHub]], upstream: Upstream):
    """A hub that may ask the git server of the test, and an empty project with a repository there."""
    hub = await renku_hub(Renku={"repository_hosts": {upstream.server.url.removeprefix("http://")}})
    host = upstream.server.url.removeprefix("http://")
    watched = Watched(EgressGuard(hosts=[host], plain_http=[host]))
    Renku.instance().context = replace(hub.parts, git=watched)
    upstream.commit("plain", README="x")
    upstream.commit("code", README="x")
    (upstream.source("code") / ".renku").mkdir()
    write(upstream, FILE)
    for name in ("plain", "code"):
        git(upstream.folder / f"{name}.git", "config", "uploadpack.allowFilter", "true")
    clones = tuple(NewRepository(url=upstream.url(name)) for name in ("plain", "code"))
    hub.user("alice")
    new = NewProject(path="alice/described", title="Described", repositories=clones)
    await create_project(hub.parts, hub.person("alice"), new)
    yield hub, upstream, watched
    await watched.close()


def write(upstream: Upstream, text: str) -> None:
    upstream.commit("code", **{".renku/sessions.yaml": text})


def forget(hub: RenkuHub) -> None:
    """As after a minute."""
    hub.parts.session_file_offers.seen._values.clear()


async def becomes(client: httpx.AsyncClient, text: str) -> str:
    """The project's page when *text* stands in it: what is slow comes later."""

    async def shown() -> str:
        page = (await client.get(PAGE)).text
        return page if text in page else ""

    found: str = await until(shown, why=text)
    return found


def content(page: str) -> str:
    found = re.search(r'name="content" value="([0-9a-f]{64})"', page)
    assert found
    return found[1]


async def test_what_a_repository_describes_is_offered_looked_at_and_added_with_a_click(begun) -> None:
    hub, upstream, watched = begun
    alice = await hub.visitor("alice")
    watched.open.clear()
    waiting = await asyncio.gather(*(alice.get(PAGE) for _ in range(5)))
    assert all('id="described" data-later' in page.text for page in waiting)
    assert "Add with other settings" in waiting[0].text, "the page waits for nobody"
    assert watched.asked == 1, "once for all who look"
    watched.open.set()
    page = await becomes(alice, "<code>code</code> describes 2 sessions")
    assert "Explore, &lt;b&gt;Model&lt;/b&gt;" in page

    looked = (await alice.get(DESCRIBED)).text
    assert "Add 2 sessions" in looked
    form = {"_xsrf": xsrf(alice), "content": content(looked)}
    write(upstream, FILE.replace("2Gi", "3Gi"))
    forget(hub)
    changed = await alice.post(DESCRIBED, data=form)
    assert (changed.status_code, "The file has changed in the meantime" in changed.text) == (409, True)
    added = await alice.post(DESCRIBED, data=form | {"content": content(changed.text)})
    assert (added.status_code, added.headers["Location"].partition("?")[2]) == (303, "said=described")
    asked, page = watched.asked, (await alice.get(PAGE)).text
    assert ("Explore" in page, "describes" in page) == (True, False)
    forget(hub)
    await alice.get(PAGE)
    assert watched.asked == asked, "who has sessions is not asked"
    again = (await alice.get(DESCRIBED)).text
    assert ("is there already" in again, '<button class="btn btn-primary">' in again) == (True, False)
    file = await alice.get(f"{PAGE}/-/sessions.yaml")
    assert file.headers["Content-Disposition"] == 'attachment; filename="sessions.yaml"'
    assert "memory: 3Gi" in file.text


async def test_a_file_that_cannot_be_used_says_why_and_viewers_hear_nothing_of_it(begun) -> None:
    hub, upstream, watched = begun
    alice = await hub.visitor("alice")
    for text, said in (
        ("a: !!python/object:os.system 1", "Line 1: tags (!) are not supported."),
        ("version: 1\ncolour: red", "colour: There is no such key. (line 2)"),
    ):
        write(upstream, text)
        forget(hub)
        assert "of code cannot be used:" in await becomes(alice, said)
        assert (await alice.get(DESCRIBED)).status_code == 422
    write(upstream, FILE.replace("ready_made: python", "ready_made: fortran", 1))
    forget(hub)
    impossible = (await alice.get(DESCRIBED)).text
    assert "This hub offers no such environment." in impossible
    refused = await alice.post(DESCRIBED, data={"_xsrf": xsrf(alice), "content": content(impossible)})
    assert (refused.status_code, "None of it is done" in refused.text) == (422, True)
    write(upstream, "#" * 70_000)
    forget(hub)
    assert (await alice.get(DESCRIBED)).status_code == 404

    asked = watched.asked
    await change_project(hub.parts, hub.person("alice"), "alice/described", await public(hub))
    bob = await hub.visitor("bob")
    page = (await bob.get(PAGE)).text
    assert ('id="described"' in page, watched.asked) == (False, asked)
    assert (await bob.get(DESCRIBED)).status_code == 403


async def public(hub: RenkuHub):
    project = await get_project(hub.parts, hub.person("alice"), "alice/described")
    return ProjectChange(version=project.version, visibility=Visibility.PUBLIC)
