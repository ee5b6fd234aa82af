"""Which instances the rounds have to look at by now: found by an index, however many run."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import BigInteger, bindparam, case, func, or_, select, true, update

from ..domain.instance import Instance, Observed
from .instances import FIELDS, whole
from .statements import Statements
from .tables import instances
from .types import UTCDateTime

_I = instances.c
_NOW = bindparam("now", type_=UTCDateTime)
_DUE = (
    select(*(_I[name] for name in FIELDS)).where(_I.due_at <= _NOW).order_by(_I.due_at, _I.id).limit(bindparam("most"))
)
# Whoever has changed it meanwhile has said anew when it is due.
_POSTPONE = (
    update(instances)
    .where(_I.id == bindparam("key"), _I.generation == bindparam("seen"))
    .values(due_at=bindparam("at", type_=UTCDateTime))
)
_LATER = select(_I.id).where(_I.active == true(), or_(_I.due_at.is_(None), _I.due_at > _NOW)).limit(bindparam("most"))
_SOME = update(instances).where(_I.id.in_(_LATER)).values(due_at=_NOW)

_REPORT = (
    update(instances)
    .where(_I.session == bindparam("in_session"), _I.username == bindparam("of_user"))
    .values(
        reported_at=_NOW,
        disk_used=func.coalesce(bindparam("disk", type_=BigInteger), _I.disk_used),
        disk_used_at=case((bindparam("disk", type_=BigInteger).is_(None), _I.disk_used_at), else_=_NOW),
    )
)
# What is not ready yet, or ends, works for itself; "never used" also means that it holds nobody's work.
_USED = (
    update(instances)
    .where(_I.session == bindparam("in_session"), _I.username == bindparam("of_user"))
    .where(_I.observed == Observed.READY, or_(_I.last_activity.is_(None), _I.last_activity < bindparam("at")))
    .values(last_activity=bindparam("at", type_=UTCDateTime))
)


class DueStore:
    def __init__(self, statements: Statements) -> None:
        self._db = statements

    def idle(self, now: datetime, limit: int) -> list[Instance]:
        """Those to look at by *now*, the longest due first."""
        return [whole(row) for row in self._db.rows(_DUE, now=now, most=limit)]

    def postpone(self, to: Iterable[tuple[Instance, datetime | None]]) -> None:
        """When to look at these next, None for not again while they run as they do; no step of their lives."""
        rows = [{"key": each.id, "seen": each.generation, "at": at} for each, at in to]
        self._db.run_each(_POSTPONE, rows)

    def report(self, session_id: str, username: str, now: datetime, disk_used: int | None) -> None:
        """What its own server says now; a size (bytes) that it does not say stays as it was."""
        self._db.run(_REPORT, in_session=session_id, of_user=username, now=now, disk=disk_used)

    def look_at_more(self, now: datetime, limit: int) -> int:
        """Have *limit* of the active be looked at *now* which were not to be yet; how many there were."""
        return self._db.run(_SOME, now=now, most=limit)

    def used(self, keys: Iterable[tuple[str, str]], at: datetime) -> None:
        """Move the last activity of those that are ready forward, by user and session; no step of their lives."""
        self._db.run_each(_USED, [{"in_session": name, "of_user": user, "at": at} for user, name in keys])
