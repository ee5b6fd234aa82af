"""Projects that live in GitLab; who may do what there is GitLab's to say, at every look."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from ..domain import gitlab as facts
from ..domain import names
from ..domain.access import Action, Person
from ..domain.errors import RenkuError, Unavailable, not_found
from ..domain.project import Member, Project, ProjectEntry
from ..domain.reasons import sentence
from ..domain.repository import Repository
from ..gitlab.client import GitLab
from ..gitlab.errors import Away, Denied, Missing
from ..store.database import Database
from .gitlab_list import Lists
from .gitlab_looks import SOURCE, Looks, nowhere
from .verdicts import NEEDS, STALE_SECONDS, Access, Need

_DIGITS = 10  # of the longest number
# Seconds for all that is asked (budget table of the security reference): of the 2 s for a page some are for showing it.
VIEW_WITHIN, ACT_WITHIN = 1.5, 5.0


def _utcnow() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """Who wants to do what, and until when (monotonic, seconds) they can wait for GitLab."""

    person: Person
    user: int
    action: Action
    until: float

    @property
    def need(self) -> Need:
        return NEEDS[self.action]


class GitLabProjects:
    """Source `gitlab`: a project is the one with GitLab's number, wherever it moves (R34, R35).

    Roles are asked with the token of whoever is looking and never serve another. While
    GitLab does not answer, pages show what it said up to 15 minutes ago, and starting
    and changing need a yes that is at most *window* seconds old (R19).
    """

    def __init__(
        self,
        gitlab: GitLab,
        db: Database,
        *,
        window: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = _utcnow,
    ) -> None:
        self._looks = Looks(gitlab, db, clock=clock, now=now)
        self._lists = Lists(self._looks, clock=clock, now=now)
        self._url = gitlab.url
        self._window = window
        self._clock, self._now = clock, now

    async def get(self, person: Person, ref: str, action: Action) -> Project:
        """By our id, by GitLab's number or by a path, present or former; see `ProjectSource`.

        Raises:
            LogInAgain: GitLab does not take the person's token.
            Unavailable: `access_unverified`, where nobody can say any more that they may do it.
        """
        try:
            asked = _Asked(person=person, user=await self._looks.user(person), action=action, until=self._until(action))
            number = await self._number(asked, ref)
            access = await self._access(asked, number)
        except Away as away:
            raise away if action is Action.READ else _unverified(away) from None
        except Missing:
            raise not_found() from None
        except Denied as refusal:
            raise refusal if refusal.scope is not None else not_found() from None
        project = await self._project(asked, number, access)
        project.require(person, action)
        return project

    async def listed(
        self, person: Person, *, search: str = "", after: str | None = None, limit: int = 20
    ) -> tuple[list[ProjectEntry], str | None]:
        """What *person* is a member of, the newest first."""
        return await self._lists.page(person, search=search, after=after, limit=limit)

    async def heads(self, person: Person, ids: Iterable[str]) -> dict[str, Project]:
        """Those of *ids* that the person sees, as far as GitLab says so now; the others are left out."""
        wanted = list(ids)
        found = await asyncio.gather(*(self._seen(person, id) for id in wanted))
        return {id: project for id, project in zip(wanted, found, strict=True) if project is not None}

    async def _seen(self, person: Person, id: str) -> Project | None:
        try:
            return await self.get(person, id, Action.READ)
        except RenkuError:
            return None

    async def is_member(self, person: Person, project: Project, action: Action) -> bool:
        """Directly, by a group, or by a group that was invited; admins and readers of public projects are none."""
        need = Need(seconds=NEEDS[action].seconds, enough=facts.GUEST)
        user = await self._looks.user(person)
        try:
            access = await self._looks.access(person.name, user, int(project.source_id), need, ACT_WITHIN)
        except Missing:
            return False
        return access.level >= facts.GUEST

    async def lost(self, person: Person, id: str) -> bool:
        """Two definite refusals one after the other; see `ProjectSource`."""
        known = await self._looks.read(lambda tx: tx.sourced.number(SOURCE, id=id))
        try:
            return known is not None and await self._refused(person, int(known))
        except RenkuError:
            return False

    async def _refused(self, person: Person, number: int) -> bool:
        user = await self._looks.user(person)
        for _ in range(2):
            if not await self._looks.refused(person.name, user, number, ACT_WITHIN):
                return False
        return True

    async def close(self) -> None:
        await self._looks.close()

    async def _number(self, asked: _Asked, ref: str) -> int:
        if names.is_id(ref):
            known = await self._looks.read(lambda tx: tx.sourced.number(SOURCE, id=ref))
            return int(known) if known else nowhere(ref)
        if ref.isascii() and ref.isdigit():
            return (facts.number(int(ref)) if len(ref) <= _DIGITS else None) or nowhere(ref)
        return await self._at(asked, ref) if names.is_path(ref) else nowhere(ref)

    async def _at(self, asked: _Asked, path: str) -> int:
        """What GitLab does not find is looked for where we remember it, of which it may have moved away."""
        where = (asked.person.name, asked.user, path, self._left(asked))
        try:
            return await self._looks.at(*where)
        except Missing:
            return await self._former(path) or nowhere(path)
        except Away:
            known = await self._former(path)
            if known and self._last_known(asked, known):
                return known
            raise

    async def _former(self, path: str) -> int | None:
        known = await self._looks.read(lambda tx: tx.sourced.number_at(SOURCE, path))
        return int(known) if known else None

    async def _access(self, asked: _Asked, number: int) -> Access:
        try:
            return await self._looks.access(asked.person.name, asked.user, number, asked.need, self._left(asked))
        except Away:
            known = self._last_known(asked, number)
            if known is None:
                raise
            return known

    def _last_known(self, asked: _Asked, number: int) -> Access | None:
        """What may stand in while GitLab does not answer."""
        viewing = asked.action is Action.READ
        need = Need(seconds=STALE_SECONDS if viewing else self._window, enough=0 if viewing else asked.need.enough)
        return self._looks.verdicts.access((asked.user, number), need)

    def _until(self, action: Action) -> float:
        return self._clock() + (VIEW_WITHIN if action is Action.READ else ACT_WITHIN)

    def _left(self, asked: _Asked) -> float:
        return max(asked.until - self._clock(), 0.001)

    async def _project(self, asked: _Asked, number: int, access: Access) -> Project:
        """Our row with what GitLab says of this person in it."""
        row: Project | None = await self._looks.read(lambda tx: tx.projects.of_source(SOURCE, str(number)))
        if row is None:
            raise not_found()
        role = facts.role(access.level, archived=access.sight.archived)
        stale = access.age > asked.need.seconds
        return replace(
            row,
            members=(Member(kind="user", name=asked.person.name, role=role),),
            repositories=(*self._own(row, access), *row.repositories),
            archived=access.sight.archived,
            web=f"{self._url}/{row.path}",
            ssh=access.sight.ssh,
            stale=self._now() - timedelta(seconds=access.age) if stale else None,
            unverified=stale and access.age > self._window,
            member=access.level >= facts.GUEST,
        )

    def _own(self, row: Project, access: Access) -> tuple[Repository, ...]:
        """The project's own repository, where it has one, in the directory that it had from the first."""
        if not access.sight.repository:
            return ()
        url = f"{self._url}/{row.path}.git"
        return (Repository(directory=row.directory or names.directory_for(url, ()), url=url, fixed=True),)


def _unverified(away: Away) -> Unavailable:
    return Unavailable(sentence("access_unverified"), code="access_unverified", retry_after=away.retry_after)
