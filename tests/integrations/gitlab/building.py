"""A project in the fake GitLab whose CI builds images, and Renku's parts that ask it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

from renku_spawner.config.parsing import parse_resource_classes_setting
from renku_spawner.context.app_context import AppContext
from renku_spawner.domain.access import Person, ProjectAction
from renku_spawner.domain.ci_images import CiRules
from renku_spawner.domain.environments import NewCiImage
from renku_spawner.domain.policy import HubPolicy
from renku_spawner.domain.projects import Project
from renku_spawner.domain.sessions import NewSession, Session
from renku_spawner.integrations.gitlab.client import GitLabClient
from renku_spawner.integrations.gitlab.projects import GitLabProjectSource
from renku_spawner.persistence.database import Database
from renku_spawner.persistence.migrate import upgrade_schema
from renku_spawner.usecases.ci_images import (
    BranchCIImages,
    load_ci_images,
    refresh_ci_image_status,
    require_gitlab_repository,
)
from renku_spawner.usecases.session_queries import SessionView, load_session_view
from renku_spawner.usecases.sessions import add_session
from tests.fakes.gitlab import FakeGitLab
from tests.fakes.gitlab_project import Project as LabProject
from tests.fakes.gitlab_world import DEVELOPER, GUEST
from tests.integrations.gitlab.worlds import LabTokens

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
CLASSES = parse_resource_classes_setting([{"name": "small", "cpu": "1", "memory": "2Gi"}])


@dataclass
class Building:
    """Jane is a developer of the project and so an editor in Renku, rob a guest and so a viewer, zoe nobody there."""

    lab: FakeGitLab
    code: LabProject
    parts: AppContext
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
        if self.parts.gitlab_ci:
            self.parts.gitlab_ci.clear_cache()

    async def look(self, branch: str = "", name: str = "jane") -> BranchCIImages:
        repository = require_gitlab_repository(self.parts, self.project, "")
        return await load_ci_images(self.parts, self.person(name), self.project, repository, branch, wide=True)

    async def images(self, branch: str = "") -> list[str]:
        """The tags that count."""
        return [each.tag.reference.removeprefix(f"{self.prefix}") for each in (await self.look(branch)).images]

    async def add(self, name: str = "jane", **more: Any) -> Session:
        new = NewSession(built=NewCiImage(repository="spectra", **more))
        return await add_session(self.parts, self.person(name), self.project.id, new)

    async def view(self, session: Session, name: str = "jane", *, asks: bool = True) -> SessionView:
        """The session as its page shows it, after the look that the page begins."""
        present = await load_session_view(self.parts, self.person(name), self.project.id, session.id)
        if asks:
            await refresh_ci_image_status(self.parts, self.person(name), present.session, patience=30)
        return await load_session_view(self.parts, self.person(name), self.project.id, session.id)


@asynccontextmanager
async def building(lab: FakeGitLab, folder: Path) -> AsyncIterator[Building]:
    url = f"sqlite:///{folder / 'renku.sqlite'}"
    upgrade_schema(url)
    database = Database(url)
    for name in ("jane", "rob", "zoe"):
        lab.user(name)
    lab.user("root", admin=True)
    code = lab.project("astro/lab/spectra", owner="root")
    lab.member(code, "jane", DEVELOPER)
    lab.member(code, "rob", GUEST)
    gitlab = GitLabClient(lab.url, LabTokens(lab))
    made = Building(lab=lab, code=code, parts=None, project=None)  # type: ignore[arg-type]
    source = GitLabProjectSource(gitlab, database, clock=lambda: monotonic() + made.passed, now=made.now)
    made.parts = AppContext(db=database, source=source, policy=HubPolicy(classes=CLASSES), gitlab=gitlab, now=made.now)
    made.project = await source.get_project(made.person(), str(code.id), ProjectAction.WRITE)
    yield made
    await source.close()
    gitlab.close()
    database.dispose()
