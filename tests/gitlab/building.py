"""A project in the fake GitLab whose CI builds images, and Renku's parts that ask it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

from renku_spawner.domain.access import Action, Person
from renku_spawner.domain.ci import CiRules
from renku_spawner.domain.policy import Policy
from renku_spawner.domain.project import Project
from renku_spawner.domain.running import NewBuilt
from renku_spawner.domain.session import NewSession, Session
from renku_spawner.gitlab.client import GitLab
from renku_spawner.projects.gitlab import GitLabProjects
from renku_spawner.services import build_news, builds, looks, sessions
from renku_spawner.services.builds import Builds
from renku_spawner.services.parts import Parts
from renku_spawner.settings import resource_classes
from renku_spawner.store import migrate
from renku_spawner.store.database import Database
from tests.fakes.gitlab import FakeGitLab
from tests.fakes.gitlab_project import Project as LabProject
from tests.fakes.gitlab_world import DEVELOPER, GUEST
from tests.gitlab.worlds import LabTokens

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
CLASSES = resource_classes([{"name": "small", "cpu": "1", "memory": "2Gi"}])


@dataclass
class Building:
    """Jane is a developer of the project and so an editor in Renku, rob a guest and so a viewer, zoe nobody there."""

    lab: FakeGitLab
    code: LabProject
    parts: Parts
    project: Project
    passed: float = 0.0

    @property
    def prefix(self) -> str:
        return self.code.image_prefix

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.passed)

    def person(self, name: str = "jane") -> Person:
        return Person(name=name)

    def commit(self, branch: str = "main", *, built: bool = True, status: str = "success", tag: str = "") -> str:
        """Push a commit, let CI run for it, and put its image into the registry."""
        count = len(self.code.pipelines) + len(self.code.repository.refs())
        sha = self.code.push(branch, {"Dockerfile": f"FROM x:{count}\n"}, message=f"Change number {count}")
        self.code.pipeline(sha, status, ref=branch)
        if built:
            self.code.image(tag or sha[:8])
        return sha

    def rules(self, **more: Any) -> None:
        self.parts = replace(self.parts, policy=replace(self.parts.policy, ci=CiRules(**more)))

    def later(self, **time: float) -> None:
        """Time goes on, also for what was remembered of GitLab."""
        self.passed += timedelta(**time).total_seconds()
        if self.parts.ci:
            self.parts.ci.forget()

    async def look(self, branch: str = "", name: str = "jane") -> Builds:
        repository = builds.require(self.parts, self.project, "")
        return await builds.look(self.parts, self.person(name), self.project, repository, branch, wide=True)

    async def images(self, branch: str = "") -> list[str]:
        """The tags that count."""
        return [each.tag.reference.removeprefix(f"{self.prefix}") for each in (await self.look(branch)).images]

    async def add(self, name: str = "jane", **more: Any) -> Session:
        new = NewSession(built=NewBuilt(repository="spectra", **more))
        return await sessions.add(self.parts, self.person(name), self.project.id, new)

    async def view(self, session: Session, name: str = "jane", *, asks: bool = True) -> looks.SessionView:
        """The session as its page shows it, after the look that the page begins."""
        present = await looks.view(self.parts, self.person(name), self.project.id, session.id)
        if asks:
            await build_news.look(self.parts, self.person(name), present.session, patience=30)
        return await looks.view(self.parts, self.person(name), self.project.id, session.id)


@asynccontextmanager
async def building(lab: FakeGitLab, folder: Path) -> AsyncIterator[Building]:
    url = f"sqlite:///{folder / 'renku.sqlite'}"
    migrate.upgrade(url)
    database = Database(url)
    for name in ("jane", "rob", "zoe"):
        lab.user(name)
    lab.user("root", admin=True)
    code = lab.project("astro/lab/spectra", owner="root")
    lab.member(code, "jane", DEVELOPER)
    lab.member(code, "rob", GUEST)
    gitlab = GitLab(lab.url, LabTokens(lab))
    made = Building(lab=lab, code=code, parts=None, project=None)  # type: ignore[arg-type]
    source = GitLabProjects(gitlab, database, clock=lambda: monotonic() + made.passed, now=made.now)
    made.parts = Parts(db=database, source=source, policy=Policy(classes=CLASSES), gitlab=gitlab, now=made.now)
    made.project = await source.get(made.person(), str(code.id), Action.WRITE)
    yield made
    await source.close()
    gitlab.close()
    database.dispose()
