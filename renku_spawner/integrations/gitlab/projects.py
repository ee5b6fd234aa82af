"""Serve projects from GitLab, and cache each user's access to them. GitLab decides on every role."""

from __future__ import annotations

import asyncio
import re
import time
import zlib
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from ...domain.access import Person, ProjectAction, Role, Visibility
from ...domain.errors import RenkuError, UnavailableError, build_not_found_error
from ...domain.ids import is_project_path, is_valid_id, make_unique_directory
from ...domain.projects import Project, ProjectEntry, ProjectMember, Repository
from ...domain.reasons import format_reason_sentence
from ...domain.session_search import SearchScope
from ...domain.text import MAX_DESCRIPTION_LENGTH, MAX_TITLE_LENGTH, fold_title, truncate_text
from ...observability.metrics import record_cache_lookup
from ...persistence.database import Database, Transaction, retry_while_busy
from ...persistence.projects import ExternalProject, build_external_project
from ...persistence.search import decode_cursor, encode_cursor
from ...persistence.statements import UniqueConflict
from ..net.cache import TTLCache
from ..net.single_flight import SingleFlight
from .client import GitLabClient, GitLabForbidden, GitLabLoginRequired, GitLabNotFound, GitLabUnavailable

# https://docs.gitlab.com/api/access_requests/#valid-access-levels, without Planner (15) and Security Manager (25).
GUEST_LEVEL, REPORTER_LEVEL, DEVELOPER_LEVEL, OWNER_LEVEL = 10, 20, 30, 50
GITLAB_ID_RANGE = range(1, 2**31)  # of projects and users
_ACCESS_LEVEL_RANGE = range(0, 1000)
_SSH_HOST_REGEX = "[A-Za-z0-9_.-]{1,64}@[A-Za-z0-9.-]{1,253}"
_SSH_PREFIX_PATTERN = re.compile(f"{_SSH_HOST_REGEX}:|ssh://{_SSH_HOST_REGEX}(:[0-9]{{1,5}})?/")


@dataclass(frozen=True, kw_only=True)
class GitLabProjectInfo:
    """A project as GitLab shows it to one user.

    `level` is the user's minimum access level. An invited group may give more, which GitLab does not report here,
    unless the project is `alone`: in a user namespace and without invited groups. `repository` is whether it has a
    repository; for users who may not read code, GitLab does not say, and it is True. `ssh` is the prefix of
    repository paths in this GitLab's SSH URLs, `git@host:` or `ssh://git@host:port/`.
    """

    number: int
    path: str
    title: str
    description: str
    visibility: Visibility
    archived: bool
    repository: bool
    level: int
    alone: bool
    ssh: str = ""


def parse_gitlab_project(body: Any) -> GitLabProjectInfo | None:
    """Parse a project, or return None if its id or path is missing or invalid."""
    if not isinstance(body, Mapping) or parse_gitlab_id(body.get("id")) is None:
        return None
    path = body.get("path_with_namespace")
    if not isinstance(path, str) or not is_project_path(path):
        return None
    least = _get_min_access_level(body.get("permissions"))
    return GitLabProjectInfo(
        number=body["id"],
        path=path,
        title=_truncate_gitlab_text(body.get("name"), MAX_TITLE_LENGTH) or path.rpartition("/")[2][:MAX_TITLE_LENGTH],
        description=_truncate_gitlab_text(body.get("description"), MAX_DESCRIPTION_LENGTH, lines=True),
        visibility=_parse_visibility(body.get("visibility")),
        archived=body.get("archived") is not False and "archived" in body,
        repository="default_branch" in body or least < REPORTER_LEVEL,
        level=least,
        alone=_has_only_direct_members(body),
        ssh=_parse_ssh_prefix(body.get("ssh_url_to_repo"), path),
    )


def parse_member_access_level(body: Any, user: int) -> int:
    """Return the access level in a member's body; 0 if it is of another user or invalid.

    A custom role has the level of the role that it is based on, which is a lower bound of its permissions.
    """
    if not isinstance(body, Mapping) or parse_gitlab_id(body.get("id")) != user:
        return 0
    return _parse_access_level(body.get("access_level"))


def to_project_role(level: int, *, archived: bool) -> Role:
    """Map the access level of a user who sees the project to a role; archived projects are read-only."""
    if archived or level < DEVELOPER_LEVEL:
        return Role.VIEWER
    return Role.OWNER if level >= OWNER_LEVEL else Role.EDITOR


def parse_gitlab_id(value: Any) -> int | None:
    """Return *value* if it is a valid id of GitLab, else None, also for strings and booleans."""
    return value if type(value) is int and value in GITLAB_ID_RANGE else None


def _parse_access_level(value: Any) -> int:
    return value if type(value) is int and value in _ACCESS_LEVEL_RANGE else 0


def _get_min_access_level(permissions: Any) -> int:
    """Return the access level by direct membership or by parent groups; 0 if GitLab reports neither."""
    if not isinstance(permissions, Mapping):
        return 0
    grants = [permissions.get(key) for key in ("project_access", "group_access")]
    levels = (_parse_access_level(grant.get("access_level")) for grant in grants if isinstance(grant, Mapping))
    return max(levels, default=0)


def _parse_ssh_prefix(address: Any, path: str) -> str:
    begin = address.removesuffix(f"{path}.git") if isinstance(address, str) else ""
    return begin if _SSH_PREFIX_PATTERN.fullmatch(begin) else ""


def _has_only_direct_members(body: Mapping[str, Any]) -> bool:
    """Return whether direct membership is the only way to have a role: a user namespace without invited groups.

    GitLab lists the invited groups that the requesting user may see, which include all groups of that user.
    """
    namespace = body.get("namespace")
    own = isinstance(namespace, Mapping) and namespace.get("kind") == "user"
    return own and body.get("shared_with_groups") == [] and isinstance(body.get("permissions"), Mapping)


def _parse_visibility(value: Any) -> Visibility:
    return Visibility(value) if value in ("private", "internal", "public") else Visibility.PRIVATE


def _truncate_gitlab_text(value: Any, limit: int, *, lines: bool = False) -> str:
    return truncate_text(value, limit=limit, lines=lines) if isinstance(value, str) else ""


VIEW_ACCESS_MAX_AGE_SECONDS = 300.0
ACTION_ACCESS_MAX_AGE_SECONDS = 60.0
DENIAL_MAX_AGE_SECONDS = 15.0
STALE_ACCESS_MAX_AGE_SECONDS = 900.0  # for pages, while GitLab does not answer
_MAX_CACHED_ACCESS_ENTRIES = 50_000  # about 200 bytes each

AccessKey = tuple[int, int]  # GitLab's user id and project id
Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class AccessRequirement:
    """The access information that an action requires.

    `seconds` is its maximum age. `enough` is the access level from which the exact level no longer matters; 0 if it is
    enough that the user sees the project.
    """

    seconds: float
    enough: int


ACCESS_REQUIREMENTS = {
    ProjectAction.READ: AccessRequirement(seconds=VIEW_ACCESS_MAX_AGE_SECONDS, enough=DEVELOPER_LEVEL),
    ProjectAction.LAUNCH: AccessRequirement(seconds=ACTION_ACCESS_MAX_AGE_SECONDS, enough=0),
    ProjectAction.WRITE: AccessRequirement(seconds=ACTION_ACCESS_MAX_AGE_SECONDS, enough=DEVELOPER_LEVEL),
    ProjectAction.MANAGE: AccessRequirement(seconds=ACTION_ACCESS_MAX_AGE_SECONDS, enough=DEVELOPER_LEVEL),
}


@dataclass(frozen=True, kw_only=True)
class VisibleProject:
    """A project that the user sees, with the user's minimum access level; `ssh` is that of `GitLabProjectInfo`."""

    archived: bool
    repository: bool
    least: int
    ssh: str = ""


@dataclass(frozen=True, kw_only=True)
class ProjectAccess:
    """A user's access to a project, as GitLab reported it `age` seconds ago."""

    sight: VisibleProject
    level: int
    age: float


@dataclass(frozen=True, kw_only=True)
class _CachedAnswer(Generic[Value]):
    asked_at: float
    value: Value | None


class GitLabAccessCache:
    """A cache of GitLab's answers about each user's access to projects.

    *clock* is monotonic, in seconds, so that a change of the system time does not make answers look newer.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._sights: TTLCache[_CachedAnswer[VisibleProject]] = TTLCache(_MAX_CACHED_ACCESS_ENTRIES, clock)
        self._levels: TTLCache[_CachedAnswer[int]] = TTLCache(_MAX_CACHED_ACCESS_ENTRIES, clock)
        self._purged: TTLCache[float] = TTLCache(_MAX_CACHED_ACCESS_ENTRIES, clock)

    def get_access(self, key: AccessKey, need: AccessRequirement) -> ProjectAccess | None:
        """Return the cached access if it meets *need*; None if it does not, or if access was denied."""
        sight, exact = (
            self._get_valid(self._sights, key, need.seconds),
            self._get_valid(self._levels, key, need.seconds),
        )
        if sight is None or sight.value is None:
            return None
        level, asked_at = sight.value.least, sight.asked_at
        exact_level = None if exact is None else exact.value
        if exact and exact_level is not None and (exact.asked_at > asked_at or exact_level > level):
            level, asked_at = exact_level, min(asked_at, exact.asked_at) if need.enough else asked_at
        elif exact_level is None and level < need.enough:
            return None
        return ProjectAccess(sight=sight.value, level=level, age=max(self._clock() - asked_at, 0.0))

    def is_denied(self, key: AccessKey) -> bool:
        """Return whether GitLab denied access within the last 15 seconds."""
        sight = self._get_valid(self._sights, key, DENIAL_MAX_AGE_SECONDS)
        return sight is not None and sight.value is None

    def record_visible(self, key: AccessKey, sight: VisibleProject, *, asked_at: float) -> None:
        self._put_newer(self._sights, key, _CachedAnswer(asked_at=asked_at, value=sight))

    def record_level(self, key: AccessKey, level: int, *, asked_at: float) -> None:
        self._put_newer(self._levels, key, _CachedAnswer(asked_at=asked_at, value=level))

    def record_denial(self, key: AccessKey, *, asked_at: float) -> None:
        """Record a definitive denial, which invalidates all answers to earlier requests."""
        self._put_newer(self._sights, key, _CachedAnswer(asked_at=asked_at, value=None))
        self._put_newer(self._levels, key, _CachedAnswer(asked_at=asked_at, value=None))

    def invalidate_user(self, user: int) -> None:
        """Invalidate all answers for the user, since GitLab no longer accepts the token."""
        self._purged.put(user, self._clock(), seconds=STALE_ACCESS_MAX_AGE_SECONDS)

    def is_still_valid(self, user: int, asked_at: float) -> bool:
        """Return whether a request that started at *asked_at* is newer than the last `invalidate_user` of the user."""
        purged = self._purged.get(user)
        return purged is None or asked_at > purged

    def _get_valid(
        self, cache: TTLCache[_CachedAnswer[Value]], key: AccessKey, seconds: float
    ) -> _CachedAnswer[Value] | None:
        answer = cache.get(key)
        if (
            answer is None
            or self._clock() - answer.asked_at > seconds
            or not self.is_still_valid(key[0], answer.asked_at)
        ):
            return None
        return answer

    def _put_newer(self, cache: TTLCache[_CachedAnswer[Value]], key: AccessKey, newer: _CachedAnswer[Value]) -> None:
        old = cache.get(key)
        if old is not None and (old.asked_at, old.value is None) > (newer.asked_at, newer.value is None):
            return
        cache.put(key, newer, seconds=STALE_ACCESS_MAX_AGE_SECONDS)


GITLAB_SOURCE = "gitlab"
UNAVAILABLE_CACHE_SECONDS = 2.0  # so that a page with several requests waits for only one timeout
_MAX_LOOKUP_ATTEMPTS = 3  # after shared lookups that needed less, and after conflicts of parallel writes
_MAX_CACHED_LOOKUPS = 50_000


def make_absent_project_number(ref: str) -> int:
    """Return an id that no project has, for a reference that leads nowhere.

    It is requested and cached like any other id, so that response times do not tell hidden projects from absent ones.
    """
    return -1 - zlib.crc32(ref.encode(errors="replace"))


class GitLabProjectLookup:
    """Request projects and access levels from GitLab; cache access in memory, and store names and texts in rows."""

    def __init__(
        self, gitlab: GitLabClient, db: Database, *, clock: Callable[[], float], now: Callable[[], datetime]
    ) -> None:
        self.gitlab = gitlab
        self.verdicts = GitLabAccessCache(clock)
        self._db = db
        self._clock, self._now = clock, now
        self._flights = SingleFlight()
        self._users: TTLCache[int] = TTLCache(_MAX_CACHED_LOOKUPS, clock)
        # Project ids by user and path; 0 if the path leads nowhere.
        self._paths: TTLCache[int] = TTLCache(_MAX_CACHED_LOOKUPS, clock)
        self._away: TTLCache[bool] = TTLCache(_MAX_CACHED_LOOKUPS, clock)

    async def get_user_id(self, person: Person) -> int:
        """Return GitLab's user id of *person*, also while GitLab cannot refresh the token.

        Raises:
            GitLabLoginRequired, GitLabUnavailable.
        """
        key = (person.name, person.since)
        try:
            user = (await self.gitlab.tokens.get_token(person.name)).user_id
        except GitLabLoginRequired:
            self._invalidate_user(self._users.get(key))
            self._users.delete(key)
            raise
        except GitLabUnavailable:
            cached = self._users.get(key)
            if cached is None:
                raise
            return cached
        self._users.put(key, user)
        return user

    async def find_project_number(self, name: str, user: int, path: str, within: float) -> int:
        """Return GitLab's id of the project with this present or former path.

        Raises:
            GitLabNotFound, GitLabForbidden, GitLabLoginRequired, GitLabUnavailable.
        """
        key = (user, fold_title(path))
        number = self._paths.get(key)
        if number is None:
            await self._run_single_flight(key, lambda: self._fetch_by_path(name, user, path, within))
            number = self._paths.get(key)
        if not number:
            raise GitLabNotFound
        return number

    async def get_access(
        self, name: str, user: int, number: int, need: AccessRequirement, within: float
    ) -> ProjectAccess:
        """Return the user's access to the project, as recent and exact as *need* requires.

        Raises:
            GitLabNotFound, GitLabForbidden, GitLabLoginRequired, GitLabUnavailable.
        """
        key = (user, number)
        for attempt in range(_MAX_LOOKUP_ATTEMPTS):
            denied, access = self.verdicts.is_denied(key), self.verdicts.get_access(key, need)
            if attempt == 0:
                record_cache_lookup("access", hit=denied or access is not None)
            if denied:
                raise GitLabNotFound
            if access is not None:
                return access
            await self._run_single_flight(key, lambda: self._fetch_access(name, key, need, within))
        raise GitLabUnavailable

    async def _run_single_flight(self, key: Hashable, work: Callable[[], Awaitable[None]]) -> None:
        if self._away.get(key):
            raise GitLabUnavailable
        try:
            await self._flights.run(key, work)
        except GitLabUnavailable:
            self._away.put(key, True, seconds=UNAVAILABLE_CACHE_SECONDS)
            raise

    async def is_access_refused(self, name: str, user: int, number: int, within: float) -> bool:
        """Request the project now, and return whether GitLab denies access to it.

        Raises:
            GitLabLoginRequired, GitLabUnavailable.
            GitLabForbidden: the token lacks a scope, which says nothing about the user's access.
        """
        asked_at = self._clock()
        try:
            await self.fetch_object(name, f"/projects/{number}", within, user=user)
        except (GitLabNotFound, GitLabForbidden) as refusal:
            if isinstance(refusal, GitLabForbidden) and refusal.scope is not None:
                raise
            self.verdicts.record_denial((user, number), asked_at=asked_at)
            return True
        return False

    async def record_projects(
        self, name: str, user: int, found: list[GitLabProjectInfo], *, asked_at: float
    ) -> dict[str, ExternalProject]:
        """Cache and store the projects that GitLab showed *user*; return their rows by number."""
        for seen in found:
            key = (user, seen.number)
            sight = VisibleProject(archived=seen.archived, repository=seen.repository, ssh=seen.ssh, least=seen.level)
            self.verdicts.record_visible(key, sight, asked_at=asked_at)
            if seen.alone:
                self.verdicts.record_level(key, seen.level, asked_at=asked_at)
            self._paths.put((user, fold_title(seen.path)), seen.number, seconds=VIEW_ACCESS_MAX_AGE_SECONDS)
        rows = [
            build_external_project(
                number=s.number, path=s.path, title=s.title, description=s.description, visibility=s.visibility
            )
            for s in found
        ]
        return await self._save_rows(rows, name)

    async def fetch_object(self, name: str, path: str, within: float, *, user: int) -> Any:
        """Request an object; if GitLab refuses the token, invalidate all cached answers for the user."""
        try:
            return await self.gitlab.get(name, path, within=within)
        except GitLabLoginRequired:
            self._invalidate_user(user)
            raise

    async def fetch_list(
        self, name: str, path: str, query: Mapping[str, Any], within: float, *, user: int
    ) -> list[Any]:
        """Request a list of objects, like `fetch_object`."""
        try:
            return await self.gitlab.list_objects(name, path, query, within=within)
        except GitLabLoginRequired:
            self._invalidate_user(user)
            raise

    async def _fetch_by_path(self, name: str, user: int, path: str, within: float) -> None:
        asked_at = self._clock()
        try:
            seen = parse_gitlab_project(
                await self.fetch_object(name, f"/projects/{quote(path, safe='')}", within, user=user)
            )
        except GitLabNotFound:
            seen = None
        if seen is None:
            self._paths.put((user, fold_title(path)), 0, seconds=DENIAL_MAX_AGE_SECONDS)
            return
        await self.record_projects(name, user, [seen], asked_at=asked_at)
        self._paths.put((user, fold_title(path)), seen.number, seconds=VIEW_ACCESS_MAX_AGE_SECONDS)

    async def _fetch_access(self, name: str, key: AccessKey, need: AccessRequirement, within: float) -> None:
        """Request the information that *need* requires and that is not cached."""
        user, number = key
        if self.verdicts.get_access(key, AccessRequirement(seconds=need.seconds, enough=0)) is None:
            asked_at = self._clock()
            try:
                seen = parse_gitlab_project(
                    await self.fetch_object(name, f"/projects/{max(number, 0)}", within, user=user)
                )
            except (GitLabNotFound, GitLabForbidden) as refusal:
                self.verdicts.record_denial(key, asked_at=asked_at)
                if isinstance(refusal, GitLabForbidden) and refusal.scope is not None:
                    raise
                return
            if seen is None or seen.number != number:
                self.verdicts.record_denial(key, asked_at=asked_at)
                return
            await self.record_projects(name, user, [seen], asked_at=asked_at)
        if self.verdicts.get_access(key, need) is None:
            asked_at = self._clock()
            self.verdicts.record_level(key, await self._fetch_access_level(name, key, within), asked_at=asked_at)

    async def _fetch_access_level(self, name: str, key: AccessKey, within: float) -> int:
        """Return the user's access level, direct or by any group, as GitLab computes it; 0 for non-members."""
        user, number = key
        try:
            body = await self.fetch_object(name, f"/projects/{number}/members/all/{user}", within, user=user)
        except (GitLabNotFound, GitLabForbidden):
            return 0
        return parse_member_access_level(body, user)

    async def _save_rows(self, rows: list[ExternalProject], name: str) -> dict[str, ExternalProject]:
        """Store the rows if anything changed, and return the stored rows by number."""
        numbers = [row.number for row in rows]
        stored = await self.get_rows(numbers)
        if all(row.number in stored and stored[row.number].source_fields == row.source_fields for row in rows):
            return stored

        def work(tx: Transaction) -> dict[str, ExternalProject]:
            return tx.external_projects.save_all(GITLAB_SOURCE, rows, by=name, now=self._now())

        for _ in range(_MAX_LOOKUP_ATTEMPTS):
            with suppress(UniqueConflict):  # one of the projects was stored in parallel
                return await retry_while_busy(lambda: _run_in_transaction(self._db.write, work))
        return await self.get_rows(numbers)

    async def get_rows(self, numbers: list[str]) -> dict[str, ExternalProject]:
        return await retry_while_busy(
            lambda: _run_in_transaction(self._db.read, lambda tx: tx.external_projects.get_many(GITLAB_SOURCE, numbers))
        )

    async def read_transaction(self, work: Callable[[Transaction], Any]) -> Any:
        return await retry_while_busy(lambda: _run_in_transaction(self._db.read, work))

    def _invalidate_user(self, user: int | None) -> None:
        if user is not None:
            self.verdicts.invalidate_user(user)

    async def close(self) -> None:
        await self._flights.close()


def _run_in_transaction(begin: Any, work: Callable[[Transaction], Any]) -> Any:
    with begin() as tx:
        return work(tx)


_MAX_CACHED_PAGES = 2000  # of usually 20 ids each
_MAX_PAGE_SIZE = 99  # GitLab returns at most 100, and one more shows whether there is another page
_MAX_SEARCH_CHARACTERS = 200
_PageKey = tuple[int, str, int | None, int]
_LIST_TIMEOUT_SECONDS = 1.5  # as `VIEW_TIMEOUT_SECONDS`


@dataclass(frozen=True, kw_only=True)
class _ListedProject:
    number: int
    level: int
    archived: bool


@dataclass(frozen=True, kw_only=True)
class _ProjectListPage:
    asked_at: float
    items: tuple[_ListedProject, ...]
    following: int | None


class GitLabProjectLists:
    """Pages of a user's projects.

    A page is cached for one minute, and up to 15 minutes while GitLab does not answer.
    """

    def __init__(self, looks: GitLabProjectLookup, *, clock: Callable[[], float], now: Callable[[], datetime]) -> None:
        self._looks = looks
        self._clock, self._now = clock, now
        self._pages: TTLCache[_ProjectListPage] = TTLCache(_MAX_CACHED_PAGES, clock)
        self._flights = SingleFlight()

    async def get_page(
        self, person: Person, *, search: str, after: str | None, limit: int
    ) -> tuple[list[ProjectEntry], str | None]:
        """Return one page of the projects of which *person* is a member, and the cursor of the next page.

        Raises:
            InvalidInputError: *after* is not a cursor of an earlier page.
            GitLabLoginRequired: GitLab does not accept the token.
            GitLabUnavailable: GitLab does not answer.
        """
        before = None if after is None else decode_cursor(after, int)[0]
        user = await self._looks.get_user_id(person)
        key = (user, _clean_search(search), before, min(limit, _MAX_PAGE_SIZE))
        page = self._get_cached_page(key)
        fresh = page is not None and self._get_page_age(page) <= ACTION_ACCESS_MAX_AGE_SECONDS
        record_cache_lookup("projects", hit=fresh)
        if page is None or not fresh:
            page = await self._fetch_page_or_stale(person.name, key, page)
        rows = await self._looks.get_rows([str(item.number) for item in page.items])
        stale = (
            self._now() - timedelta(seconds=self._get_page_age(page))
            if self._get_page_age(page) > ACTION_ACCESS_MAX_AGE_SECONDS
            else None
        )
        shown = [(item, rows.get(str(item.number))) for item in page.items]
        hidden = {item.number for item in page.items if self._looks.verdicts.is_denied((user, item.number))}
        entries = [
            self._build_entry(user, item, row, stale) for item, row in shown if row and item.number not in hidden
        ]
        return entries, None if page.following is None else encode_cursor(page.following)

    async def _fetch_page_or_stale(self, name: str, key: _PageKey, old: _ProjectListPage | None) -> _ProjectListPage:
        try:
            await self._flights.run(key, lambda: self._fetch_page(name, key))
        except GitLabUnavailable:
            if old is None or self._get_page_age(old) > STALE_ACCESS_MAX_AGE_SECONDS:
                raise
            return old
        page = self._pages.get(key)
        if page is None:
            raise GitLabUnavailable
        return page

    async def _fetch_page(self, name: str, key: _PageKey) -> None:
        user, search, before, limit = key
        query: dict[str, object] = {"membership": True, "pagination": "keyset", "order_by": "id", "sort": "desc"}
        query["per_page"] = limit + 1
        if search:
            query |= {"search": search, "search_namespaces": True}
        if before is not None:
            query["id_before"] = before
        asked_at = self._clock()
        found = await self._looks.fetch_list(name, "/projects", query, _LIST_TIMEOUT_SECONDS, user=user)
        seen = [one for one in map(parse_gitlab_project, found[:limit]) if one is not None]
        await self._looks.record_projects(name, user, seen, asked_at=asked_at)
        items = tuple(_ListedProject(number=one.number, level=one.level, archived=one.archived) for one in seen)
        following = seen[-1].number if seen and len(found) > limit else None
        self._pages.put(
            key,
            _ProjectListPage(asked_at=asked_at, items=items, following=following),
            seconds=STALE_ACCESS_MAX_AGE_SECONDS,
        )

    def _get_cached_page(self, key: _PageKey) -> _ProjectListPage | None:
        """Return the cached page, or None if GitLab has refused the user's token since."""
        page = self._pages.get(key)
        return page if page is not None and self._looks.verdicts.is_still_valid(key[0], page.asked_at) else None

    def _get_page_age(self, page: _ProjectListPage) -> float:
        return max(self._clock() - page.asked_at, 0.0)

    def _build_entry(
        self, user: int, item: _ListedProject, row: ExternalProject, stale: datetime | None
    ) -> ProjectEntry:
        access = self._looks.verdicts.get_access((user, item.number), ACCESS_REQUIREMENTS[ProjectAction.READ])
        level = item.level if access is None else access.level
        return ProjectEntry(
            id=row.id,
            path=row.path,
            title=row.title,
            description=row.description,
            visibility=row.visibility,
            role=to_project_role(level, archived=item.archived),
            default_session=row.default_session,
            default_title=row.default_title,
            sessions=row.sessions,
            archived=item.archived,
            stale=stale,
        )


def _clean_search(search: str) -> str:
    """Cut the search text, and remove lone surrogates and NUL, which are invalid in URLs."""
    return search[:_MAX_SEARCH_CHARACTERS].encode(errors="ignore").decode().replace("\0", "").strip()


_MAX_NUMBER_DIGITS = 10  # of the largest GitLab id
# For all requests together: a page has 2 s in total, including its rendering.
VIEW_TIMEOUT_SECONDS, ACTION_TIMEOUT_SECONDS = 1.5, 5.0


def _utcnow() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class _ProjectRequest:
    """A user's request for an action, and until when (monotonic, seconds) it may wait for GitLab."""

    person: Person
    user: int
    action: ProjectAction
    until: float

    @property
    def requirement(self) -> AccessRequirement:
        return ACCESS_REQUIREMENTS[self.action]


class GitLabProjectSource:
    """The source `gitlab`. A project is identified by GitLab's id, so it may be renamed or moved.

    Roles are requested with the token of the requesting user, and never serve another user. While GitLab does not
    answer, pages show answers up to 15 minutes old, and starts and changes need an answer at most *window* seconds
    old.
    """

    def __init__(
        self,
        gitlab: GitLabClient,
        db: Database,
        *,
        window: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = _utcnow,
    ) -> None:
        self._looks = GitLabProjectLookup(gitlab, db, clock=clock, now=now)
        self._lists = GitLabProjectLists(self._looks, clock=clock, now=now)
        self._url = gitlab.url
        self._window = window
        self._clock, self._now = clock, now

    async def get_project(self, person: Person, ref: str, action: ProjectAction) -> Project:
        """Return the project with our id, GitLab's id, or this present or former path; see `ProjectSource`.

        Raises:
            GitLabLoginRequired: GitLab does not accept the user's token.
            UnavailableError: `access_unverified`; GitLab does not answer, and its last answer is too old.
        """
        try:
            asked = _ProjectRequest(
                person=person,
                user=await self._looks.get_user_id(person),
                action=action,
                until=self._get_deadline(action),
            )
            number = await self._resolve_number(asked, ref)
            access = await self._get_access(asked, number)
        except GitLabUnavailable as away:
            raise away if action is ProjectAction.READ else _build_unverified_error(away) from None
        except GitLabNotFound:
            raise build_not_found_error() from None
        except GitLabForbidden as refusal:
            raise refusal if refusal.scope is not None else build_not_found_error() from None
        project = await self._build_project(asked, number, access)
        project.require_action(person, action)
        return project

    async def read_project(
        self, person: Person, ref: str, action: ProjectAction, read: Callable[[Transaction, Project], Value]
    ) -> Value:
        project = await self.get_project(person, ref, action)
        found: Value = await self._looks.read_transaction(lambda tx: read(tx, project))
        return found

    async def list_projects(
        self, person: Person, *, search: str = "", after: str | None = None, limit: int = 20
    ) -> tuple[list[ProjectEntry], str | None]:
        """Return one page of the projects of which *person* is a member, newest first."""
        return await self._lists.get_page(person, search=search, after=after, limit=limit)

    async def get_search_scope(self, person: Person) -> SearchScope:
        """Return the newest projects of which *person* is a member, as many as GitLab lists on one page.

        GitLab alone knows who sees a project, so that a search never looks at one that it has not just listed.
        """
        entries, _ = await self.list_projects(person, limit=_MAX_PAGE_SIZE)
        return SearchScope(projects=tuple(entry.id for entry in entries))

    async def get_visible_projects(self, person: Person, ids: Iterable[str]) -> dict[str, Project]:
        """Return the projects that the person sees, by id; those that GitLab does not confirm are left out."""
        wanted = list(ids)
        projects = await asyncio.gather(*(self._get_if_visible(person, id) for id in wanted))
        return {id: project for id, project in zip(wanted, projects, strict=True) if project is not None}

    async def _get_if_visible(self, person: Person, id: str) -> Project | None:
        try:
            return await self.get_project(person, id, ProjectAction.READ)
        except RenkuError:
            return None

    async def is_member(self, person: Person, project: Project, action: ProjectAction) -> bool:
        """Return whether *person* is a direct member or one by a group or invited group.

        GitLab admins and readers of public projects are not members.
        """
        need = AccessRequirement(seconds=ACCESS_REQUIREMENTS[action].seconds, enough=GUEST_LEVEL)
        user = await self._looks.get_user_id(person)
        try:
            access = await self._looks.get_access(
                person.name, user, int(project.source_id), need, ACTION_TIMEOUT_SECONDS
            )
        except GitLabNotFound:
            return False
        return access.level >= GUEST_LEVEL

    async def has_lost_access(self, person: Person, id: str) -> bool:
        """Return whether GitLab denies access twice in a row; see `ProjectSource`."""
        number = await self._looks.read_transaction(lambda tx: tx.external_projects.get_number(GITLAB_SOURCE, id=id))
        try:
            return number is not None and await self._is_refused_twice(person, int(number))
        except RenkuError:
            return False

    async def _is_refused_twice(self, person: Person, number: int) -> bool:
        user = await self._looks.get_user_id(person)
        for _ in range(2):
            if not await self._looks.is_access_refused(person.name, user, number, ACTION_TIMEOUT_SECONDS):
                return False
        return True

    async def close(self) -> None:
        await self._looks.close()

    async def _resolve_number(self, asked: _ProjectRequest, ref: str) -> int:
        if is_valid_id(ref):
            number = await self._looks.read_transaction(
                lambda tx: tx.external_projects.get_number(GITLAB_SOURCE, id=ref)
            )
            return int(number) if number else make_absent_project_number(ref)
        if ref.isascii() and ref.isdigit():
            return (
                parse_gitlab_id(int(ref)) if len(ref) <= _MAX_NUMBER_DIGITS else None
            ) or make_absent_project_number(ref)
        return await self._resolve_path(asked, ref) if is_project_path(ref) else make_absent_project_number(ref)

    async def _resolve_path(self, asked: _ProjectRequest, path: str) -> int:
        """Return the id of the project at *path*; fall back to stored paths, since the project may have moved."""
        lookup = (asked.person.name, asked.user, path, self._get_remaining_seconds(asked))
        try:
            return await self._looks.find_project_number(*lookup)
        except GitLabNotFound:
            return await self._find_remembered_number(path) or make_absent_project_number(path)
        except GitLabUnavailable:
            number = await self._find_remembered_number(path)
            if number and self._get_last_known_access(asked, number):
                return number
            raise

    async def _find_remembered_number(self, path: str) -> int | None:
        number = await self._looks.read_transaction(
            lambda tx: tx.external_projects.get_number_by_path(GITLAB_SOURCE, path)
        )
        return int(number) if number else None

    async def _get_access(self, asked: _ProjectRequest, number: int) -> ProjectAccess:
        try:
            return await self._looks.get_access(
                asked.person.name, asked.user, number, asked.requirement, self._get_remaining_seconds(asked)
            )
        except GitLabUnavailable:
            access = self._get_last_known_access(asked, number)
            if access is None:
                raise
            return access

    def _get_last_known_access(self, asked: _ProjectRequest, number: int) -> ProjectAccess | None:
        """Return the cached access that may be used while GitLab does not answer."""
        viewing = asked.action is ProjectAction.READ
        need = AccessRequirement(
            seconds=STALE_ACCESS_MAX_AGE_SECONDS if viewing else self._window,
            enough=0 if viewing else asked.requirement.enough,
        )
        return self._looks.verdicts.get_access((asked.user, number), need)

    def _get_deadline(self, action: ProjectAction) -> float:
        return self._clock() + (VIEW_TIMEOUT_SECONDS if action is ProjectAction.READ else ACTION_TIMEOUT_SECONDS)

    def _get_remaining_seconds(self, asked: _ProjectRequest) -> float:
        return max(asked.until - self._clock(), 0.001)

    async def _build_project(self, asked: _ProjectRequest, number: int, access: ProjectAccess) -> Project:
        """Build the project from its stored row and the user's access."""
        row: Project | None = await self._looks.read_transaction(
            lambda tx: tx.projects.get_by_source(GITLAB_SOURCE, str(number))
        )
        if row is None:
            raise build_not_found_error()
        role = to_project_role(access.level, archived=access.sight.archived)
        stale = access.age > asked.requirement.seconds
        return replace(
            row,
            members=(ProjectMember(kind="user", name=asked.person.name, role=role),),
            repositories=(*self._build_own_repositories(row, access), *row.repositories),
            archived=access.sight.archived,
            web=f"{self._url}/{row.path}",
            ssh=access.sight.ssh,
            stale=self._now() - timedelta(seconds=access.age) if stale else None,
            unverified=stale and access.age > self._window,
            member=access.level >= GUEST_LEVEL,
        )

    def _build_own_repositories(self, row: Project, access: ProjectAccess) -> tuple[Repository, ...]:
        """Return the project's own repository, if it has one, in the directory that was chosen when it was recorded."""
        if not access.sight.repository:
            return ()
        url = f"{self._url}/{row.path}.git"
        return (Repository(directory=row.directory or make_unique_directory(url, ()), url=url, fixed=True),)


def _build_unverified_error(away: GitLabUnavailable) -> UnavailableError:
    return UnavailableError(
        format_reason_sentence("access_unverified"), code="access_unverified", retry_after=away.retry_after
    )
