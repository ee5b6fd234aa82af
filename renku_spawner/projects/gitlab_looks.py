"""Looks at a project of GitLab as the user who is looking: once, however many ask at the same time."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Hashable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any
from urllib.parse import quote

from .. import metrics
from ..domain import gitlab as facts
from ..domain.access import Person
from ..domain.gitlab import Seen
from ..domain.text import folded
from ..gitlab.client import GitLab
from ..gitlab.errors import Away, Denied, LogInAgain, Missing
from ..remote.cache import Cache, Flights
from ..store import sourced
from ..store.database import Clash, Database, Transaction
from ..store.patience import patiently
from .verdicts import DENIED_SECONDS, VIEW_SECONDS, Access, Key, Need, Sight, Verdicts

SOURCE = "gitlab"
AWAY_SECONDS = 2.0  # for which a page that asks several times waits only once
_TRIES = 3  # looks of others that saw less than one needs, and notes that others have just made
_SIZE = 50_000


def nowhere(ref: str) -> int:
    """A number that no project has, for a reference that leads nowhere: it is asked for and
    remembered like any other, so that what is hidden takes no longer than what is absent."""
    return -1 - zlib.crc32(ref.encode(errors="replace"))


class Looks:
    """Asks, and keeps what GitLab said: verdicts in memory, names and texts in our rows."""

    def __init__(
        self, gitlab: GitLab, db: Database, *, clock: Callable[[], float], now: Callable[[], datetime]
    ) -> None:
        self.gitlab = gitlab
        self.verdicts = Verdicts(clock)
        self._db = db
        self._clock, self._now = clock, now
        self._flights = Flights()
        self._users: Cache[int] = Cache(_SIZE, clock)
        self._paths: Cache[int] = Cache(_SIZE, clock)  # where a person's paths lead; 0 is nowhere
        self._away: Cache[bool] = Cache(_SIZE, clock)

    async def user(self, person: Person) -> int:
        """GitLab's number of *person*, also while GitLab cannot renew their token.

        Raises: LogInAgain, Away.
        """
        key = (person.name, person.since)
        try:
            user = (await self.gitlab.tokens.of(person.name)).user_id
        except LogInAgain:
            self._purge(self._users.get(key))
            self._users.forget(key)
            raise
        except Away:
            known = self._users.get(key)
            if known is None:
                raise
            return known
        self._users.put(key, user)
        return user

    async def at(self, name: str, user: int, path: str, within: float) -> int:
        """The number of the project that is, or was, at *path*. Raises Missing, Denied, LogInAgain, Away."""
        key = (user, folded(path))
        known = self._paths.get(key)
        if known is None:
            await self._run(key, lambda: self._ask_at(name, user, path, within))
            known = self._paths.get(key)
        if not known:
            raise Missing
        return known

    async def access(self, name: str, user: int, number: int, need: Need, within: float) -> Access:
        """What *user* may in the project. Raises Missing, Denied, LogInAgain, Away."""
        key = (user, number)
        for tries in range(_TRIES):
            denied, known = self.verdicts.denied(key), self.verdicts.access(key, need)
            if tries == 0:
                metrics.looked_up("access", hit=denied or known is not None)
            if denied:
                raise Missing
            if known is not None:
                return known
            await self._run(key, lambda: self._ask(name, key, need, within))
        raise Away

    async def _run(self, key: Hashable, work: Callable[[], Awaitable[None]]) -> None:
        if self._away.get(key):
            raise Away
        try:
            await self._flights.run(key, work)
        except Away:
            self._away.put(key, True, seconds=AWAY_SECONDS)
            raise

    async def refused(self, name: str, user: int, number: int, within: float) -> bool:
        """Whether GitLab says no now. Raises LogInAgain, Away, Denied (a scope is missing)."""
        begun = self._clock()
        try:
            await self.definitely(name, f"/projects/{number}", within, user=user)
        except (Missing, Denied) as refusal:
            if isinstance(refusal, Denied) and refusal.scope is not None:
                raise
            self.verdicts.deny((user, number), begun=begun)
            return True
        return False

    async def note(self, name: str, user: int, found: list[Seen], *, begun: float) -> dict[str, sourced.Sourced]:
        """Keep what GitLab showed *user*; the rows by number."""
        for seen in found:
            key = (user, seen.number)
            sight = Sight(archived=seen.archived, repository=seen.repository, ssh=seen.ssh, least=seen.level)
            self.verdicts.sees(key, sight, begun=begun)
            if seen.alone:
                self.verdicts.has(key, seen.level, begun=begun)
            self._paths.put((user, folded(seen.path)), seen.number, seconds=VIEW_SECONDS)
        rows = [
            sourced.new(number=s.number, path=s.path, title=s.title, description=s.description, visibility=s.visibility)
            for s in found
        ]
        return await self._kept(rows, name)

    async def definitely(self, name: str, path: str, within: float, *, user: int) -> Any:
        """What GitLab answers; a token that it does not take takes everything with it."""
        try:
            return await self.gitlab.get(name, path, within=within)
        except LogInAgain:
            self._purge(user)
            raise

    async def all(self, name: str, path: str, query: Mapping[str, Any], within: float, *, user: int) -> list[Any]:
        """A list, by the same rules."""
        try:
            return await self.gitlab.listed(name, path, query, within=within)
        except LogInAgain:
            self._purge(user)
            raise

    async def _ask_at(self, name: str, user: int, path: str, within: float) -> None:
        begun = self._clock()
        try:
            seen = facts.seen(await self.definitely(name, f"/projects/{quote(path, safe='')}", within, user=user))
        except Missing:
            seen = None
        if seen is None:
            self._paths.put((user, folded(path)), 0, seconds=DENIED_SECONDS)
            return
        await self.note(name, user, [seen], begun=begun)
        self._paths.put((user, folded(path)), seen.number, seconds=VIEW_SECONDS)

    async def _ask(self, name: str, key: Key, need: Need, within: float) -> None:
        """What is missing of what *need* needs to know."""
        user, number = key
        if self.verdicts.access(key, Need(seconds=need.seconds, enough=0)) is None:
            begun = self._clock()
            try:
                seen = facts.seen(await self.definitely(name, f"/projects/{max(number, 0)}", within, user=user))
            except (Missing, Denied) as refusal:
                self.verdicts.deny(key, begun=begun)
                if isinstance(refusal, Denied) and refusal.scope is not None:
                    raise
                return
            if seen is None or seen.number != number:
                self.verdicts.deny(key, begun=begun)
                return
            await self.note(name, user, [seen], begun=begun)
        if self.verdicts.access(key, need) is None:
            begun = self._clock()
            self.verdicts.has(key, await self._level(name, key, within), begun=begun)

    async def _level(self, name: str, key: Key, within: float) -> int:
        """By whatever way it came, as GitLab itself counts it; 0 of who only passes by."""
        user, number = key
        try:
            body = await self.definitely(name, f"/projects/{number}/members/all/{user}", within, user=user)
        except (Missing, Denied):
            return 0
        return facts.level(body, user)

    async def _kept(self, rows: list[sourced.Sourced], name: str) -> dict[str, sourced.Sourced]:
        """The rows as they are by now; written only where something is new."""
        numbers = [row.number for row in rows]
        known = await self.rows(numbers)
        if all(row.number in known and known[row.number].facts == row.facts for row in rows):
            return known

        def work(tx: Transaction) -> dict[str, sourced.Sourced]:
            return tx.sourced.note(SOURCE, rows, by=name, now=self._now())

        for _ in range(_TRIES):
            with suppress(Clash):  # somebody else noted one of them at this moment
                return await patiently(lambda: _inside(self._db.write, work))
        return await self.rows(numbers)

    async def rows(self, numbers: list[str]) -> dict[str, sourced.Sourced]:
        return await patiently(lambda: _inside(self._db.read, lambda tx: tx.sourced.some(SOURCE, numbers)))

    async def read(self, work: Callable[[Transaction], Any]) -> Any:
        return await patiently(lambda: _inside(self._db.read, work))

    def _purge(self, user: int | None) -> None:
        if user is not None:
            self.verdicts.purge(user)

    async def close(self) -> None:
        await self._flights.close()


def _inside(begin: Any, work: Callable[[Transaction], Any]) -> Any:
    with begin() as tx:
        return work(tx)
