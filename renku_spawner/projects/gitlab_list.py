"""The list of somebody's projects in GitLab: page by page, by number, so that page 200 costs what page 1 costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from .. import metrics
from ..domain import gitlab as facts
from ..domain.access import Action, Person
from ..domain.project import ProjectEntry
from ..gitlab.errors import Away
from ..remote.cache import Cache, Flights
from ..store.search import cursor, place
from ..store.sourced import Sourced
from .gitlab_looks import Looks
from .verdicts import ACT_SECONDS, NEEDS, STALE_SECONDS

_PAGES = 2000  # remembered, at most 20 numbers each
_LIMIT = 99  # GitLab shows a hundred at most, and one more says whether there is another page
_SEARCH_LIMIT = 200  # characters
_Key = tuple[int, str, int | None, int]
_WITHIN = 1.5  # seconds, as for the page of a project


@dataclass(frozen=True, kw_only=True)
class _Item:
    number: int
    level: int
    archived: bool


@dataclass(frozen=True, kw_only=True)
class _Page:
    begun: float
    items: tuple[_Item, ...]
    following: int | None


class Lists:
    """Pages of the last minute are shown again without asking; older ones while GitLab does not answer."""

    def __init__(self, looks: Looks, *, clock: Callable[[], float], now: Callable[[], datetime]) -> None:
        self._looks = looks
        self._clock, self._now = clock, now
        self._pages: Cache[_Page] = Cache(_PAGES, clock)
        self._flights = Flights()

    async def page(
        self, person: Person, *, search: str, after: str | None, limit: int
    ) -> tuple[list[ProjectEntry], str | None]:
        """One page of what *person* is a member of, and where the next begins.

        Raises:
            Invalid: *after* is nothing that a page has offered.
            LogInAgain, Away: GitLab does not take their token, or does not answer.
        """
        before = None if after is None else place(after, int)[0]
        user = await self._looks.user(person)
        key = (user, _typed(search), before, min(limit, _LIMIT))
        page = self._known(key)
        fresh = page is not None and self._age(page) <= ACT_SECONDS
        metrics.looked_up("projects", hit=fresh)
        if page is None or not fresh:
            page = await self._asked(person.name, key, page)
        rows = await self._looks.rows([str(item.number) for item in page.items])
        stale = self._now() - timedelta(seconds=self._age(page)) if self._age(page) > ACT_SECONDS else None
        shown = [(item, rows.get(str(item.number))) for item in page.items]
        hidden = {item.number for item in page.items if self._looks.verdicts.denied((user, item.number))}
        entries = [self._entry(user, item, row, stale) for item, row in shown if row and item.number not in hidden]
        return entries, None if page.following is None else cursor(page.following)

    async def _asked(self, name: str, key: _Key, old: _Page | None) -> _Page:
        try:
            await self._flights.run(key, lambda: self._ask(name, key))
        except Away:
            if old is None or self._age(old) > STALE_SECONDS:
                raise
            return old
        page = self._pages.get(key)
        if page is None:
            raise Away
        return page

    async def _ask(self, name: str, key: _Key) -> None:
        user, search, before, limit = key
        query: dict[str, object] = {"membership": True, "pagination": "keyset", "order_by": "id", "sort": "desc"}
        query["per_page"] = limit + 1
        if search:
            query |= {"search": search, "search_namespaces": True}
        if before is not None:
            query["id_before"] = before
        begun = self._clock()
        found = await self._looks.all(name, "/projects", query, _WITHIN, user=user)
        seen = [one for one in map(facts.seen, found[:limit]) if one is not None]
        await self._looks.note(name, user, seen, begun=begun)
        items = tuple(_Item(number=one.number, level=one.level, archived=one.archived) for one in seen)
        following = seen[-1].number if seen and len(found) > limit else None
        self._pages.put(key, _Page(begun=begun, items=items, following=following), seconds=STALE_SECONDS)

    def _known(self, key: _Key) -> _Page | None:
        """Unless the person's token has been refused since."""
        page = self._pages.get(key)
        return page if page is not None and self._looks.verdicts.counts(key[0], page.begun) else None

    def _age(self, page: _Page) -> float:
        return max(self._clock() - page.begun, 0.0)

    def _entry(self, user: int, item: _Item, row: Sourced, stale: datetime | None) -> ProjectEntry:
        known = self._looks.verdicts.access((user, item.number), NEEDS[Action.READ])
        level = item.level if known is None else known.level
        return ProjectEntry(
            id=row.id,
            path=row.path,
            title=row.title,
            description=row.description,
            visibility=row.visibility,
            role=facts.role(level, archived=item.archived),
            default_session=row.default_session,
            default_title=row.default_title,
            sessions=row.sessions,
            archived=item.archived,
            stale=stale,
        )


def _typed(search: str) -> str:
    """Without what no address takes: halves of surrogate pairs, and NUL."""
    return search[:_SEARCH_LIMIT].encode(errors="ignore").decode().replace("\0", "").strip()
