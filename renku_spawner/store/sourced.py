"""Projects that live elsewhere: a row of ours for each that somebody has looked at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, and_, bindparam, delete, insert, select, update

from ..domain import names
from ..domain.access import Visibility
from ..domain.text import folded
from .search import searchable
from .statements import Statements
from .tables import paths, projects, sessions

_P = projects.c
_SOURCE: BindParameter[str] = bindparam("where")
_FACTS = (_P.id, _P.source_id, _P.path, _P.title, _P.description, _P.visibility)
_SOME = (
    select(*_FACTS, sessions.c.id, sessions.c.title, _P.session_count)
    .outerjoin(sessions, and_(sessions.c.id == _P.default_session, sessions.c.deleted_at.is_(None)))
    .where(_P.source == _SOURCE, _P.source_id.in_(bindparam("keys", expanding=True)))
)
_NUMBER = select(_P.source_id).where(_P.source == _SOURCE)
_BY_ID = _NUMBER.where(_P.id == bindparam("key"))
_BY_PATH = _NUMBER.where(_P.folded_path == bindparam("path"), _P.deleted_at.is_(None))
_BY_OLD_PATH = _NUMBER.join(paths).where(paths.c.folded_path == bindparam("path"))
_THERE = select(_P.id, _P.source_id, _P.path).where(_P.folded_path == bindparam("path"), _P.deleted_at.is_(None))
_INSERT = insert(projects)
_UPDATE = update(projects).where(_P.id == bindparam("key"))
_FORGET_PATH = delete(paths).where(paths.c.folded_path == bindparam("path"))
_ADD_PATH = insert(paths)


@dataclass(frozen=True, kw_only=True)
class Sourced:
    """What our tables say of a project that lives elsewhere; `number` is its id there.

    `directory` is only read when its row is made: what is cloned into it must not look lost after a rename.
    """

    id: str
    number: str
    path: str
    title: str
    description: str
    visibility: Visibility
    directory: str | None = None
    default_session: str | None = None
    default_title: str | None = None
    sessions: int = 0

    @property
    def facts(self) -> tuple[str, str, str, Visibility]:
        """What its source may change."""
        return self.path, self.title, self.description, self.visibility


class SourcedStore:
    """Rows of one source; each hangs on the number that its project has there, whatever its path."""

    def __init__(self, statements: Statements) -> None:
        self._db = statements

    def some(self, source: str, numbers: Iterable[str]) -> dict[str, Sourced]:
        """By number, with the default session, in one statement."""
        rows = self._db.rows(_SOME, where=source, keys=sorted(numbers))
        return {row[1]: _sourced(row) for row in rows}

    def number(self, source: str, *, id: str) -> str | None:
        """The number of the project with our *id*."""
        found: str | None = self._db.value(_BY_ID, where=source, key=id)
        return found

    def number_at(self, source: str, path: str) -> str | None:
        """The number of the project that is at *path* as far as we know, or was."""
        values = {"where": source, "path": folded(path)}
        found: str | None = self._db.value(_BY_PATH, **values) or self._db.value(_BY_OLD_PATH, **values)
        return found

    def note(self, source: str, seen: Sequence[Sourced], *, by: str, now: datetime) -> dict[str, Sourced]:
        """Make or bring up to date the rows of *seen* (whose own `id` is that of a row to make).

        A path that another project had goes to the one that has it now; nothing else of
        the other one's does (R35). Raises Clash: somebody noted the same at this moment.
        """
        before = self.some(source, [one.number for one in seen])
        for one in seen:
            old = before.get(one.number)
            if old is not None and old.facts == one.facts:
                continue
            self._clear(one)
            if old is None:
                self._db.run(_INSERT, **_new(source, one, by, now), **_written(one))
            else:
                self._change(old, one)
        return self.some(source, before.keys() | {one.number for one in seen})

    def _change(self, old: Sourced, new: Sourced) -> None:
        self._db.run(_UPDATE.values(**_written(new)), key=old.id)
        before, after = folded(old.path), folded(new.path)
        if before != after:
            self._db.run(_FORGET_PATH, path=before)
            self._db.run(_ADD_PATH, folded_path=before, project=old.id)

    def _clear(self, new: Sourced) -> None:
        """Whoever was at this path is no longer: until somebody looks at it again it has one
        that nobody can have at GitLab, and that leads to it all the same."""
        path = folded(new.path)
        self._db.run(_FORGET_PATH, path=path)
        row = self._db.row(_THERE, path=path)
        if row is not None and row[1] != new.number:
            former = f"{row[2][:200]}@{row[1]}"
            self._db.run(_UPDATE.values(path=former, folded_path=folded(former)), key=row[0])


def _sourced(row: Sequence[Any]) -> Sourced:
    return Sourced(
        id=row[0], number=row[1], path=row[2], title=row[3], description=row[4], visibility=Visibility(row[5]),
        default_session=row[6], default_title=row[7], sessions=row[8],
    )  # fmt: skip


def _new(source: str, one: Sourced, by: str, now: datetime) -> dict[str, Any]:
    made = {"id": one.id, "source": source, "source_id": one.number, "directory": one.directory}
    return {**made, "session_count": 0, "version": 1, "created_by": by, "created_at": now}


def _written(one: Sourced) -> dict[str, Any]:
    return {
        "path": one.path,
        "folded_path": folded(one.path),
        "title": one.title,
        "folded_title": folded(one.title),
        "description": one.description,
        "visibility": str(one.visibility),
        "search": searchable(one.title, one.path, one.description),
    }


def new(*, number: int, path: str, title: str, description: str, visibility: Visibility) -> Sourced:
    """A project as its source shows it, with an id and a directory for the row that it may need."""
    return Sourced(
        id=names.new_id(), number=str(number), path=path, title=title, description=description, visibility=visibility,
        directory=names.directory_for(path, ()),
    )  # fmt: skip
