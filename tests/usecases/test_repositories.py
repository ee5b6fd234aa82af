"""A repository is looked at with the rights of who adds it, before it is saved."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from renku_spawner.context.app_context import AppContext
from renku_spawner.domain.access import Person, Role
from renku_spawner.domain.errors import InvalidInputError
from renku_spawner.domain.policy import HubPolicy
from renku_spawner.domain.projects import NewProject, NewRepository, Project, ProjectMember, Repository
from renku_spawner.integrations.git_server import GitServerClient
from renku_spawner.integrations.gitlab.auth_state import GitLabToken
from renku_spawner.integrations.gitlab.client import GitLabClient, GitLabUnavailable
from renku_spawner.integrations.net.guarded_http import EgressGuard
from renku_spawner.usecases.projects import create_project, prepare_project_repositories
from tests.domain.values import project
from tests.fakes.gitlab import FakeGitLab
from tests.fakes.gitlab_world import DEVELOPER, GUEST
from tests.integrations.gitlab.raw import OneToken, answer, raw

ADA = Person(name="ada")


class Tokens:
    """Everybody's token at the fake."""

    def __init__(self, lab: FakeGitLab) -> None:
        self.lab = lab

    async def get_token(self, name: str, *, left: float = 60.0, not_this: str | None = None) -> GitLabToken:
        made = self.lab.pair(name)
        return GitLabToken(access=made.access, user_id=made.user.id, scopes=frozenset(), expires_at=made.expires)

    def record_accepted(self, name: str, token: GitLabToken, *, ago: float) -> None: ...


@pytest.fixture(scope="module")
def lab() -> Iterator[FakeGitLab]:
    with FakeGitLab() as made:
        for name in ("ada", "bob"):
            made.user(name)
        mine = made.project("klima/alpen/daily", owner="bob")
        made.member(mine, "ada", DEVELOPER)
        mine.push("main", {"a": "1"})
        mine.push("feature/x", {"b": "1"})
        made.project("bob/hidden").push("main", {"a": "1"})
        guest = made.project("klima/guest", owner="bob")
        guest.push("main", {"a": "1"})
        made.member(guest, "ada", GUEST)
        made.project("bob/open", visibility="public").push("main", {"a": "1"})
        yield made


@pytest.fixture
def gitlab(lab: FakeGitLab) -> Iterator[GitLabClient]:
    made = GitLabClient(lab.url, Tokens(lab))
    yield made
    made.close()


@pytest.fixture
async def parts(parts: AppContext, lab: FakeGitLab, gitlab: GitLabClient) -> AsyncIterator[AppContext]:
    hosts = frozenset({gitlab.host, f"localhost:{lab.port}"})
    git = GitServerClient(EgressGuard(hosts=hosts, plain_http=hosts))
    yield replace(parts, policy=HubPolicy(repository_hosts=hosts), gitlab=gitlab, git=git)
    await git.close()


@pytest.fixture
def there(lab: FakeGitLab) -> Project:
    own = Repository(directory="daily", url=f"{lab.url}/klima/alpen/daily.git", fixed=True)
    members = (ProjectMember(kind="user", name="ada", role=Role.EDITOR),)
    return project(source="gitlab", path="klima/alpen/daily", repositories=(own,), members=members)


async def chosen(parts: AppContext, there: Project, url: str, **more: str) -> list[Repository]:
    return await prepare_project_repositories(parts, ADA, there, [NewRepository(url=url, **more)])


async def refused(parts: AppContext, there: Project, url: str, **more: str) -> dict[str, str]:
    with pytest.raises(InvalidInputError) as refusal:
        await chosen(parts, there, url, **more)
    return refusal.value.fields


@pytest.mark.parametrize("ref", [None, "main", "feature/x"])
async def test_what_one_may_read_in_gitlab_can_be_added(
    parts: AppContext, there: Project, lab: FakeGitLab, ref: str | None
) -> None:
    other = replace(there, repositories=())
    found = await chosen(parts, other, f"{lab.url}/klima/alpen/daily.git", **({"ref": ref} if ref else {}))
    assert [(each.directory, each.ref) for each in found] == [("daily", ref)]
    assert {who for _, _, who in lab.calls} == {"ada"}


@pytest.mark.parametrize("path", ["bob/hidden", "bob/none", "none/none/none.git", "bob/hidden/-/tree/main"])
async def test_absent_and_hidden_are_refused_in_the_same_words_at_the_field(
    parts: AppContext, there: Project, lab: FakeGitLab, path: str
) -> None:
    assert await refused(parts, there, f"{lab.url}/{path}") == {
        "repositories.0.url": "There is no such repository in GitLab, or you have no access to it."
    }


async def test_who_may_see_a_project_but_not_its_code_is_told_so(
    parts: AppContext, there: Project, lab: FakeGitLab
) -> None:
    fields = await refused(parts, there, f"{lab.url}/klima/guest.git")
    assert fields == {"repositories.0.url": "You may not read its code in GitLab."}


async def test_a_ref_that_is_not_there_is_refused_at_its_field(
    parts: AppContext, there: Project, lab: FakeGitLab
) -> None:
    fields = await refused(parts, there, f"{lab.url}/bob/open.git", ref="gone")
    assert fields == {"repositories.0.ref": "The repository has no branch, tag or commit gone."}


async def test_other_hosts_are_asked_as_nobody(parts: AppContext, there: Project, lab: FakeGitLab) -> None:
    lab.calls.clear()
    elsewhere = lab.url.replace("127.0.0.1", "localhost")
    assert [r.directory for r in await chosen(parts, there, f"{elsewhere}/bob/open.git", ref="main")] == ["open"]
    assert set(await refused(parts, there, f"{elsewhere}/bob/hidden.git")) == {"repositories.0.url"}
    assert set(await refused(parts, there, f"{elsewhere}/bob/open.git", ref="gone")) == {"repositories.0.ref"}
    assert await chosen(parts, there, f"{elsewhere}/bob/open.git", ref="0123abc")  # only git can look for a commit
    assert {who for _, _, who in lab.calls} == {""}


@pytest.mark.parametrize("ending", [".git", "", "/", ".GIT"])
async def test_the_project_itself_is_not_added_again(
    parts: AppContext, there: Project, lab: FakeGitLab, ending: str
) -> None:
    url = f"{lab.url}/klima/alpen/daily{ending}"
    if url == there.repositories[0].url:  # as the whole list is sent back
        assert await chosen(parts, there, url) == []
    else:
        assert "the project itself" in (await refused(parts, there, url))["repositories.0.url"]


async def test_its_directory_is_taken(parts: AppContext, there: Project, lab: FakeGitLab) -> None:
    fields = await refused(parts, there, f"{lab.url}/bob/open.git", directory="Daily")
    assert set(fields) == {"repositories.0.directory"}


async def test_several_are_looked_at_together_four_at_once_and_all_that_are_wrong_are_told(
    parts: AppContext, there: Project
) -> None:
    asked = Four()
    async with raw() as server:
        server.says = asked.say
        gitlab = GitLabClient(server.url, OneToken())
        wanted = [NewRepository(url=f"{server.url}/bob/{number}.git") for number in range(8)]
        hosts = HubPolicy(repository_hosts=frozenset({gitlab.host}))
        with pytest.raises(InvalidInputError) as refusal:
            await prepare_project_repositories(replace(parts, gitlab=gitlab, policy=hosts), ADA, there, wanted)
        gitlab.close()
    assert list(refusal.value.fields) == [f"repositories.{number}.url" for number in range(8)]
    assert asked.most == 4


class Four:
    """Answers that there is nothing as soon as four ask at the same time."""

    def __init__(self) -> None:
        self.together, self.waiting, self.most = asyncio.Barrier(4), 0, 0

    async def say(self, writer: asyncio.StreamWriter) -> None:
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        await self.together.wait()
        self.waiting -= 1
        writer.write(answer(404, {"message": "404 Project Not Found"}))


async def test_nobody_is_asked_again_about_what_is_there(parts: AppContext, there: Project, lab: FakeGitLab) -> None:
    kept = Repository(directory="open", url=f"{lab.url}/bob/gone.git", ref="gone")
    with_it = replace(there, repositories=(*there.repositories, kept))
    lab.calls.clear()
    wanted = [NewRepository(url=r.url, ref=r.ref, directory=r.directory) for r in with_it.repositories]
    assert await prepare_project_repositories(parts, ADA, with_it, wanted) == [kept]
    assert lab.calls == []


async def test_a_project_of_the_hub_is_looked_at_as_well(parts: AppContext, there: Project, lab: FakeGitLab) -> None:
    hub = replace(there, source="hub", repositories=())
    assert await refused(parts, hub, f"{lab.url}/bob/hidden") == {
        "repositories.0.url": "There is no such repository in GitLab, or you have no access to it."
    }
    new = NewProject(path="ada/new", title="New", repositories=(NewRepository(url=f"{lab.url}/bob/hidden"),))
    with pytest.raises(InvalidInputError) as refusal:
        await create_project(replace(parts, gitlab=None), ADA, new)
    assert list(refusal.value.fields) == ["repositories.0.url"]
    assert [r.directory for r in await chosen(parts, hub, f"{lab.url}/bob/open.git", ref="main")] == ["open"]


async def test_a_gitlab_that_is_away_says_neither_yes_nor_no(
    parts: AppContext, there: Project, lab: FakeGitLab
) -> None:
    lab.mode = "500"
    try:
        with pytest.raises(GitLabUnavailable):
            await chosen(parts, there, f"{lab.url}/bob/open.git")
    finally:
        lab.mode = "ok"
