"""Find sessions of visible projects by text and image, one for each image."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, ColumnElement, Select, bindparam, case, func, or_, select, tuple_

from ..domain.access import Visibility
from ..domain.environments import EnvironmentKind, EnvironmentState
from ..domain.session_search import LaunchCounts, SearchScope
from .columns import UTCDateTime
from .projects import IS_VIEWER
from .search import build_text_condition, build_text_pattern, decode_cursor, encode_cursor, parse_cursor_time
from .statements import StatementRunner
from .tables import environments, launches, members, projects, revisions, sessions

_S, _E, _R, _P, _L = sessions.c, environments.c, revisions.c, projects.c, launches.c
# As in `launches.image`: the digest, or the revision's id if it is unknown.
_IMAGE_KEY = func.coalesce(_R.digest, _R.id)
_IS_COPYABLE = or_(
    _E.kind == EnvironmentKind.EXTERNAL.value,
    (_E.kind == EnvironmentKind.DEFAULT.value)
    & _E.state.in_((EnvironmentState.ACTIVE.value, EnvironmentState.DEPRECATED.value)),
)
_IS_VISIBLE_HUB_PROJECT = (_P.source == "hub") & or_(
    (_P.visibility == Visibility.PUBLIC.value) & _P.listed, _P.id.in_(select(members.c.project).where(IS_VIEWER))
)
_IS_ONE_OF_PROJECTS = _P.id.in_(bindparam("in_projects", expanding=True))


class FoundImage(NamedTuple):
    """An image, the newest session that runs it, and in how many projects it is used."""

    image: str
    session: str
    uses: int


class SessionSearchStore:
    def __init__(self, statements: StatementRunner) -> None:
        self._db = statements

    def search(
        self,
        scope: SearchScope,
        *,
        text: str = "",
        digests: Collection[str] | None = None,
        outside: str = "",
        after: str | None = None,
        limit: int = 20,
    ) -> tuple[list[FoundImage], str | None]:
        """Return one page of images that sessions of visible projects run, the most used first, and the next cursor.

        *text* is part of the session, its environment, its image or its project. With *digests*, only these images
        are found; sessions of the project *outside* are not. Images that CI has built cannot be copied, and are left
        out.

        Raises:
            InvalidInputError: *after* is not a cursor of an earlier page.
        """
        values: dict[str, Any] = {**_bind_scope(scope), **build_text_pattern(text), "outside": outside}
        if digests is not None:
            values["digests"] = sorted(digests)
        if after is not None:
            uses, newest, image = decode_cursor(after, int, str, str)
            values |= {"after_uses": uses, "after_newest": parse_cursor_time(newest), "after_image": image}
        statement = _build_search_statement(
            scope.projects is not None, bool(text), digests is not None, after is not None
        )
        rows = self._db.fetch_all(statement, most=limit + 1, **values)
        found = [FoundImage(image=row[0], session=row[1], uses=row[2]) for row in rows[:limit]]
        last = rows[limit - 1] if len(rows) > limit else None
        return found, encode_cursor(last[2], last[3].isoformat(), last[0]) if last else None

    def count_launches(self, scope: SearchScope, images: Iterable[str], since: datetime) -> Mapping[str, LaunchCounts]:
        """Count the finished starts of these *images* in visible projects since then, by image."""
        keys = sorted(set(images))
        if not keys:
            return {}
        statement = _build_launch_count_statement(scope.projects is not None)
        rows = self._db.fetch_all(statement, images=keys, since=since, **_bind_scope(scope))
        return {row[0]: LaunchCounts(successful=row[1], failed=row[2]) for row in rows}


def _bind_scope(scope: SearchScope) -> dict[str, Any]:
    if scope.projects is not None:
        return {"in_projects": list(scope.projects)}
    return {"name": scope.name, "groups": sorted(scope.groups)}


def _build_visibility_condition(by_ids: bool) -> ColumnElement[bool]:
    return _P.deleted_at.is_(None) & (_IS_ONE_OF_PROJECTS if by_ids else _IS_VISIBLE_HUB_PROJECT)


@lru_cache
def _build_search_statement(by_ids: bool, text: bool, package: bool, after: bool) -> Select[Any]:
    """Build one cached statement per combination of filters, so that SQLAlchemy compiles each only once."""
    conditions = [_S.deleted_at.is_(None), _build_visibility_condition(by_ids), _IS_COPYABLE]
    conditions.append(_S.project != bindparam("outside"))
    if text:
        columns = (_S.search, _E.search, _P.search, func.lower(_R.image))
        conditions.append(or_(*map(build_text_condition, columns)))
    if package:
        conditions.append(_R.digest.in_(bindparam("digests", expanding=True)))
    place = func.row_number().over(partition_by=_IMAGE_KEY, order_by=(_S.created_at.desc(), _S.id))
    matches = (
        select(_IMAGE_KEY.label("image"), _S.id.label("session"), _S.project, _S.created_at, place.label("place"))
        .select_from(sessions)
        .join(environments, _E.id == _S.environment)
        .join(revisions, _R.id == _S.revision)
        .join(projects, _P.id == _S.project)
        .where(*conditions)
        .cte("matches")
    )
    uses = (
        select(matches.c.image, func.count(matches.c.project.distinct()).label("uses"))
        .group_by(matches.c.image)
        .subquery("uses")
    )
    order = (uses.c.uses, matches.c.created_at, matches.c.image)
    statement = (
        select(matches.c.image, matches.c.session, uses.c.uses, matches.c.created_at)
        .join(uses, uses.c.image == matches.c.image)
        .where(matches.c.place == 1)
        .order_by(*(column.desc() for column in order))
        .limit(bindparam("most"))
    )
    if after:
        last: tuple[BindParameter[Any], ...] = (
            bindparam("after_uses"),
            bindparam("after_newest", type_=UTCDateTime),
            bindparam("after_image"),
        )
        statement = statement.where(tuple_(*order) < tuple_(*last))
    return statement


@lru_cache
def _build_launch_count_statement(by_ids: bool) -> Select[Any]:
    is_failed = _L.ready_at.is_(None) & (_L.outcome == "failed")
    return (
        select(_L.image, func.count(_L.ready_at), func.count(case((is_failed, 1))))
        .join(projects, _P.id == _L.project)
        .where(
            _L.image.in_(bindparam("images", expanding=True)),
            _L.requested_at >= bindparam("since", type_=UTCDateTime),
            _build_visibility_condition(by_ids),
        )
        .group_by(_L.image)
    )
