"""How much ready-made environments are used, by the indexes of revisions, sessions, instances and launches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, and_, bindparam, case, func, select

from ..domain.curation import Usage
from .statements import Statements
from .tables import environments, instances, launches, revisions, sessions

_E, _R, _S, _I, _L = environments.c, revisions.c, sessions.c, instances.c, launches.c
_IDS: BindParameter[list[str]] = bindparam("ids", expanding=True)
_SESSIONS = (
    select(
        _R.environment,
        func.count(_S.project.distinct()),
        func.count(_S.id),
        func.count(case((_S.revision == _E.current_revision, _S.id))),
    )
    .join(sessions, and_(_S.revision == _R.id, _S.deleted_at.is_(None)))
    .join(environments, _E.id == _R.environment)
    .where(_R.environment.in_(_IDS))
    .group_by(_R.environment)
)
_INSTANCES = (
    select(
        _R.environment,
        func.count(case((_I.active, _I.id))),
        func.max(func.coalesce(_I.last_activity, _I.ready_at, _I.requested_at)),
    )
    .join(sessions, _S.revision == _R.id)
    .join(instances, _I.session == _S.id)
    .where(_R.environment.in_(_IDS))
    .group_by(_R.environment)
)


_STARTS = (
    select(_L.environment, func.count(), func.count(case((_L.outcome == "failed", 1))))
    .where(_L.environment.in_(_IDS), _L.requested_at >= bindparam("since"))
    .group_by(_L.environment)
)


class UsageStore:
    def __init__(self, statements: Statements) -> None:
        self._db = statements

    def of(self, environment_ids: Iterable[str], since: datetime) -> dict[str, Usage]:
        """The usage of each, with its starts *since* then, in three statements; what people have in sessions that
        were removed still runs."""
        ids = list(environment_ids)
        sessions = {row[0]: row[1:] for row in self._db.rows(_SESSIONS, ids=ids)}
        instances = {row[0]: row[1:] for row in self._db.rows(_INSTANCES, ids=ids)}
        starts = {row[0]: row[1:] for row in self._db.rows(_STARTS, ids=ids, since=since)}
        return {
            id: _usage(sessions.get(id, (0, 0, 0)), instances.get(id, (0, None)), starts.get(id, (0, 0))) for id in ids
        }


def _usage(of_sessions: Sequence[Any], of_instances: Sequence[Any], of_starts: Sequence[int]) -> Usage:
    projects, sessions, newest = of_sessions
    running, last_used = of_instances
    starts, failed = of_starts
    return Usage(
        projects=projects, sessions=sessions, newest=newest, running=running, starts=starts, failed=failed,
        last_used=last_used,
    )  # fmt: skip
