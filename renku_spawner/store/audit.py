"""What was refused or done with somebody else's things, for admins."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, insert, select

from ..domain.audit import Event
from .statements import Statements
from .tables import audit

_A = audit.c
_INSERT = insert(audit)
_RECENT = (
    select(_A.at, _A.actor, _A.username, _A.action, _A.subject, _A.detail)
    .order_by(_A.at.desc(), _A.id.desc())
    .limit(bindparam("most"))
)
_PRUNE = 1000
_DELETE = delete(audit).where(_A.id.in_(select(_A.id).where(_A.at < bindparam("before")).limit(_PRUNE)))


class AuditStore:
    def __init__(self, statements: Statements) -> None:
        self._db = statements

    def add(
        self, *, at: datetime, actor: str, username: str | None, action: str, subject: str, detail: Mapping[str, Any]
    ) -> None:
        """*actor* did *action* to *subject*, which is *username*'s when it is a person's; *detail* is JSON."""
        self._db.run(
            _INSERT, at=at, actor=actor, username=username, action=action, subject=subject, detail=dict(detail)
        )

    def recent(self, limit: int) -> list[Event]:
        """Newest first."""
        rows = self._db.rows(_RECENT, most=limit)
        return [
            Event(at=row[0], actor=row[1], username=row[2], action=row[3], subject=row[4], detail=row[5])
            for row in rows
        ]

    def prune(self, before: datetime) -> int:
        """Delete up to 1000 events from before; how many were. Ask again until there are none."""
        return self._db.run(_DELETE, before=before)
