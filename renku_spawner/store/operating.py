"""What operators ask: everybody's instances and starts. A page is one statement, however much is stored."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import String, and_, bindparam, case, cast, false, func, or_, select, true, tuple_

from ..domain.instance import Desired, Observed, Status
from ..domain.operating import EnvironmentStarts, FailureCount, InstanceFilter, InstanceRow, Sample, spreads
from ..domain.text import folded
from .instances import FIELDS, whole
from .search import cursor, moment, place
from .statements import Statements
from .tables import environments, instances, launches, projects, sessions
from .types import UTCDateTime

_I, _L, _E, _P, _S = instances.c, launches.c, environments.c, projects.c, sessions.c
SAMPLES = 200  # starts of one environment that are looked at for how long they take
_RUNNING, _ACTIVE = Desired.RUNNING.value, _I.active == true()
_AT_REST = and_(
    _I.desired != _RUNNING, _I.observed == Observed.ABSENT.value
)  # no index is better than that of the order
_LISTED = _I.listed == true()
# The same, where another index finds less than that of all that are listed.
_LISTED_TOO = func.coalesce(_I.listed, false()) == true()

# ---- instances -------------------------------------------------------------------------------------

_PAGE = (
    select(*(_I[name] for name in FIELDS), _S.title, _S.disk, _P.path)
    .join(sessions, _S.id == _I.session)
    .outerjoin(projects, _P.id == _I.project)
    .order_by(_I.requested_at.desc(), _I.id.desc())
    .limit(bindparam("most"))
)
_AFTER = tuple_(_I.requested_at, _I.id) < tuple_(bindparam("before", type_=UTCDateTime), bindparam("after_id"))
# The same as `Instance.status` says, in words that find an index.
_WITH_STATUS = {
    Status.UNKNOWN: and_(_ACTIVE, _I.observed == Observed.UNKNOWN.value),
    Status.RUNNING: and_(_ACTIVE, _I.desired == _RUNNING, _I.observed == Observed.READY.value),
    Status.LAUNCHING: and_(
        _ACTIVE, _I.desired == _RUNNING, _I.observed.not_in([Observed.READY.value, Observed.UNKNOWN.value])
    ),
    Status.STOPPING: and_(_ACTIVE, _I.desired != _RUNNING, _I.observed != Observed.UNKNOWN.value),
    Status.FAILED: and_(_AT_REST, _I.reason.is_not(None)),
    Status.PAUSED: and_(_AT_REST, _I.reason.is_(None), _LISTED),
    Status.INACTIVE: false(),  # of which nothing is there
}
_OF_OWNER = _I.username == bindparam("owner")
_IN_PROJECT = _I.project.in_(
    select(_P.id).where(
        or_(and_(_P.folded_path == bindparam("path"), _P.deleted_at.is_(None)), _P.id == bindparam("project_id"))
    )
)
_ENDED_SO = _I.ended_reason == bindparam("code")
_CLAIMS = (
    select(_I.claim)
    .where(_I.claim > bindparam("after_claim"), _I.claim.is_not(None))
    .order_by(_I.claim)
    .limit(bindparam("most"))
)
_OF_CLAIMS = (
    select(*(_I[name] for name in FIELDS), _S.title, _S.disk, _P.path)
    .join(sessions, _S.id == _I.session)
    .outerjoin(projects, _P.id == _I.project)
    .where(_I.claim.in_(bindparam("claims", expanding=True)))
)

# ---- starts ----------------------------------------------------------------------------------------

_FAILED = "failed"
_DAYS = {
    "sqlite": func.date(_L.requested_at),
    "postgresql": func.to_char(func.timezone("UTC", _L.requested_at), "YYYY-MM-DD"),
}
_FAILURES = {
    dialect: select(day.label("day"), _L.reason, func.count())
    .where(_L.outcome == _FAILED, _L.requested_at >= bindparam("since"))
    .group_by(day, _L.reason)
    for dialect, day in _DAYS.items()
}
_COUNT = func.count()
_STARTS = (
    select(_L.environment, _COUNT, func.sum(case((_L.outcome == _FAILED, 1), else_=0)))
    .where(_L.environment.is_not(None))
    .group_by(_L.environment)
    .order_by(_COUNT.desc(), _L.environment)
    .limit(bindparam("most"))
)
_STARTS_AFTER = _STARTS.having(
    or_(bindparam("fewer") > _COUNT, and_(bindparam("fewer") == _COUNT, _L.environment > bindparam("after_id")))
)


def _samples() -> Any:
    """For each environment the times of its latest good starts, as one text of JSON: the only
    aggregate with a limit inside that both databases have and walk by the index."""
    latest = (
        select(_L.seconds, _L.stages)
        .where(_L.environment == _E.id, _L.seconds.is_not(None))
        .order_by(_L.requested_at.desc())
        .limit(SAMPLES)
        .correlate(environments)
        .subquery()
    )
    each = "[" + cast(latest.c.seconds, String) + "," + func.coalesce(cast(latest.c.stages, String), "null") + "]"
    joined = select(func.aggregate_strings(each, ",")).scalar_subquery()
    return select(_E.id, _E.name, _E.kind, joined).where(_E.id.in_(bindparam("environments", expanding=True)))


_TIMES = _samples()


class OperatingStore:
    def __init__(self, statements: Statements) -> None:
        self._db = statements

    def instances(
        self, asked: InstanceFilter, *, after: str | None, limit: int
    ) -> tuple[list[InstanceRow], str | None]:
        """One page of everybody's that are not inactive, the latest started first, and where the next begins.

        Raises:
            Invalid: *after* is nothing that a page has offered.
        """
        statement, values = _page(asked), _values(asked) | {"most": limit + 1}
        if after is not None:
            when, values["after_id"] = place(after, str, str)
            values["before"] = moment(when)
            statement = statement.where(_AFTER)
        rows = [_row(row) for row in self._db.rows(statement, **values)]
        last = rows[limit - 1].instance if len(rows) > limit else None
        # What is not inactive was started once, so that there is a time.
        following = cursor(last.requested_at.isoformat(), last.id) if last and last.requested_at else None
        return rows[:limit], following

    def claims_after(self, claim: str, limit: int) -> list[str]:
        """The ids of claims on record that come after that one, in order; from the first if it is empty."""
        return [row[0] for row in self._db.rows(_CLAIMS, after_claim=claim, most=limit)]

    def of_claims(self, claims: Iterable[str]) -> dict[str, InstanceRow]:
        """The instances that have these claims, by claim."""
        rows = map(_row, self._db.rows(_OF_CLAIMS, claims=list(claims)))
        return {row.instance.claim or "": row for row in rows}

    def failures(self, since: datetime) -> list[FailureCount]:
        """How many starts failed since then, by day of the request and reason."""
        rows = self._db.rows(_FAILURES[self._db.dialect], since=since)
        return [FailureCount(day=date.fromisoformat(day), reason=reason or "", count=n) for day, reason, n in rows]

    def starts(self, *, after: str | None, limit: int) -> tuple[list[EnvironmentStarts], str | None]:
        """One page of environments with starts on record, those with the most first, and where the next begins.

        Raises:
            Invalid: *after* is nothing that a page has offered.
        """
        values: dict[str, Any] = {"most": limit + 1}
        if after is not None:
            values["fewer"], values["after_id"] = place(after, int, str)
        counted = self._db.rows(_STARTS if after is None else _STARTS_AFTER, **values)
        shown = counted[:limit]
        times = {row[0]: row[1:] for row in self._db.rows(_TIMES, environments=[row[0] for row in shown])}
        found = [_starts(row, *times[row[0]]) for row in shown if row[0] in times]
        return found, cursor(shown[-1][1], shown[-1][0]) if len(counted) > limit else None


def _page(asked: InstanceFilter) -> Any:
    """Databases choose an index by what is asked of them: each filter asks for its own."""
    found = _PAGE
    if asked.status is not None:
        found = found.where(_WITH_STATUS[asked.status])
    else:
        found = found.where(_LISTED_TOO if asked.reason else _LISTED)
    for said, condition in ((asked.owner, _OF_OWNER), (asked.project, _IN_PROJECT), (asked.reason, _ENDED_SO)):
        found = found.where(condition) if said else found
    return found


def _values(asked: InstanceFilter) -> dict[str, Any]:
    values: dict[str, Any] = {"owner": asked.owner} if asked.owner else {}
    values |= {"path": folded(asked.project), "project_id": asked.project} if asked.project else {}
    return values | ({"code": asked.reason} if asked.reason else {})


def _row(row: Sequence[Any]) -> InstanceRow:
    *stored, title, disk, path = row
    return InstanceRow(instance=whole(stored), title=title, disk=disk, project_path=path)


def _starts(counted: Sequence[Any], name: str, kind: str, times: str | None) -> EnvironmentStarts:
    samples = [Sample(seconds=seconds, stages=stages) for seconds, stages in json.loads(f"[{times or ''}]")]
    total, parts = spreads(samples)
    environment, starts, failed = counted
    return EnvironmentStarts(
        environment=environment, name=name, kind=kind, starts=starts, failed=int(failed), whole=total, stages=parts
    )
