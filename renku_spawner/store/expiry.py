"""What of everybody's data is due: an index finds it, however many others there are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import bindparam, insert, select, update

from ..domain.instance import Instance
from .instances import FIELDS, whole
from .statements import Statements
from .tables import instances, rounds

_I, _R = instances.c, rounds.c
_WHOLE = select(*(_I[name] for name in FIELDS)).limit(bindparam("most"))
_DUE = _WHOLE.where(_I.look_at.is_not(None), _I.look_at <= bindparam("now")).order_by(_I.look_at, _I.id)
_ANNOUNCED = _WHOLE.where(_I.warned > 0, _I.id > bindparam("after")).order_by(_I.id)
_WITH_DATA = _WHOLE.where(_I.claim.is_not(None), _I.claim > bindparam("after")).order_by(_I.claim)
_DATES = ("kept_from", "deleted_on", "warned", "trashed_until", "look_at")
_DATE = (
    update(instances)
    .where(_I.id == bindparam("key"), _I.generation == bindparam("seen"))
    .values({name: bindparam(f"new_{name}") for name in _DATES})
    .values(generation=_I.generation + 1)
)
_ROUND = select(_R.at, _R.said).where(_R.name == bindparam("of"))
_BEGIN = insert(rounds)
_NOTE = update(rounds).where(_R.name == bindparam("of")).values(at=bindparam("when"), said=bindparam("what"))


class ExpiryStore:
    def __init__(self, statements: Statements) -> None:
        self._db = statements

    def due(self, now: datetime, limit: int) -> list[Instance]:
        """Those of which a step is due, the longest overdue first."""
        return [whole(row) for row in self._db.rows(_DUE, now=now, most=limit)]

    def announced(self, after: str, limit: int) -> list[Instance]:
        """One page, by id, of those whose owners were told of a date."""
        return [whole(row) for row in self._db.rows(_ANNOUNCED, after=after, most=limit)]

    def with_data(self, after: str, limit: int) -> list[Instance]:
        """One page, by claim, of those that have data."""
        return [whole(row) for row in self._db.rows(_WITH_DATA, after=after, most=limit)]

    def date(self, changed: Sequence[tuple[Instance, Instance]]) -> None:
        """Put the new dates (old, new) in place, but for those that somebody else has changed meanwhile."""
        self._db.run_each(
            _DATE,
            [
                {"key": old.id, "seen": old.generation} | {f"new_{name}": getattr(new, name) or None for name in _DATES}
                for old, new in changed
            ],
        )

    def round(self, name: str) -> tuple[datetime | None, str]:
        """When that round last went well, and what it noted then."""
        row = self._db.row(_ROUND, of=name)
        return (row[0], row[1]) if row else (None, "")

    def note(self, name: str, at: datetime, said: str) -> None:
        """It went well just now."""
        if not self._db.run(_NOTE, of=name, when=at, what=said):
            self._db.run(_BEGIN, name=name, at=at, said=said)
