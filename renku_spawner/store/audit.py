"""What was refused or done with somebody else's things, for admins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, tuple_

from ..domain.audit import Event
from .search import cursor, moment, place
from .statements import Statements
from .tables import audit
from .types import UTCDateTime

_A = audit.c
_INSERT = insert(audit)
_PAGE = (
    select(_A.at, _A.actor, _A.username, _A.action, _A.subject, _A.detail, _A.id)
    .order_by(_A.at.desc(), _A.id.desc())
    .limit(bindparam("most"))
)
_AFTER = tuple_(_A.at, _A.id) < tuple_(bindparam("before", type_=UTCDateTime), bindparam("after_id"))
_BY, _SUCH = _A.actor == bindparam("actor"), _A.action == bindparam("action")
_PRUNE = 1000
_DELETE = delete(audit).where(_A.id.in_(select(_A.id).where(_A.at < bindparam("before")).limit(_PRUNE)))


class AuditStore:
    def __init__(self, statements: Statements) -> None:
        self._db = statements
        self.added: list[Event] = []  # in this transaction

    def add(
        self, *, at: datetime, actor: str, username: str | None, action: str, subject: str, detail: Mapping[str, Any]
    ) -> None:
        """*actor* did *action* to *subject*, which is *username*'s when it is a person's; *detail* is JSON."""
        event = Event(at=at, actor=actor, username=username, action=action, subject=subject, detail=dict(detail))
        self._db.run(_INSERT, **vars(event))
        self.added.append(event)

    def recent(self, limit: int) -> list[Event]:
        """Newest first."""
        return self.page(limit=limit)[0]

    def page(
        self, *, actor: str = "", action: str = "", after: str | None = None, limit: int
    ) -> tuple[list[Event], str | None]:
        """One page, newest first, of what *actor* did or of one *action*, and where the next begins.

        Raises:
            Invalid: *after* is nothing that a page has offered.
        """
        statement, values = _PAGE, dict[str, Any](most=limit + 1)
        for name, said, condition in (("actor", actor, _BY), ("action", action, _SUCH)):
            if said:
                statement, values = statement.where(condition), values | {name: said}
        if after is not None:
            when, id = place(after, str, int)
            statement, values = statement.where(_AFTER), values | {"before": moment(when), "after_id": id}
        rows = self._db.rows(statement, **values)
        last = rows[limit - 1] if len(rows) > limit else None
        return [_event(row) for row in rows[:limit]], cursor(last[0].isoformat(), last[6]) if last else None

    def prune(self, before: datetime) -> int:
        """Delete up to 1000 events from before; how many were. Ask again until there are none."""
        return self._db.run(_DELETE, before=before)


def _event(row: Sequence[Any]) -> Event:
    return Event(at=row[0], actor=row[1], username=row[2], action=row[3], subject=row[4], detail=row[5])
