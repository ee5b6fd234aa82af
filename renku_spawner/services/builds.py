"""Images that the CI of a project's repositories has built, as the one who looks may see them (decision 33)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from ..domain import built
from ..domain.access import Action, Person
from ..domain.built import BuiltImage
from ..domain.ci import Branch, CiRules, CiState, CodeProject, Commit, Pipeline, Tag
from ..domain.errors import Forbidden, Invalid, NotFound, Unavailable
from ..domain.project import Project
from ..domain.repository import Repository
from ..gitlab.ci import Ci
from ..gitlab.errors import Away, Denied
from .parts import Parts

PATIENCE = 5.0  # seconds, for everything that a page asks
_ASKED_ALONE = 5  # tags whose pipeline ran on another branch, and is asked for by its commit


@dataclass(frozen=True, kw_only=True)
class Builds:
    """What CI has made of one branch.

    `images` are in the order of `commits`, the newest first; `pipelines` is the last one
    of each commit; `newest` is the newest image of each branch, as far as GitLab's last
    hundred commits go; `job` is the page of the job that failed for the newest commit.
    """

    project: CodeProject
    branches: Sequence[Branch] = ()
    branch: Branch | None = None
    commits: Sequence[Commit] = ()
    images: Sequence[BuiltImage] = ()
    pipelines: Mapping[str, Pipeline] = field(default_factory=dict)
    newest: Mapping[str, BuiltImage] = field(default_factory=dict)
    state: CiState = CiState.UNKNOWN
    job: str = ""


@dataclass(frozen=True, kw_only=True)
class Tab:
    """What the tab shows: the repositories of the project that live in its GitLab, and of
    the chosen one what was built, or a sentence why that is not known."""

    repositories: Sequence[Repository]
    repository: Repository | None = None
    builds: Builds | None = None
    problem: str = ""


def here(parts: Parts, project: Project) -> list[Repository]:
    """The repositories of *project* that live in its GitLab, its own one first."""
    if parts.ci is None or parts.policy.local:
        return []
    return [r for r in project.repositories if r.fixed or _path(parts.ci, r)]


def _path(ci: Ci, repository: Repository) -> str:
    """The path of its project in our GitLab; empty for what lives elsewhere."""
    address, home = urlsplit(repository.url), urlsplit(ci.url)
    path = address.path.removesuffix("/").removesuffix(".git")
    above = home.path.rstrip("/")
    if address.netloc != home.netloc or not path.startswith(f"{above}/"):
        return ""
    return path.removeprefix(above).strip("/")


async def tab(parts: Parts, person: Person, project: Project, directory: str, branch: str) -> Tab:
    """What there is to choose from; GitLab's refusals are said in it."""
    found = here(parts, project)
    if not found:
        return Tab(repositories=())
    shown = Tab(repositories=found, repository=found[0])
    try:
        shown = replace(shown, repository=_chosen(found, directory))
        assert shown.repository is not None
        return replace(shown, builds=await look(parts, person, project, shown.repository, branch, wide=True))
    except (Forbidden, NotFound, Unavailable, Invalid) as problem:
        return replace(shown, problem=problem.message)


def _chosen(found: Sequence[Repository], directory: str) -> Repository:
    if not directory:
        return found[0]
    named = next((each for each in found if each.directory == directory), None)
    if named is None:
        said = "The project has no repository of this name in its GitLab."
        raise Invalid(said, fields={"repository": said})
    return named


async def listed(parts: Parts, person: Person, ref: str, directory: str, branch: str) -> tuple[Repository, Builds]:
    """What CI has built of a repository.

    Raises:
        NotFound, Forbidden, Unavailable.
        Invalid: at `repository` or `branch`; on a hub without GitLab, or one that runs no images.
    """
    project = await parts.source.get(person, ref, Action.WRITE)
    repository = require(parts, project, directory)
    return repository, await look(parts, person, project, repository, branch, wide=True)


def require(parts: Parts, project: Project, directory: str) -> Repository:
    """One of its repositories in its GitLab. Raises Invalid: at `repository`."""
    found = here(parts, project)
    if not found:
        said = "This hub runs no images that a project's CI has built."
        raise Invalid(said, fields={"repository": said})
    return _chosen(found, directory)


async def look(
    parts: Parts, person: Person, project: Project, repository: Repository, branch: str, *, wide: bool = False
) -> Builds:
    """What CI has built of *branch*, or else of the default one; with *wide* also the newest of each branch.

    Raises:
        Invalid: at `branch`; and what GitLab says.
    """
    assert parts.ci is not None
    number = int(project.source_id) if repository.fixed else _path(parts.ci, repository)
    return await of(parts, person.name, number, branch, wide=wide)


async def of(
    parts: Parts, name: str, project: int | str, branch: str, *, wide: bool = False, sure: bool = False
) -> Builds:
    """The same for GitLab's *project*, by its number or its path, as the user *name* sees it.

    One who is *sure* that the branch is or was there has it not looked up where nothing else needs that.
    """
    assert parts.ci is not None
    asked = _Asked(ci=parts.ci, name=name, rules=parts.policy.ci)
    try:
        async with asyncio.timeout(PATIENCE):
            return await asked.whole(project, branch, wide=wide, sure=sure)
    except TimeoutError:
        raise Away from None


def _branch(found: Builds, wanted: str) -> Branch | None:
    """The branch that is meant; None in a repository without any."""
    name = wanted or found.project.default_branch
    chosen = next((each for each in found.branches if each.name == name), None)
    if chosen is None and wanted:
        said = "The repository has no branch of this name."
        raise Invalid(said, fields={"branch": said})
    return chosen or next(iter(found.branches), None)


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """GitLab, as one person asks it."""

    ci: Ci
    name: str
    rules: CiRules

    async def whole(self, project: int | str, branch: str, *, wide: bool, sure: bool) -> Builds:
        at = await self.ci.project(self.name, project)
        needed = wide or not sure or self.rules.protected_only
        branches = await self.ci.branches(self.name, at.id) if needed else [Branch(name=branch, sha="")]
        found = Builds(project=at, branches=branches)
        chosen = _branch(found, branch)
        return await self.about(replace(found, branch=chosen), chosen.name, wide=wide) if chosen else found

    async def about(self, found: Builds, branch: str, *, wide: bool) -> Builds:
        id = found.project.id
        commits, tags, ran, everything = await asyncio.gather(
            self.ci.commits(self.name, id, branch),
            self.ci.tags(self.name, id),
            self._pipelines(id, branch),
            self.ci.commits(self.name, id) if wide else _nothing(),
        )
        found = replace(found, commits=commits)
        if ran is None:  # where nobody says whose pipeline ran, nothing counts
            return found
        own = [tag for tag in tags if built.is_own(tag.repository, found.project.images)]
        pipelines = ran + await self._by_commit(id, _unexplained([*commits, *everything], own, ran, self.rules))
        return await self._judged(found, own, pipelines, everything)

    async def _judged(
        self, found: Builds, tags: Sequence[Tag], pipelines: Sequence[Pipeline], everything: Sequence[Commit]
    ) -> Builds:
        plain = replace(self.rules, protected_only=False)
        good, last = (
            built.newest_by_commit(p for p in pipelines if built.counts(p, found.project.id, found.branches, rules))
            for rules in (self.rules, plain)
        )
        images = built.images(found.commits, tags, good, self.rules)
        wide = built.newest_of(found.branches, everything, built.images(everything, tags, good, self.rules))
        newest = wide | ({found.branch.name: images[0]} if images and found.branch else {})
        head = found.commits[0].sha if found.commits else ""
        there = any(each.commit.sha == head for each in images)
        ran = await self._telling(last[head]) if head in last and not there else last.get(head)
        state = built.state(ran, built=there, configured=bool(pipelines))
        job = await self._job(ran) if ran is not None and state is CiState.FAILED else ""
        return replace(found, images=images, pipelines=last, newest=newest, state=state, job=job)

    async def _pipelines(self, project: int, branch: str) -> list[Pipeline] | None:
        """None: the person may not see them, or CI is switched off."""
        try:
            return await self.ci.pipelines(self.name, project, ref=branch)
        except Denied:
            return None

    async def _by_commit(self, project: int, shas: Sequence[str]) -> list[Pipeline]:
        found = await asyncio.gather(*(self.ci.pipelines(self.name, project, sha=sha) for sha in shas))
        return [pipeline for each in found for pipeline in each]

    async def _telling(self, ran: Pipeline) -> Pipeline:
        """One that passed without an image may have begun another one that builds it, and not have waited."""
        if ran.status != "success":
            return ran
        try:
            return built.telling(ran, await self.ci.children(self.name, ran.project, ran.id))
        except (Forbidden, NotFound, Unavailable):
            return ran

    async def _job(self, pipeline: Pipeline) -> str:
        """Where to read why it failed: the job, or the pipeline where jobs are hidden or gone."""
        try:
            return await self.ci.failed_job(self.name, pipeline.project, pipeline.id) or pipeline.url
        except (Forbidden, NotFound, Unavailable):
            return pipeline.url


def _unexplained(
    commits: Sequence[Commit], tags: Sequence[Tag], pipelines: Sequence[Pipeline], rules: CiRules
) -> list[str]:
    """Commits that have an image and no pipeline on this branch: it may have run on another one."""
    known = {commit.sha for commit in commits} - {pipeline.sha for pipeline in pipelines}
    named = {built.commit_of(tag.name, {commit.sha for commit in commits}, rules) for tag in tags}
    return [sha for sha in dict.fromkeys(commit.sha for commit in commits) if sha in known & named][:_ASKED_ALONE]


async def _nothing() -> list[Commit]:
    return []
