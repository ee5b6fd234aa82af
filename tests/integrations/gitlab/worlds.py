"""Projects of a fake GitLab, as a source of ours sees them: no hub between, and a clock that the test turns."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from renku_spawner.domain.access import Person, ProjectAction, Role
from renku_spawner.domain.errors import RenkuError
from renku_spawner.domain.projects import Project, ProjectEntry
from renku_spawner.integrations.gitlab.auth_state import GitLabToken
from renku_spawner.integrations.gitlab.client import GitLabClient, GitLabLoginRequired, GitLabUnavailable
from renku_spawner.integrations.gitlab.projects import GitLabProjectSource
from renku_spawner.persistence.database import Database
from renku_spawner.persistence.migrate import upgrade_schema
from tests.fakes.gitlab import FakeGitLab

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@dataclass
class LabTokens:
    """Tokens as a log-in at *lab* would have given them; `away`: the token endpoint does not answer."""

    lab: FakeGitLab
    away: bool = False
    gone: set[str] = field(default_factory=set)
    kept: dict[str, str] = field(default_factory=dict)

    async def get_token(self, name: str, *, left: float = 60.0, not_this: str | None = None) -> GitLabToken:
        if name in self.gone or name not in self.lab.world.users:
            raise GitLabLoginRequired
        if self.away:
            raise GitLabUnavailable
        if name not in self.kept:
            self.kept[name] = self.lab.token(name)
        if self.kept[name] == not_this:
            raise GitLabLoginRequired
        user = self.lab.world.users[name]
        return GitLabToken(access=self.kept[name], user_id=user.id, scopes=frozenset({"read_api"}), expires_at=9e9)

    def record_accepted(self, name: str, token: GitLabToken, *, ago: float) -> None: ...


@dataclass
class Place:
    """A fake GitLab with alice, bob and friends, and our source of its projects."""

    lab: FakeGitLab
    tokens: LabTokens
    gitlab: GitLabClient
    db: Database
    ahead: float = 0.0
    wall: float = 0.0  # by how much the clock on the wall is set forward
    source: GitLabProjectSource = None  # type: ignore[assignment]

    def clock(self) -> float:
        return time.monotonic() + self.ahead

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.ahead + self.wall)

    def again(self, **more: float) -> None:
        """A source that remembers nothing, as after a restart of the hub."""
        self.source = GitLabProjectSource(self.gitlab, self.db, clock=self.clock, now=self.now, **more)

    async def get(self, name: str, ref: object, action: ProjectAction = ProjectAction.READ) -> Project:
        return await self.source.get_project(Person(name=name), str(ref), action)

    async def role(self, name: str, ref: object) -> Role | None:
        """As a page shows it; None where nothing is to be seen."""
        try:
            return (await self.get(name, ref)).get_role(Person(name=name))
        except RenkuError as problem:
            assert problem.code == "not_found", problem
            return None

    async def may(self, name: str, ref: object, action: ProjectAction) -> bool | str:
        """Whether they may; else the code of the refusal."""
        try:
            await self.get(name, ref, action)
        except RenkuError as problem:
            return problem.code
        return True

    async def member(self, name: str, project: Project, action: ProjectAction = ProjectAction.LAUNCH) -> bool:
        return await self.source.is_member(Person(name=name), project, action)

    async def listed(self, name: str, **more: object) -> tuple[list[ProjectEntry], str | None]:
        return await self.source.list_projects(Person(name=name), **more)  # type: ignore[arg-type]

    def calls(self) -> int:
        """How many calls of the API there were since the last time."""
        count = self.lab.counted("/api/v4/")
        self.lab.calls.clear()
        return count


_EMPTY: list[bytes] = []


def _empty(file: str) -> bytes:
    """A database with its tables and nothing in them, made once."""
    if not _EMPTY:
        upgrade_schema(f"sqlite:///{file}")
        _EMPTY.append(Path(file).read_bytes())
    return _EMPTY[0]


@asynccontextmanager
async def place(folder: Path) -> AsyncIterator[Place]:
    file = folder / "renku.sqlite"
    file.write_bytes(_empty(str(folder / "empty.sqlite")))
    db = Database(f"sqlite:///{file}")
    async with FakeGitLab() as lab:
        for name in ("alice", "bob", "carol", "dave", "erin"):
            lab.user(name)
        tokens = LabTokens(lab)
        made = Place(lab=lab, tokens=tokens, gitlab=None, db=db)  # type: ignore[arg-type]
        made.gitlab = GitLabClient(lab.url, tokens, clock=made.clock)
        made.again()
        yield made
        await made.source.close()
        made.gitlab.close()
    db.dispose()
