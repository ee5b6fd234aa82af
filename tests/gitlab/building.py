"""A project in the fake GitLab whose CI builds images, and Renku's parts that ask it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from renku_spawner.domain.access import Action, Person, Role
from renku_spawner.domain.ci import CiRules
from renku_spawner.domain.names import new_id
from renku_spawner.domain.policy import Policy
from renku_spawner.domain.project import Member, NewProject, Project
from renku_spawner.domain.repository import Repository
from renku_spawner.domain.running import NewBuilt
from renku_spawner.domain.session import NewSession, Session
from renku_spawner.gitlab.client import GitLab
from renku_spawner.gitlab.tokens import Token
from renku_spawner.services import build_news, builds, looks, sessions
from renku_spawner.services.builds import Builds
from renku_spawner.services.parts import Parts
from renku_spawner.settings import resource_classes
from renku_spawner.store import migrate
from renku_spawner.store.database import Database
from tests.fakes.gitlab import FakeGitLab
from tests.fakes.gitlab_project import Project as LabProject
from tests.fakes.gitlab_world import DEVELOPER

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
CLASSES = resource_classes([{"name": "small", "cpu": "1", "memory": "2Gi"}])
ROLES = {"jane": Role.EDITOR, "rob": Role.VIEWER}


@dataclass
class LabTokens:
    """A token of the fake for whoever is asked about."""

    lab: FakeGitLab
    made: dict[str, str] = field(default_factory=dict)

    async def of(self, name: str, *, left: float = 60.0, not_this: str | None = None) -> Token:
        access = self.made.setdefault(name, self.lab.token(name))
        return Token(access=access, user_id=1, scopes=frozenset(), expires_at=2**31)


@dataclass
class OneSource:
    """The one project, as its source would show it."""

    project: Project

    async def get(self, person: Person, ref: str, action: Action) -> Project:
        self.project.require(person, action)
        return self.project

    async def listed(self, person: Person, **_: Any) -> Any:
        raise NotImplementedError


@dataclass
class Building:
    """Jane is a developer of the project and an editor in Renku, rob a viewer who is no member in GitLab."""

    lab: FakeGitLab
    code: LabProject
    parts: Parts
    project: Project
    passed: float = 0.0

    @property
    def prefix(self) -> str:
        return self.code.image_prefix

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


@contextmanager
def building(lab: FakeGitLab, folder: Path) -> Iterator[Building]:
    url = f"sqlite:///{folder / 'renku.sqlite'}"
    migrate.upgrade(url)
    database = Database(url)
    for name in ROLES:
        lab.user(name)
    lab.user("root", admin=True)
    code = lab.project("astro/lab/spectra", owner="root")
    lab.member(code, "jane", DEVELOPER)
    gitlab = GitLab(lab.url, LabTokens(lab))
    with database.write() as tx:
        new = NewProject(path="astro/spectra", title="Spectra")
        row = tx.projects.add(new, id=new_id(), repositories=[], owner="root", now=NOW)
    members = tuple(Member(kind="user", name=name, role=role) for name, role in ROLES.items())
    own = Repository(directory="spectra", url=f"{lab.url}/{code.path}.git", fixed=True)
    project = replace(row, source="gitlab", source_id=str(code.id), repositories=(own,), members=members)
    made = Building(lab=lab, code=code, parts=None, project=project)  # type: ignore[arg-type]
    made.parts = Parts(
        db=database, source=OneSource(project), policy=Policy(classes=CLASSES), gitlab=gitlab,
        now=lambda: NOW + timedelta(seconds=made.passed),
    )  # fmt: skip
    yield made
    gitlab.close()
    database.dispose()
