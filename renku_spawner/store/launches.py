"""The record of starts, and how long they usually take."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from statistics import median
from typing import Any

from sqlalchemy import String, bindparam, cast, delete, func, insert, select, update

from ..domain.environment import Revision
from ..domain.launch import Launch
from .statements import Statements
from .tables import launches, revisions

_L, _R = launches.c, revisions.c
_FIELDS = tuple(field.name for field in fields(Launch))
_WHOLE = select(*(_L[name] for name in _FIELDS))
_GET = _WHOLE.where(_L.id == bindparam("key"))
_OF = (
    _WHOLE.where(_L.session == bindparam("in_session"), _L.username == bindparam("of_user"))
    .order_by(_L.requested_at.desc(), _L.id)
    .limit(bindparam("most"))
)
_INSERT = insert(launches)
_OF_REVISION = select(func.coalesce(_R.digest, _R.id), _R.environment).where(_R.id == bindparam("key"))
_UPDATE = update(launches).where(_L.id == bindparam("key"))
_REQUESTED = select(_L.requested_at).where(_L.id == bindparam("key"))
_CHANGEABLE = frozenset({"outcome", "reason", "message", "log", "ready_at", "ended_at", "stages"})
_UNDER_WAY = ("launching", "running")
# One transaction of pruning stays short.
_PRUNE = 1000
_OLD = select(_L.id).where(_L.requested_at < bindparam("before"), _L.outcome.not_in(_UNDER_WAY)).limit(_PRUNE)
_DELETE = delete(launches).where(_L.id.in_(_OLD))
_LAST, _LEAST = 20, 3


def _usual(*conditions: Any) -> Any:
    """For each revision the seconds of its latest starts, as one text: the only
    aggregate with a limit inside that both databases have and walk by the index."""
    latest = (
        select(_L.seconds)
        .where(_L.image == func.coalesce(_R.digest, _R.id), _L.seconds.is_not(None), *conditions)
        .order_by(_L.requested_at.desc())
        .limit(_LAST)
        .correlate(revisions)
        .subquery()
    )
    joined = select(func.aggregate_strings(cast(latest.c.seconds, String), ",")).scalar_subquery()
    return select(_R.id, joined).where(_R.id.in_(bindparam("revisions", expanding=True)))


_USUAL = _usual()
_USUAL_MINE = _usual(_L.username == bindparam("of_user"))


class LaunchStore:
    def __init__(self, statements: Statements) -> None:
        self._db = statements

    def add(self, launch: Launch) -> None:
        image, environment = self._db.row(_OF_REVISION, key=launch.revision) or (launch.revision, None)
        values = {name: getattr(launch, name) for name in _FIELDS}
        seconds = _seconds(launch.requested_at, launch.ready_at)
        self._db.run(_INSERT, **values, image=image, environment=environment, seconds=seconds)

    def get(self, id: str) -> Launch | None:
        row = self._db.row(_GET, key=id)
        return None if row is None else _whole(row)

    def change(self, id: str, **fields: Any) -> None:
        """Set some of outcome, reason, message, log, ready_at, ended_at and stages."""
        unknown = fields.keys() - _CHANGEABLE
        if unknown:
            raise TypeError(f"A launch does not change its {', '.join(sorted(unknown))}.")
        values = dict(fields)
        if "ready_at" in fields:
            values["seconds"] = _seconds(self._db.value(_REQUESTED, key=id), fields["ready_at"])
        self._db.run(_UPDATE.values(values), key=id)

    def of(self, session_id: str, username: str, limit: int = 10) -> list[Launch]:
        """The user's last starts of a session, newest first."""
        rows = self._db.rows(_OF, in_session=session_id, of_user=username, most=limit)
        return [_whole(row) for row in rows]

    def usual(self, revision: Revision | str, username: str | None = None) -> float | None:
        """`usual_of` one revision or id of a revision."""
        id = revision if isinstance(revision, str) else revision.id
        return self.usual_of([id], username).get(id)

    def usual_of(self, revision_ids: Iterable[str], username: str | None = None) -> dict[str, float]:
        """The usual seconds from request to answer, by revision: the median of the last
        20 starts that succeeded of the same digest (of the same revision, when no digest
        is known), all people's or only *username*'s. Fewer than three say nothing."""
        ids = list(dict.fromkeys(revision_ids))
        if username is None:
            rows = self._db.rows(_USUAL, revisions=ids)
        else:
            rows = self._db.rows(_USUAL_MINE, revisions=ids, of_user=username)
        found = {row[0]: [float(part) for part in (row[1] or "").split(",") if part] for row in rows}
        return {id: median(seconds) for id, seconds in found.items() if len(seconds) >= _LEAST}

    def prune(self, before: datetime) -> int:
        """Delete up to 1000 finished launches that were requested before; how many
        were. Ask again until there are none: each transaction stays short."""
        return self._db.run(_DELETE, before=before)


def _whole(row: Sequence[Any]) -> Launch:
    return Launch(**dict(zip(_FIELDS, row, strict=True)))


def _seconds(since: datetime | None, until: datetime | None) -> float | None:
    return None if since is None or until is None else max(0.0, (until - since).total_seconds())
