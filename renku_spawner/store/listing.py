"""The list of projects that somebody may see, without reading those of others."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Select, and_, bindparam, func, or_, select, tuple_, union

from ..domain.access import Role, Visibility
from ..domain.project import ProjectEntry
from .search import contains, cursor, pattern, place
from .statements import Statements
from .tables import members, projects, sessions

_P, _M = projects.c, members.c
_NAME: BindParameter[str] = bindparam("name")
_GROUPS: BindParameter[list[str]] = bindparam("groups", expanding=True)
_IS_ME = or_(and_(_M.kind == "user", _M.name == _NAME), and_(_M.kind == "group", _M.name.in_(_GROUPS)))
_MINE = select(_P.folded_title, _P.id).where(_P.deleted_at.is_(None)).where(_P.id.in_(select(_M.project).where(_IS_ME)))
_PUBLIC = select(_P.folded_title, _P.id).where(
    _P.deleted_at.is_(None), _P.visibility == Visibility.PUBLIC.value, _P.source == "hub"
)
_ROLE = select(func.max(_M.role)).where(_M.project == _P.id, _IS_ME).scalar_subquery()
_ENTRIES = (
    select(
        _P.id, _P.path, _P.title, _P.description, _P.visibility, _ROLE, sessions.c.id, sessions.c.title,
        _P.session_count,
    )
    .outerjoin(sessions, and_(sessions.c.id == _P.default_session, sessions.c.deleted_at.is_(None)))
    .where(_P.id.in_(bindparam("ids", expanding=True)))
    .order_by(_P.folded_title, _P.id)
)  # fmt: skip


def listed(
    db: Statements, *, name: str, groups: Iterable[str], search: str, after: str | None, limit: int
) -> tuple[list[ProjectEntry], str | None]:
    """One page by title, and where the next one begins, in two statements.

    Raises:
        Invalid: *after* is nothing that a page has offered.
    """
    who = {"name": name, "groups": sorted(groups)}
    values: dict[str, Any] = {**who, **pattern(search), "most": limit + 1}
    if after is not None:
        values |= zip(("after_title", "after_id"), place(after, str, str), strict=True)
    found = db.rows(_page(bool(search), after is not None), **values)
    ids = [row[1] for row in found[:limit]]
    entries = db.rows(_ENTRIES, ids=ids, **who) if ids else []
    following = cursor(*found[limit - 1]) if len(found) > limit else None
    return [_entry(row) for row in entries], following


@lru_cache
def _page(search: bool, after: bool) -> Select[Any]:
    """Title and id of what I am a member of and of what is public: each branch walks
    an index of its own, so that private projects of others are never read."""
    conditions: list[ColumnElement[bool]] = []
    if search:
        conditions.append(contains(_P.search))
    if after:
        conditions.append(tuple_(_P.folded_title, _P.id) > tuple_(bindparam("after_title"), bindparam("after_id")))
    most: BindParameter[int] = bindparam("most")
    branches = [
        select(branch.where(*conditions).order_by(_P.folded_title, _P.id).limit(most).subquery())
        for branch in (_MINE, _PUBLIC)
    ]
    both = union(*branches).subquery()
    return select(both).order_by(*both.c).limit(most)


def _entry(row: Any) -> ProjectEntry:
    return ProjectEntry(
        id=row[0],
        path=row[1],
        title=row[2],
        description=row[3],
        visibility=Visibility(row[4]),
        role=Role(row[5] or Role.VIEWER),
        default_session=row[6],
        default_title=row[7],
        sessions=row[8],
    )
