"""The line of starts that wait, as the rows have it."""

from __future__ import annotations

from sqlalchemy import bindparam, func, select, true

from ..domain.instance import Instance
from ..domain.status import STAGES, Desired
from .instances import FIELDS, whole
from .statements import Statements
from .tables import instances

_I = instances.c
_WHOLE = select(*(_I[name] for name in FIELDS))
_WAITING = _WHOLE.where(_I.turn.is_not(None)).order_by(_I.turn, _I.requested_at, _I.id)
_STARTING = _WHOLE.where(
    _I.active == true(),
    _I.desired == Desired.RUNNING,
    _I.turn.is_(None),
    _I.observed.in_([str(stage) for stage in STAGES]),
)
_FIRST = select(func.min(_I.turn)).where(_I.turn.is_not(None))
_LAST_OF = select(func.max(_I.turn)).where(_I.turn.is_not(None), _I.username == bindparam("of_user"))


class LineStore:
    def __init__(self, statements: Statements) -> None:
        self._db = statements

    def waiting(self) -> list[Instance]:
        """Everybody's starts that wait, in their order."""
        return [whole(row) for row in self._db.rows(_WAITING)]

    def starting(self) -> list[Instance]:
        """Everybody's that come up and wait no more."""
        return [whole(row) for row in self._db.rows(_STARTING)]

    def first(self) -> int | None:
        """The lowest number of those that wait."""
        return self._turn(self._db.value(_FIRST))

    def last_of(self, username: str) -> int | None:
        """The highest number of a person's own."""
        return self._turn(self._db.value(_LAST_OF, of_user=username))

    def _turn(self, value: object) -> int | None:
        return value if isinstance(value, int) else None
