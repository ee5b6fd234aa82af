"""Store audit events for admins: refused requests, and actions on the resources of other users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, tuple_

from ..domain.administration import AuditEvent
from .columns import UTCDateTime
from .search import decode_cursor, encode_cursor, parse_cursor_time
from .statements import StatementRunner
from .tables import audit

_A = audit.c
_INSERT_AUDIT_EVENT = insert(audit)
_SELECT_AUDIT_EVENTS = (
    select(_A.at, _A.actor, _A.username, _A.action, _A.subject, _A.detail, _A.id)
    .order_by(_A.at.desc(), _A.id.desc())
    .limit(bindparam("most"))
)
_AFTER_AUDIT_EVENT = tuple_(_A.at, _A.id) < tuple_(bindparam("before", type_=UTCDateTime), bindparam("after_id"))
_HAS_ACTOR, _HAS_ACTION = _A.actor == bindparam("actor"), _A.action == bindparam("action")
_MAX_PRUNED_AUDIT_EVENTS = 1000
_DELETE_OLD_AUDIT_EVENTS = delete(audit).where(
    _A.id.in_(select(_A.id).where(_A.at < bindparam("before")).limit(_MAX_PRUNED_AUDIT_EVENTS))
)


class AuditStore:
    def __init__(self, statements: StatementRunner) -> None:
        self._db = statements
        self.added: list[AuditEvent] = []  # in this transaction

    def add(
        self, *, at: datetime, actor: str, username: str | None, action: str, subject: str, detail: Mapping[str, Any]
    ) -> None:
        """Record that *actor* did *action* to *subject*.

        *username* owns the subject, or is None if no user does; *detail* must be JSON-serializable.
        """
        event = AuditEvent(at=at, actor=actor, username=username, action=action, subject=subject, detail=dict(detail))
        self._db.execute(_INSERT_AUDIT_EVENT, **vars(event))
        self.added.append(event)

    def list_recent(self, limit: int) -> list[AuditEvent]:
        """Return the latest events, newest first."""
        return self.list_page(limit=limit)[0]

    def list_page(
        self, *, actor: str = "", action: str = "", after: str | None = None, limit: int
    ) -> tuple[list[AuditEvent], str | None]:
        """Return one page of events, newest first, by *actor* or *action* if given, and the cursor of the next page.

        Raises:
            InvalidInputError: *after* is not a cursor of an earlier page.
        """
        statement, values = _SELECT_AUDIT_EVENTS, dict[str, Any](most=limit + 1)
        for name, value, condition in (("actor", actor, _HAS_ACTOR), ("action", action, _HAS_ACTION)):
            if value:
                statement, values = statement.where(condition), values | {name: value}
        if after is not None:
            when, id = decode_cursor(after, str, int)
            statement, values = (
                statement.where(_AFTER_AUDIT_EVENT),
                values | {"before": parse_cursor_time(when), "after_id": id},
            )
        rows = self._db.fetch_all(statement, **values)
        last = rows[limit - 1] if len(rows) > limit else None
        return [_to_audit_event(row) for row in rows[:limit]], encode_cursor(
            last[0].isoformat(), last[6]
        ) if last else None

    def prune(self, before: datetime) -> int:
        """Delete up to 1000 events from before *before*; return how many. Call again until it returns 0."""
        return self._db.execute(_DELETE_OLD_AUDIT_EVENTS, before=before)


def _to_audit_event(row: Sequence[Any]) -> AuditEvent:
    return AuditEvent(at=row[0], actor=row[1], username=row[2], action=row[3], subject=row[4], detail=row[5])
