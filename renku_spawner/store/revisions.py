"""Revisions of environments: immutable, so what was read once need not be read again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from functools import lru_cache
from threading import Lock
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Text, bindparam, cast, func, insert, select

from ..domain import built
from ..domain.environment import NewRevision, Revision, RunConfiguration
from ..domain.names import new_id
from .statements import Statements
from .tables import revisions

_R = revisions.c
_FIELDS = (
    "id", "environment", "number", "image", "repository", "tag", "digest", "commit", "created_by", "created_at",
)  # fmt: skip


def raw(column: ColumnElement[Any]) -> ColumnElement[str]:
    """JSON as it is stored: reading it takes longer than all the rest, so it is done once per text."""
    return cast(column, Text)


_WHOLE = select(*(_R[name] for name in _FIELDS), raw(_R.built), raw(_R.facts), raw(_R.run))
_SOME = _WHOLE.where(_R.id.in_(bindparam("ids", expanding=True)))
_ENVIRONMENT: BindParameter[str] = bindparam("of_environment")
_OF = _WHOLE.where(_R.environment == _ENVIRONMENT).order_by(_R.number.desc())
_NEXT_NUMBER = select(func.coalesce(func.max(_R.number), 0) + 1).where(_R.environment == _ENVIRONMENT)
_INSERT = insert(revisions)


class Known:
    """Up to 256 revisions of one database (facts may be long)."""

    LIMIT = 256

    def __init__(self) -> None:
        self._lock = Lock()
        self._found: dict[str, Revision] = {}

    def get(self, id: str) -> Revision | None:
        return self._found.get(id)

    def add(self, revision: Revision) -> None:
        """In the place of the one that has been known for longest, if there are too many."""
        with self._lock:
            if len(self._found) >= self.LIMIT:
                del self._found[next(iter(self._found))]
            self._found[revision.id] = revision


class Revisions:
    """What the stores of environments and of sessions know of revisions."""

    def __init__(self, statements: Statements, known: Known) -> None:
        self._db = statements
        self._known = known

    def some(self, ids: Iterable[str]) -> dict[str, Revision]:
        """Revisions by id; one statement for those that are not known yet."""
        asked = dict.fromkeys(ids)
        found = {id: revision for id in asked if (revision := self._known.get(id))}
        missing = [id for id in asked if id not in found]
        for row in self._db.rows(_SOME, ids=missing) if missing else ():
            found[row[0]] = revision = _whole(row)
            self._known.add(revision)
        return found

    def of(self, environment_id: str) -> list[Revision]:
        """Newest first."""
        return [_whole(row) for row in self._db.rows(_OF, of_environment=environment_id)]

    def add(self, environment_id: str, new: NewRevision, *, by: str, now: datetime) -> Revision:
        """The next revision. Raises Clash: `revision`, when two are made at once."""
        number = self._db.value(_NEXT_NUMBER, of_environment=environment_id)
        given = {field.name: getattr(new, field.name) for field in fields(NewRevision)}
        made = Revision(id=new_id(), environment=environment_id, number=number, created_by=by, created_at=now, **given)
        run = {field.name: getattr(made.run, field.name) for field in fields(RunConfiguration)}
        values = {name: getattr(made, name) for name in _FIELDS}
        source = built.as_json(made.built) if made.built else None
        self._db.run(_INSERT, **values, facts=dict(made.facts), run=run, built=source)
        return made


def _whole(row: Sequence[Any]) -> Revision:
    values = dict(zip(_FIELDS, row, strict=False))
    source = built.from_json(json.loads(row[-3])) if row[-3] else None
    return Revision(**values, built=source, facts=json.loads(row[-2]), run=_run(row[-1]))


@lru_cache(maxsize=256)
def _run(text: str) -> RunConfiguration:
    values = json.loads(text)
    lists = {name: tuple(values[name]) for name in ("command", "arguments")}
    return RunConfiguration(**{**values, **lists})
