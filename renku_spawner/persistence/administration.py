"""Queries for administrators over the instances and starts of all users. Each page is one statement.

The audit log is in persistence.audit.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import String, and_, bindparam, case, cast, false, func, or_, select, true, tuple_

from ..domain.administration import (
    EnvironmentLaunchStatistics,
    FailureCount,
    InstanceFilter,
    InstanceRow,
    LaunchDuration,
    summarize_launch_durations,
)
from ..domain.instances import DesiredState, InstanceStatus, ObservedState
from ..domain.text import fold_title
from .columns import UTCDateTime
from .instances import INSTANCE_FIELDS, to_instance
from .search import decode_cursor, encode_cursor, parse_cursor_time
from .statements import StatementRunner
from .tables import environments, instances, launches, projects, sessions

_I, _L, _E, _P, _S = instances.c, launches.c, environments.c, projects.c, sessions.c
MAX_START_SAMPLES = 200  # latest starts of one environment that duration statistics are computed from
_DESIRED_RUNNING, _IS_ACTIVE = DesiredState.RUNNING.value, _I.active == true()
# No index of its own: the index of the sort order is the best one here.
_IS_AT_REST = and_(_I.desired != _DESIRED_RUNNING, _I.observed == ObservedState.ABSENT.value)
_IS_LISTED = _I.listed == true()
# The same condition, written so that databases do not use its index where another one is more selective.
_IS_LISTED_WITHOUT_INDEX = func.coalesce(_I.listed, false()) == true()

# Instances

_SELECT_INSTANCE_ROWS = (
    select(*(_I[name] for name in INSTANCE_FIELDS), _S.title, _S.disk, _P.path)
    .join(sessions, _S.id == _I.session)
    .outerjoin(projects, _P.id == _I.project)
    .order_by(_I.requested_at.desc(), _I.id.desc())
    .limit(bindparam("most"))
)
_AFTER_INSTANCE = tuple_(_I.requested_at, _I.id) < tuple_(bindparam("before", type_=UTCDateTime), bindparam("after_id"))
# The conditions of `Instance.status`, written so that databases use an index.
_STATUS_CONDITIONS = {
    InstanceStatus.UNKNOWN: and_(_IS_ACTIVE, _I.observed == ObservedState.UNKNOWN.value),
    InstanceStatus.RUNNING: and_(_IS_ACTIVE, _I.desired == _DESIRED_RUNNING, _I.observed == ObservedState.READY.value),
    InstanceStatus.LAUNCHING: and_(
        _IS_ACTIVE,
        _I.desired == _DESIRED_RUNNING,
        _I.observed.not_in([ObservedState.READY.value, ObservedState.UNKNOWN.value]),
    ),
    InstanceStatus.STOPPING: and_(
        _IS_ACTIVE, _I.desired != _DESIRED_RUNNING, _I.observed != ObservedState.UNKNOWN.value
    ),
    InstanceStatus.FAILED: and_(_IS_AT_REST, _I.reason.is_not(None)),
    InstanceStatus.PAUSED: and_(_IS_AT_REST, _I.reason.is_(None), _IS_LISTED),
    InstanceStatus.INACTIVE: false(),  # never listed
}
_HAS_OWNER = _I.username == bindparam("owner")
_IS_IN_PROJECT = _I.project.in_(
    select(_P.id).where(
        or_(and_(_P.folded_path == bindparam("path"), _P.deleted_at.is_(None)), _P.id == bindparam("project_id"))
    )
)
_HAS_ENDED_REASON = _I.ended_reason == bindparam("code")
_SELECT_CLAIMS_AFTER = (
    select(_I.claim)
    .where(_I.claim > bindparam("after_claim"), _I.claim.is_not(None))
    .order_by(_I.claim)
    .limit(bindparam("most"))
)
_SELECT_INSTANCE_ROWS_BY_CLAIM = (
    select(*(_I[name] for name in INSTANCE_FIELDS), _S.title, _S.disk, _P.path)
    .join(sessions, _S.id == _I.session)
    .outerjoin(projects, _P.id == _I.project)
    .where(_I.claim.in_(bindparam("claims", expanding=True)))
)

# Starts

_FAILED_OUTCOME = "failed"
_REQUEST_DAY_BY_DIALECT = {
    "sqlite": func.date(_L.requested_at),
    "postgresql": func.to_char(func.timezone("UTC", _L.requested_at), "YYYY-MM-DD"),
}
_SELECT_FAILURES_BY_DIALECT = {
    dialect: select(day.label("day"), _L.reason, func.count())
    .where(_L.outcome == _FAILED_OUTCOME, _L.requested_at >= bindparam("since"))
    .group_by(day, _L.reason)
    for dialect, day in _REQUEST_DAY_BY_DIALECT.items()
}
_START_COUNT = func.count()
_SELECT_ENVIRONMENT_STARTS = (
    select(_L.environment, _START_COUNT, func.sum(case((_L.outcome == _FAILED_OUTCOME, 1), else_=0)))
    .where(_L.environment.is_not(None))
    .group_by(_L.environment)
    .order_by(_START_COUNT.desc(), _L.environment)
    .limit(bindparam("most"))
)
_SELECT_ENVIRONMENT_STARTS_AFTER = _SELECT_ENVIRONMENT_STARTS.having(
    or_(
        bindparam("fewer") > _START_COUNT,
        and_(bindparam("fewer") == _START_COUNT, _L.environment > bindparam("after_id")),
    )
)


def _build_start_samples_statement() -> Any:
    """Build a query for the durations (s) of the latest successful starts of each environment, as JSON text.

    This is the only aggregate over a limited subquery that both databases support and run on the index.
    """
    latest = (
        select(_L.seconds, _L.stages)
        .where(_L.environment == _E.id, _L.seconds.is_not(None))
        .order_by(_L.requested_at.desc())
        .limit(MAX_START_SAMPLES)
        .correlate(environments)
        .subquery()
    )
    sample = "[" + cast(latest.c.seconds, String) + "," + func.coalesce(cast(latest.c.stages, String), "null") + "]"
    joined = select(func.aggregate_strings(sample, ",")).scalar_subquery()
    return select(_E.id, _E.name, _E.kind, joined).where(_E.id.in_(bindparam("environments", expanding=True)))


_SELECT_START_SAMPLES = _build_start_samples_statement()


class AdministrationStore:
    def __init__(self, statements: StatementRunner) -> None:
        self._db = statements

    def list_instances(
        self, asked: InstanceFilter, *, after: str | None, limit: int
    ) -> tuple[list[InstanceRow], str | None]:
        """Return one page of instances of all users that are not inactive, latest start first, and the next cursor.

        Raises:
            InvalidInputError: *after* is not a cursor of an earlier page.
        """
        statement, values = (
            _build_instance_rows_statement(asked),
            _build_instance_filter_values(asked) | {"most": limit + 1},
        )
        if after is not None:
            when, values["after_id"] = decode_cursor(after, str, str)
            values["before"] = parse_cursor_time(when)
            statement = statement.where(_AFTER_INSTANCE)
        rows = [_build_instance_row(row) for row in self._db.fetch_all(statement, **values)]
        last = rows[limit - 1].instance if len(rows) > limit else None
        # An instance that is not inactive was started, so it has a time.
        following = encode_cursor(last.requested_at.isoformat(), last.id) if last and last.requested_at else None
        return rows[:limit], following

    def list_claims_after(self, claim: str, limit: int) -> list[str]:
        """Return the claims on record that come after *claim*, in order; from the first if it is empty."""
        return [row[0] for row in self._db.fetch_all(_SELECT_CLAIMS_AFTER, after_claim=claim, most=limit)]

    def get_instances_by_claim(self, claims: Iterable[str]) -> dict[str, InstanceRow]:
        """Return the instances that have these claims, by claim."""
        rows = map(_build_instance_row, self._db.fetch_all(_SELECT_INSTANCE_ROWS_BY_CLAIM, claims=list(claims)))
        return {row.instance.claim or "": row for row in rows}

    def count_failures(self, since: datetime) -> list[FailureCount]:
        """Count the starts that failed since *since*, by reason and day (UTC) of the request."""
        rows = self._db.fetch_all(_SELECT_FAILURES_BY_DIALECT[self._db.dialect], since=since)
        return [FailureCount(day=date.fromisoformat(day), reason=reason or "", count=n) for day, reason, n in rows]

    def list_environment_starts(
        self, *, after: str | None, limit: int
    ) -> tuple[list[EnvironmentLaunchStatistics], str | None]:
        """Return one page of environments with recorded starts, most starts first, and the cursor of the next page.

        Raises:
            InvalidInputError: *after* is not a cursor of an earlier page.
        """
        values: dict[str, Any] = {"most": limit + 1}
        if after is not None:
            values["fewer"], values["after_id"] = decode_cursor(after, int, str)
        counted = self._db.fetch_all(
            _SELECT_ENVIRONMENT_STARTS if after is None else _SELECT_ENVIRONMENT_STARTS_AFTER, **values
        )
        shown = counted[:limit]
        times = {
            row[0]: row[1:] for row in self._db.fetch_all(_SELECT_START_SAMPLES, environments=[row[0] for row in shown])
        }
        page = [_to_environment_starts(row, *times[row[0]]) for row in shown if row[0] in times]
        return page, encode_cursor(shown[-1][1], shown[-1][0]) if len(counted) > limit else None


def _build_instance_rows_statement(asked: InstanceFilter) -> Any:
    """Build the statement for one combination of filters, written so that the database uses the best index."""
    statement = _SELECT_INSTANCE_ROWS
    if asked.status is not None:
        statement = statement.where(_STATUS_CONDITIONS[asked.status])
    else:
        statement = statement.where(_IS_LISTED_WITHOUT_INDEX if asked.reason else _IS_LISTED)
    for value, condition in (
        (asked.owner, _HAS_OWNER),
        (asked.project, _IS_IN_PROJECT),
        (asked.reason, _HAS_ENDED_REASON),
    ):
        statement = statement.where(condition) if value else statement
    return statement


def _build_instance_filter_values(asked: InstanceFilter) -> dict[str, Any]:
    values: dict[str, Any] = {"owner": asked.owner} if asked.owner else {}
    values |= {"path": fold_title(asked.project), "project_id": asked.project} if asked.project else {}
    return values | ({"code": asked.reason} if asked.reason else {})


def _build_instance_row(row: Sequence[Any]) -> InstanceRow:
    *stored, title, disk, path = row
    return InstanceRow(instance=to_instance(stored), title=title, disk=disk, project_path=path)


def _to_environment_starts(
    counted: Sequence[Any], name: str, kind: str, times: str | None
) -> EnvironmentLaunchStatistics:
    samples = [LaunchDuration(seconds=seconds, stages=stages) for seconds, stages in json.loads(f"[{times or ''}]")]
    total, parts = summarize_launch_durations(samples)
    environment, starts, failed = counted
    return EnvironmentLaunchStatistics(
        environment=environment, name=name, kind=kind, starts=starts, failed=int(failed), whole=total, stages=parts
    )
