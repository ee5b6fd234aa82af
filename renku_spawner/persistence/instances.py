"""Read and write instances with optimistic locking, and query them by owner, idle check, expiry and queue turn.

Also stores the launch history and the last runs of periodic jobs.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from functools import lru_cache
from statistics import median
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Integer,
    Select,
    String,
    and_,
    bindparam,
    case,
    cast,
    delete,
    func,
    insert,
    or_,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from ..domain.environments import Revision
from ..domain.ids import create_id
from ..domain.instances import (
    STAGE_LABELS,
    DesiredState,
    Instance,
    InstanceSort,
    InstanceStatus,
    Launch,
    ObservedState,
    OwnedInstancesSummary,
    resolve_instance_status,
)
from ..domain.sessions import Session
from .columns import UTCDateTime
from .search import build_no_such_page_error, decode_cursor, encode_cursor, parse_cursor_time
from .statements import ConcurrentUpdate, StatementRunner
from .tables import instances, launches, revisions, rounds, sessions

_I = instances.c
INSTANCE_FIELDS = tuple(field.name for field in fields(Instance))
_IMMUTABLE_INSTANCE_FIELDS = {"id", "session", "username", "project", "generation"}
_TUPLE_INSTANCE_FIELDS = ("notices", "without_storages", "failed_storages")
_SELECT_INSTANCES = select(*(_I[name] for name in INSTANCE_FIELDS))
_INSTANCE_SESSION: BindParameter[str] = bindparam("in_session")
_INSTANCE_USER: BindParameter[str] = bindparam("of_user")
_SELECT_INSTANCE = _SELECT_INSTANCES.where(_I.session == _INSTANCE_SESSION, _I.username == _INSTANCE_USER)
_SELECT_INSTANCE_IN_SLOT = _SELECT_INSTANCES.where(_I.username == _INSTANCE_USER, _I.slot == bindparam("in_slot"))
_SELECT_USER_INSTANCES_OF_SESSIONS = _SELECT_INSTANCES.where(
    _I.session.in_(bindparam("sessions", expanding=True)), _I.username == _INSTANCE_USER
)
# Selects more than the requested pairs, which are filtered later: databases do not look pairs up by an index.
_SELECT_INSTANCES_BY_KEYS = _SELECT_INSTANCES.where(
    _I.session.in_(bindparam("sessions", expanding=True)), _I.username.in_(bindparam("users", expanding=True))
)
# The user name is in both branches, so that each branch uses its own index.
_SELECT_INSTANCES_ON_PROJECT_PAGE = _SELECT_INSTANCES.where(
    or_(
        and_(_I.session.in_(bindparam("sessions", expanding=True)), _I.username == _INSTANCE_USER),
        and_(_I.active == true(), _I.username == _INSTANCE_USER, _I.project == bindparam("in_project")),
    )
)
_SELECT_USER_INSTANCES = (
    _SELECT_INSTANCES.where(_I.username == _INSTANCE_USER, _I.listed == true())
    .order_by(_I.requested_at.desc(), _I.id.desc())
    .limit(bindparam("most"))
)
_SELECT_USER_INSTANCES_AFTER = _SELECT_USER_INSTANCES.where(
    tuple_(_I.requested_at, _I.id) < tuple_(bindparam("before", type_=UTCDateTime), bindparam("after_id"))
)
_SELECT_ACTIVE_INSTANCES = _SELECT_INSTANCES.where(_I.active == true()).order_by(_I.username, _I.id)
_SELECT_ACTIVE_INSTANCES_AFTER = _SELECT_ACTIVE_INSTANCES.where(
    tuple_(_I.username, _I.id) > tuple_(bindparam("after_user"), bindparam("after_id"))
)
_SELECT_INSTANCES_PENDING_DELETION = _SELECT_INSTANCES.where(
    _I.desired == DesiredState.DELETED, _I.claim.is_not(None)
).order_by(_I.username, _I.id)
# Not `== RUNNING`: SQLite would use the index on `desired` and read every instance that ever ran.
_IS_RUNNING_OF_USER = and_(
    _I.active == true(), _I.username == _INSTANCE_USER, _I.desired.not_in([DesiredState.STOPPED, DesiredState.DELETED])
)
_IS_KEPT_BY_USER = and_(_I.username == _INSTANCE_USER, or_(_I.claim.is_not(None), _I.turn.is_not(None)))
_SELECT_RUNNING_OF_USER, _SELECT_KEPT_BY_USER = (
    _SELECT_INSTANCES.where(which).order_by(_I.requested_at, _I.id) for which in (_IS_RUNNING_OF_USER, _IS_KEPT_BY_USER)
)
_COUNT_RUNNING_OF_USER, _COUNT_KEPT_BY_USER = (
    select(func.count()).select_from(instances).where(which) for which in (_IS_RUNNING_OF_USER, _IS_KEPT_BY_USER)
)
_COUNT_INSTANCES_BY_STATUS = select(
    _I.desired, _I.observed, _I.reason.is_not(None), _I.claim.is_not(None), func.count()
).group_by(_I.desired, _I.observed, _I.reason.is_not(None), _I.claim.is_not(None))  # fmt: skip
_SELECT_OTHER_USERS_DATA_IN_SESSION = (
    select(_I.id).where(_I.session == _INSTANCE_SESSION, _I.username != _INSTANCE_USER, _I.claim.is_not(None)).limit(1)
)
_SELECT_OTHER_USERS_DATA_IN_PROJECT = (
    select(_I.id)
    .where(_I.project == bindparam("in_project"), _I.username != _INSTANCE_USER, _I.claim.is_not(None))
    .limit(1)
)
_SAVE_INSTANCE = (
    update(instances)
    .where(_I.id == bindparam("key"), _I.generation == bindparam("seen"))
    .values({name: bindparam(f"new_{name}") for name in INSTANCE_FIELDS if name not in _IMMUTABLE_INSTANCE_FIELDS})
    .values(active=bindparam("new_active"), listed=bindparam("new_listed"), generation=_I.generation + 1)
)
_UPDATE_LAST_ACTIVITY = (
    update(instances)
    .where(_I.session == _INSTANCE_SESSION, _I.username == _INSTANCE_USER)
    .where(or_(_I.last_activity.is_(None), _I.last_activity < bindparam("at")))
    .values(last_activity=bindparam("at"))
)
# A parallel insert of the same instance is fine: the row is read afterwards.
_INSERT_INSTANCE_BY_DIALECT = {
    "sqlite": sqlite.insert(instances).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(instances).on_conflict_do_nothing(),
}

# Waits at most `lock_timeout`: https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
_SELECT_USER_LOCK = select(func.pg_advisory_xact_lock(bindparam("key", type_=BigInteger)))


class InstanceStore:
    def __init__(self, statements: StatementRunner) -> None:
        self._db = statements

    def get(self, session_id: str, username: str) -> Instance | None:
        return _to_instance_or_none(self._db.fetch_one(_SELECT_INSTANCE, in_session=session_id, of_user=username))

    def list_for_user(
        self, username: str, *, after: str | None = None, limit: int = 20
    ) -> tuple[list[Instance], str | None]:
        """Return one page of instances that are not inactive, latest start first, and the cursor of the next page.

        Raises:
            InvalidInputError: *after* is not a cursor of an earlier page.
        """
        values: dict[str, Any] = {"of_user": username, "most": limit + 1}
        if after is not None:
            when, values["after_id"] = decode_cursor(after, str, str)
            values["before"] = parse_cursor_time(when)
        rows = self._db.fetch_all(_SELECT_USER_INSTANCES if after is None else _SELECT_USER_INSTANCES_AFTER, **values)
        page = [to_instance(row) for row in rows[:limit]]
        last = page[-1] if len(rows) > limit else None
        # An instance that is not inactive was started, so it has a time.
        following = encode_cursor(last.requested_at.isoformat(), last.id) if last and last.requested_at else None
        return page, following

    def get_for_sessions(self, username: str, session_ids: Iterable[str]) -> dict[str, Instance]:
        """Return the user's instances of these sessions, by session id."""
        rows = self._db.fetch_all(_SELECT_USER_INSTANCES_OF_SESSIONS, sessions=list(session_ids), of_user=username)
        return {instance.session: instance for instance in map(to_instance, rows)}

    def get_many(self, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Instance]:
        """Return the instances of these (user name, session id) pairs; pairs without an instance are left out."""
        wanted = set(pairs)
        users, sessions = ({pair[place] for pair in wanted} for place in (0, 1))
        candidates = map(
            to_instance, self._db.fetch_all(_SELECT_INSTANCES_BY_KEYS, users=sorted(users), sessions=sorted(sessions))
        )
        return {pair: instance for instance in candidates if (pair := (instance.username, instance.session)) in wanted}

    def get_for_project_page(self, username: str, project_id: str, session_ids: Iterable[str]) -> dict[str, Instance]:
        """Return the user's instances of these sessions and all active ones in the project, by session id."""
        rows = self._db.fetch_all(
            _SELECT_INSTANCES_ON_PROJECT_PAGE, sessions=list(session_ids), in_project=project_id, of_user=username
        )
        return {instance.session: instance for instance in map(to_instance, rows)}

    def get_or_create(self, session: Session, username: str, *, now: datetime) -> Instance:
        """Return the user's instance of *session*; create an inactive one if there is none.

        Concurrent calls get the same instance.
        """
        existing = self.get(session.id, username)
        if existing is not None:  # an editor may have moved the session to another environment since it was created
            return existing if existing.is_active else replace(existing, environment=session.environment.id)
        new = Instance(
            id=create_id(),
            session=session.id,
            username=username,
            project=session.project,
            environment=session.environment.id,
            last_seen=now,
        )
        fixed = {name: getattr(new, name) for name in _IMMUTABLE_INSTANCE_FIELDS}
        insertion = _INSERT_INSTANCE_BY_DIALECT[self._db.dialect]
        is_inserted = self._db.execute(insertion, **fixed, **_to_instance_columns(new)) == 1
        return new if is_inserted else self.get(session.id, username) or new

    def save(self, old: Instance, new: Instance) -> Instance:
        """Replace *old* with *new*, and return it with the next generation.

        Raises:
            ConcurrentUpdate: the stored instance is no longer *old*.
            UniqueConflict: `slot`; another session of the same environment is active.
        """
        values = {f"new_{name}": value for name, value in _to_instance_columns(new).items()}
        if not self._db.execute(_SAVE_INSTANCE, key=old.id, seen=old.generation, **values):
            raise ConcurrentUpdate
        return replace(new, generation=old.generation + 1)

    def find_in_slot(self, username: str, slot: str) -> Instance | None:
        return _to_instance_or_none(self._db.fetch_one(_SELECT_INSTANCE_IN_SLOT, of_user=username, in_slot=slot))

    def list_active(self) -> list[Instance]:
        """Return the launching, running, stopping and unknown instances of all users."""
        return [to_instance(row) for row in self._db.fetch_all(_SELECT_ACTIVE_INSTANCES)]

    def list_active_after(self, last: Instance | None, limit: int) -> list[Instance]:
        """Return one page of `list_active`: the instances after *last*, or the first page if it is None."""
        after = {"after_user": last.username, "after_id": last.id} if last else {"after_user": "", "after_id": ""}
        return [to_instance(row) for row in self._db.fetch_all(_SELECT_ACTIVE_INSTANCES_AFTER.limit(limit), **after)]

    def list_pending_deletion(self) -> list[Instance]:
        """Return the instances of all users whose data is to be deleted and is not known to be gone."""
        return [to_instance(row) for row in self._db.fetch_all(_SELECT_INSTANCES_PENDING_DELETION)]

    def lock_user(self, username: str) -> None:
        """Hold a lock for this user until the transaction ends, so that parallel starts are counted one by one.

        On SQLite a write transaction already locks the whole database.

        Raises:
            DatabaseBusy: another transaction holds the lock.
        """
        if self._db.dialect == "postgresql":
            self._db.fetch_value(_SELECT_USER_LOCK, key=_compute_user_lock_key(username))

    def list_running(self, username: str) -> list[Instance]:
        """Return the user's running, starting and queued instances, oldest request first.

        Stopping instances are left out: they already make room.
        """
        return [to_instance(row) for row in self._db.fetch_all(_SELECT_RUNNING_OF_USER, of_user=username)]

    def list_kept(self, username: str) -> list[Instance]:
        """Return the user's instances that have a volume or are queued to get one, oldest request first."""
        return [to_instance(row) for row in self._db.fetch_all(_SELECT_KEPT_BY_USER, of_user=username)]

    def count_running(self, username: str) -> int:
        """Return the number of instances in `list_running`."""
        return int(self._db.fetch_value(_COUNT_RUNNING_OF_USER, of_user=username))

    def count_kept(self, username: str) -> int:
        """Return the number of instances in `list_kept`."""
        return int(self._db.fetch_value(_COUNT_KEPT_BY_USER, of_user=username))

    def count_by_status(self) -> dict[InstanceStatus, int]:
        """Return the number of instances of all users by status."""
        counts: Counter[InstanceStatus] = Counter()
        for desired, observed, reason, claim, count in self._db.fetch_all(_COUNT_INSTANCES_BY_STATUS):
            counts[
                resolve_instance_status(
                    DesiredState(desired), ObservedState(observed), failed=bool(reason), kept=bool(claim)
                )
            ] += count
        return dict(counts)

    def has_data_of_others(self, session_id: str, username: str) -> bool:
        """Return whether a user other than *username* has a volume of this session; no details, for privacy."""
        return (
            self._db.fetch_one(_SELECT_OTHER_USERS_DATA_IN_SESSION, in_session=session_id, of_user=username) is not None
        )

    def has_project_data_of_others(self, project_id: str, username: str) -> bool:
        """Return whether a user other than *username* has data in one of the project's sessions."""
        return (
            self._db.fetch_one(_SELECT_OTHER_USERS_DATA_IN_PROJECT, in_project=project_id, of_user=username) is not None
        )

    def update_last_activity(self, session_id: str, username: str, last_activity: datetime) -> None:
        """Move the last activity forward, never back. The generation stays, since this is no state transition."""
        self._db.execute(_UPDATE_LAST_ACTIVITY, in_session=session_id, of_user=username, at=last_activity)


def _compute_user_lock_key(username: str) -> int:
    """Return the signed 64-bit key of the PostgreSQL advisory lock for a user's starts."""
    digest = hashlib.sha256(b"renku_instances " + username.encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def to_instance(row: Sequence[Any]) -> Instance:
    values = dict(zip(INSTANCE_FIELDS, row, strict=True))
    values["desired"] = DesiredState(values["desired"])
    values["observed"] = ObservedState(values["observed"])
    values["warned"] = values["warned"] or 0
    for name in _TUPLE_INSTANCE_FIELDS:
        values[name] = tuple(values[name] or ())
    return Instance(**values)


def _to_instance_or_none(row: Sequence[Any] | None) -> Instance | None:
    return None if row is None else to_instance(row)


def _to_instance_columns(instance: Instance) -> dict[str, Any]:
    """Return the columns that a state transition changes, including the derived ones."""
    values = {name: getattr(instance, name) for name in INSTANCE_FIELDS if name not in _IMMUTABLE_INSTANCE_FIELDS}
    return {
        **values,
        "desired": instance.desired.value,
        "observed": instance.observed.value,
        "notices": [dict(notice) for notice in instance.notices],
        "warned": instance.warned or None,
        "without_storages": list(instance.without_storages) or None,
        "failed_storages": list(instance.failed_storages) or None,
        "active": instance.is_active,
        "listed": instance.status is not InstanceStatus.INACTIVE,
    }


_DUE_CHECK_TIME = bindparam("now", type_=UTCDateTime)
_SELECT_INSTANCES_DUE_FOR_IDLE_CHECK = (
    select(*(_I[name] for name in INSTANCE_FIELDS))
    .where(_I.due_at <= _DUE_CHECK_TIME)
    .order_by(_I.due_at, _I.id)
    .limit(bindparam("most"))
)
# A concurrent update has set a new due time itself, so skip rows of another generation.
_UPDATE_NEXT_IDLE_CHECK = (
    update(instances)
    .where(_I.id == bindparam("key"), _I.generation == bindparam("seen"))
    .values(due_at=bindparam("at", type_=UTCDateTime))
)
_SELECT_IDS_NOT_YET_DUE = (
    select(_I.id)
    .where(_I.active == true(), or_(_I.due_at.is_(None), _I.due_at > _DUE_CHECK_TIME))
    .limit(bindparam("most"))
)
_MAKE_IDLE_CHECKS_DUE = update(instances).where(_I.id.in_(_SELECT_IDS_NOT_YET_DUE)).values(due_at=_DUE_CHECK_TIME)

_UPDATE_REPORTED_USAGE = (
    update(instances)
    .where(_I.session == bindparam("in_session"), _I.username == bindparam("of_user"))
    .values(
        reported_at=_DUE_CHECK_TIME,
        disk_used=func.coalesce(bindparam("disk", type_=BigInteger), _I.disk_used),
        disk_used_at=case((bindparam("disk", type_=BigInteger).is_(None), _I.disk_used_at), else_=_DUE_CHECK_TIME),
    )
)
# Only ready instances count: a start or stop is no use by its owner, and "never used" means that it holds no work.
_UPDATE_LAST_USE = (
    update(instances)
    .where(_I.session == bindparam("in_session"), _I.username == bindparam("of_user"))
    .where(_I.observed == ObservedState.READY, or_(_I.last_activity.is_(None), _I.last_activity < bindparam("at")))
    .values(last_activity=bindparam("at", type_=UTCDateTime))
)


class IdleCheckStore:
    def __init__(self, statements: StatementRunner) -> None:
        self._db = statements

    def list_due(self, now: datetime, limit: int) -> list[Instance]:
        """Return the instances that are due for an idle check at *now*, the longest due first."""
        return [
            to_instance(row) for row in self._db.fetch_all(_SELECT_INSTANCES_DUE_FOR_IDLE_CHECK, now=now, most=limit)
        ]

    def schedule_next_checks(self, to: Iterable[tuple[Instance, datetime | None]]) -> None:
        """Set when these instances are checked next; None for not again until their state changes.

        The generation stays, since this is no state transition.
        """
        rows = [{"key": instance.id, "seen": instance.generation, "at": at} for instance, at in to]
        self._db.execute_many(_UPDATE_NEXT_IDLE_CHECK, rows)

    def record_report(self, session_id: str, username: str, now: datetime, disk_used: int | None) -> None:
        """Record a report of the instance's own server. If *disk_used* (bytes) is None, the stored size stays."""
        self._db.execute(_UPDATE_REPORTED_USAGE, in_session=session_id, of_user=username, now=now, disk=disk_used)

    def make_more_due(self, now: datetime, limit: int) -> int:
        """Make up to *limit* active instances that are not due yet due at *now*; return how many were changed."""
        return self._db.execute(_MAKE_IDLE_CHECKS_DUE, now=now, most=limit)

    def record_use(self, keys: Iterable[tuple[str, str]], at: datetime) -> None:
        """Move the last activity of ready instances forward, by (user name, session id).

        The generation stays, since this is no state transition.
        """
        self._db.execute_many(
            _UPDATE_LAST_USE, [{"in_session": name, "of_user": user, "at": at} for user, name in keys]
        )


_I, _ROUND_COLUMNS = instances.c, rounds.c
_SELECT_LIMITED_INSTANCES = select(*(_I[name] for name in INSTANCE_FIELDS)).limit(bindparam("most"))
_SELECT_INSTANCES_DUE_FOR_EXPIRY = _SELECT_LIMITED_INSTANCES.where(
    _I.look_at.is_not(None), _I.look_at <= bindparam("now")
).order_by(_I.look_at, _I.id)
_SELECT_ANNOUNCED_INSTANCES = _SELECT_LIMITED_INSTANCES.where(_I.warned > 0, _I.id > bindparam("after")).order_by(_I.id)
_SELECT_INSTANCES_WITH_DATA = _SELECT_LIMITED_INSTANCES.where(
    _I.claim.is_not(None), _I.claim > bindparam("after")
).order_by(_I.claim)
_EXPIRY_DATE_FIELDS = ("kept_from", "deleted_on", "warned", "trashed_until", "look_at")
_UPDATE_EXPIRY_DATES = (
    update(instances)
    .where(_I.id == bindparam("key"), _I.generation == bindparam("seen"))
    .values({name: bindparam(f"new_{name}") for name in _EXPIRY_DATE_FIELDS})
    .values(generation=_I.generation + 1)
)
_SELECT_JOB_RUN = select(_ROUND_COLUMNS.at, _ROUND_COLUMNS.said).where(_ROUND_COLUMNS.name == bindparam("of"))
_INSERT_JOB_RUN = insert(rounds)
_UPDATE_JOB_RUN = (
    update(rounds).where(_ROUND_COLUMNS.name == bindparam("of")).values(at=bindparam("when"), said=bindparam("what"))
)


class ExpiryStore:
    def __init__(self, statements: StatementRunner) -> None:
        self._db = statements

    def list_due(self, now: datetime, limit: int) -> list[Instance]:
        """Return the instances with an expiry step due, the longest overdue first."""
        return [to_instance(row) for row in self._db.fetch_all(_SELECT_INSTANCES_DUE_FOR_EXPIRY, now=now, most=limit)]

    def list_announced(self, after: str, limit: int) -> list[Instance]:
        """Return one page, by id, of the instances whose deletion was announced to their owners."""
        return [to_instance(row) for row in self._db.fetch_all(_SELECT_ANNOUNCED_INSTANCES, after=after, most=limit)]

    def list_with_data(self, after: str, limit: int) -> list[Instance]:
        """Return one page, by claim, of the instances that have data."""
        return [to_instance(row) for row in self._db.fetch_all(_SELECT_INSTANCES_WITH_DATA, after=after, most=limit)]

    def update_dates(self, changed: Sequence[tuple[Instance, Instance]]) -> None:
        """Store the new dates of these (old, new) pairs; skip instances that were changed in the meantime."""
        self._db.execute_many(
            _UPDATE_EXPIRY_DATES,
            [
                {"key": old.id, "seen": old.generation}
                | {f"new_{name}": getattr(new, name) or None for name in _EXPIRY_DATE_FIELDS}
                for old, new in changed
            ],
        )

    def get_last_job_run(self, name: str) -> tuple[datetime | None, str]:
        """Return when the periodic job last succeeded, and the note that it left."""
        row = self._db.fetch_one(_SELECT_JOB_RUN, of=name)
        return (row[0], row[1]) if row else (None, "")

    def record_job_run(self, name: str, at: datetime, note: str) -> None:
        """Record that the periodic job succeeded at *at*, with a note in *note*."""
        if not self._db.execute(_UPDATE_JOB_RUN, of=name, when=at, what=note):
            self._db.execute(_INSERT_JOB_RUN, name=name, at=at, said=note)


_L, _REVISION_COLUMNS = launches.c, revisions.c
_LAUNCH_FIELDS = tuple(field.name for field in fields(Launch))
_SELECT_LAUNCHES = select(*(_L[name] for name in _LAUNCH_FIELDS))
_SELECT_LAUNCH_BY_ID = _SELECT_LAUNCHES.where(_L.id == bindparam("key"))
_SELECT_SESSION_LAUNCHES = (
    _SELECT_LAUNCHES.where(_L.session == bindparam("in_session"), _L.username == bindparam("of_user"))
    .order_by(_L.requested_at.desc(), _L.id)
    .limit(bindparam("most"))
)
_INSERT_LAUNCH = insert(launches)
_SELECT_REVISION_IMAGE = select(
    func.coalesce(_REVISION_COLUMNS.digest, _REVISION_COLUMNS.id), _REVISION_COLUMNS.environment
).where(_REVISION_COLUMNS.id == bindparam("key"))
_UPDATE_LAUNCH = update(launches).where(_L.id == bindparam("key"))
_SELECT_LAUNCH_REQUEST_TIME = select(_L.requested_at).where(_L.id == bindparam("key"))
_MUTABLE_LAUNCH_FIELDS = frozenset({"outcome", "reason", "message", "log", "ready_at", "ended_at", "stages"})
_UNFINISHED_LAUNCH_OUTCOMES = ("launching", "running")
# Prune in batches, so that each transaction stays short.
_MAX_PRUNED_LAUNCHES = 1000
_SELECT_OLD_LAUNCH_IDS = (
    select(_L.id)
    .where(_L.requested_at < bindparam("before"), _L.outcome.not_in(_UNFINISHED_LAUNCH_OUTCOMES))
    .limit(_MAX_PRUNED_LAUNCHES)
)
_DELETE_OLD_LAUNCHES = delete(launches).where(_L.id.in_(_SELECT_OLD_LAUNCH_IDS))
_MAX_DURATION_SAMPLES, _MIN_DURATION_SAMPLES = 20, 3


def _build_launch_durations_statement(*conditions: Any) -> Any:
    """Build a query for the durations (s) of the latest starts of each revision, joined into one text.

    This is the only aggregate over a limited subquery that both databases support and run on the index.
    """
    latest = (
        select(_L.seconds)
        .where(
            _L.image == func.coalesce(_REVISION_COLUMNS.digest, _REVISION_COLUMNS.id),
            _L.seconds.is_not(None),
            *conditions,
        )
        .order_by(_L.requested_at.desc())
        .limit(_MAX_DURATION_SAMPLES)
        .correlate(revisions)
        .subquery()
    )
    joined = select(func.aggregate_strings(cast(latest.c.seconds, String), ",")).scalar_subquery()
    return select(_REVISION_COLUMNS.id, joined).where(_REVISION_COLUMNS.id.in_(bindparam("revisions", expanding=True)))


_SELECT_LAUNCH_DURATIONS = _build_launch_durations_statement()
_SELECT_LAUNCH_DURATIONS_OF_USER = _build_launch_durations_statement(_L.username == bindparam("of_user"))


class LaunchStore:
    def __init__(self, statements: StatementRunner) -> None:
        self._db = statements

    def add(self, launch: Launch) -> None:
        image, environment = self._db.fetch_one(_SELECT_REVISION_IMAGE, key=launch.revision) or (launch.revision, None)
        values = {name: getattr(launch, name) for name in _LAUNCH_FIELDS}
        seconds = _compute_elapsed_seconds(launch.requested_at, launch.ready_at)
        self._db.execute(_INSERT_LAUNCH, **values, image=image, environment=environment, seconds=seconds)

    def get(self, id: str) -> Launch | None:
        row = self._db.fetch_one(_SELECT_LAUNCH_BY_ID, key=id)
        return None if row is None else _to_launch(row)

    def update(self, id: str, **fields: Any) -> None:
        """Set some of outcome, reason, message, log, ready_at, ended_at and stages."""
        unknown = fields.keys() - _MUTABLE_LAUNCH_FIELDS
        if unknown:
            raise TypeError(f"A launch does not change its {', '.join(sorted(unknown))}.")
        values = dict(fields)
        if "ready_at" in fields:
            values["seconds"] = _compute_elapsed_seconds(
                self._db.fetch_value(_SELECT_LAUNCH_REQUEST_TIME, key=id), fields["ready_at"]
            )
        self._db.execute(_UPDATE_LAUNCH.values(values), key=id)

    def list_for_session(self, session_id: str, username: str, limit: int = 10) -> list[Launch]:
        """Return the user's latest launches of a session, newest first."""
        rows = self._db.fetch_all(_SELECT_SESSION_LAUNCHES, in_session=session_id, of_user=username, most=limit)
        return [_to_launch(row) for row in rows]

    def get_usual_seconds(self, revision: Revision | str, username: str | None = None) -> float | None:
        """Return the usual launch time (s) of one revision or revision id; see `get_usual_seconds_by_revision`."""
        id = revision if isinstance(revision, str) else revision.id
        return self.get_usual_seconds_by_revision([id], username).get(id)

    def get_usual_seconds_by_revision(
        self, revision_ids: Iterable[str], username: str | None = None
    ) -> dict[str, float]:
        """Return the usual seconds from the request until the server is ready, by revision id.

        This is the median of the last 20 successful launches of the same digest, or of the same revision if no digest
        is known, by all users or only *username*. Revisions with fewer than three launches are left out.
        """
        ids = list(dict.fromkeys(revision_ids))
        if username is None:
            rows = self._db.fetch_all(_SELECT_LAUNCH_DURATIONS, revisions=ids)
        else:
            rows = self._db.fetch_all(_SELECT_LAUNCH_DURATIONS_OF_USER, revisions=ids, of_user=username)
        samples = {row[0]: [float(part) for part in (row[1] or "").split(",") if part] for row in rows}
        return {id: median(seconds) for id, seconds in samples.items() if len(seconds) >= _MIN_DURATION_SAMPLES}

    def prune(self, before: datetime) -> int:
        """Delete up to 1000 finished launches that were requested before *before*; return how many were deleted.

        Call again until it returns 0: each transaction stays short.
        """
        return self._db.execute(_DELETE_OLD_LAUNCHES, before=before)


def _to_launch(row: Sequence[Any]) -> Launch:
    return Launch(**dict(zip(_LAUNCH_FIELDS, row, strict=True)))


def _compute_elapsed_seconds(since: datetime | None, until: datetime | None) -> float | None:
    return None if since is None or until is None else max(0.0, (until - since).total_seconds())


_SELECT_QUEUE_INSTANCES = select(*(_I[name] for name in INSTANCE_FIELDS))
_SELECT_QUEUED_INSTANCES = _SELECT_QUEUE_INSTANCES.where(_I.turn.is_not(None)).order_by(_I.turn, _I.requested_at, _I.id)
_SELECT_STARTING_INSTANCES = _SELECT_QUEUE_INSTANCES.where(
    _I.active == true(),
    _I.desired == DesiredState.RUNNING,
    _I.turn.is_(None),
    _I.observed.in_([str(stage) for stage in STAGE_LABELS]),
)
_SELECT_FIRST_QUEUE_TURN = select(func.min(_I.turn)).where(_I.turn.is_not(None))
_SELECT_LAST_QUEUE_TURN_OF_USER = select(func.max(_I.turn)).where(
    _I.turn.is_not(None), _I.username == bindparam("of_user")
)


class StartQueueStore:
    def __init__(self, statements: StatementRunner) -> None:
        self._db = statements

    def list_queued(self) -> list[Instance]:
        """Return the queued starts of all users, in queue order."""
        return [to_instance(row) for row in self._db.fetch_all(_SELECT_QUEUED_INSTANCES)]

    def list_starting(self) -> list[Instance]:
        """Return the instances of all users that are starting and no longer queued."""
        return [to_instance(row) for row in self._db.fetch_all(_SELECT_STARTING_INSTANCES)]

    def get_first_turn(self) -> int | None:
        """Return the lowest turn in the queue, or None if it is empty."""
        return self._to_turn(self._db.fetch_value(_SELECT_FIRST_QUEUE_TURN))

    def get_last_turn(self, username: str) -> int | None:
        """Return the highest turn of the user's own queued starts, or None."""
        return self._to_turn(self._db.fetch_value(_SELECT_LAST_QUEUE_TURN_OF_USER, of_user=username))

    def _to_turn(self, value: object) -> int | None:
        return value if isinstance(value, int) else None


_I, _S = instances.c, sessions.c
_NEVER_EXPIRES_AT = datetime(9999, 12, 31, tzinfo=UTC)
_IS_OWNED_AND_LISTED = and_(_I.username == bindparam("of_user"), _I.listed == true())
_MAX_ACTIVE_SESSIONS = 100


@dataclass(frozen=True, kw_only=True)
class _SortOrder:
    """A sort order: its key, its direction, and the conversion of the key to and from a cursor."""

    key: ColumnElement[Any]
    down: bool
    write: Callable[[Any], str]
    read: Callable[[str], Any]


def _parse_cursor_number(text: str) -> int:
    if not text.removeprefix("-").isdecimal() or len(text) > 18:
        raise build_no_such_page_error()
    return int(text)


def _build_time_order(key: ColumnElement[Any], *, down: bool) -> _SortOrder:
    return _SortOrder(key=key, down=down, write=datetime.isoformat, read=parse_cursor_time)


# Each key has a value in every row: an instance that is not inactive was started, so it has a time.
_SORT_ORDERS = {
    InstanceSort.STARTED: _build_time_order(_I.requested_at, down=True),
    InstanceSort.USED: _build_time_order(
        func.coalesce(_I.last_activity, _I.requested_at, type_=UTCDateTime), down=True
    ),
    InstanceSort.NAME: _SortOrder(key=_S.folded_title, down=False, write=str, read=str),
    InstanceSort.SIZE: _SortOrder(key=func.coalesce(_I.disk_used, -1), down=True, write=str, read=_parse_cursor_number),
    InstanceSort.EXPIRY: _build_time_order(
        func.coalesce(_I.deleted_on, bindparam("never", _NEVER_EXPIRES_AT, type_=UTCDateTime), type_=UTCDateTime),
        down=False,
    ),
}
_SELECT_ACTIVE_SESSIONS_OF_USER = (
    select(_I.session)
    .where(_I.username == bindparam("of_user"), _I.active == true())
    .order_by(_I.requested_at.desc(), _I.id.desc())
    .limit(_MAX_ACTIVE_SESSIONS)
)


def _count_where(condition: ColumnElement[bool]) -> ColumnElement[Any]:
    return func.coalesce(func.sum(case((condition, 1), else_=0), type_=Integer), 0)


_HAS_CLAIM = _I.claim.is_not(None)
_SELECT_OWNED_SUMMARY = select(
    _count_where(_I.active == true()),
    _count_where(_HAS_CLAIM),
    _count_where(_I.trashed_until.is_not(None)),
    func.coalesce(func.sum(case((_HAS_CLAIM, _I.disk_used))), 0),
    _count_where(and_(_HAS_CLAIM, _I.disk_used.is_(None))),
).where(_IS_OWNED_AND_LISTED)

_COUNT_EXPIRING_INSTANCES = select(func.count(), func.min(_I.deleted_on, type_=UTCDateTime)).where(
    _IS_OWNED_AND_LISTED, _I.deleted_on <= bindparam("by", type_=UTCDateTime), _I.trashed_until.is_(None)
)


class OwnedInstanceStore:
    def __init__(self, statements: StatementRunner) -> None:
        self._db = statements

    def list_page(
        self, username: str, sort: InstanceSort, *, after: str | None, limit: int
    ) -> tuple[list[Instance], str | None]:
        """Return one page of the user's instances that are not inactive, and the cursor of the next page.

        Raises:
            InvalidInputError: *after* is not a cursor of an earlier page in this order.
        """
        order, values = _SORT_ORDERS[sort], dict[str, Any](of_user=username, most=limit + 1)
        if after is not None:
            cursor_sort, key, values["after_id"] = decode_cursor(after, str, str, str)
            if cursor_sort != sort:
                raise build_no_such_page_error()
            values["after_key"] = order.read(key)
        rows = self._db.fetch_all(_build_owned_page_statement(sort, after is not None), **values)
        following = (
            encode_cursor(str(sort), order.write(rows[limit - 1][-1]), rows[limit - 1][0])
            if len(rows) > limit
            else None
        )
        return [to_instance(row[:-1]) for row in rows[:limit]], following

    def get_summary(self, username: str) -> OwnedInstancesSummary:
        """Return the totals of all instances of the user."""
        row: Sequence[Any] = self._db.fetch_one(_SELECT_OWNED_SUMMARY, of_user=username) or (0,) * 5
        active, kept, trashed, used, unmeasured = map(int, row)
        return OwnedInstancesSummary(active=active, kept=kept, trashed=trashed, disk_used=used, unmeasured=unmeasured)

    def count_expiring(self, username: str, by: datetime) -> tuple[int, datetime | None]:
        """Return how many instances have data that is due for deletion by *by*, and the first such date.

        Data in the trash is not counted.
        """
        row: Sequence[Any] = self._db.fetch_one(_COUNT_EXPIRING_INSTANCES, of_user=username, by=by) or (0, None)
        return int(row[0]), row[1]

    def list_active_sessions(self, username: str) -> list[str]:
        """Return the ids of the sessions of which the user's instance is running, starting or stopping."""
        return [row[0] for row in self._db.fetch_all(_SELECT_ACTIVE_SESSIONS_OF_USER, of_user=username)]


@lru_cache
def _build_owned_page_statement(sort: InstanceSort, after: bool) -> Select[Any]:
    order = _SORT_ORDERS[sort]
    assert INSTANCE_FIELDS[0] == "id"
    statement = (
        select(*(_I[name] for name in INSTANCE_FIELDS), order.key.label("key"))
        .where(_IS_OWNED_AND_LISTED)
        .limit(bindparam("most"))
    )
    if sort is InstanceSort.NAME:
        statement = statement.join(sessions, _S.id == _I.session)
    if after:
        key: BindParameter[Any] = bindparam("after_key", type_=order.key.type)
        last: BindParameter[str] = bindparam("after_id")
        beyond = order.key < key if order.down else order.key > key
        beyond_last = _I.id < last if order.down else _I.id > last
        statement = statement.where(or_(beyond, and_(order.key == key, beyond_last)))
    return statement.order_by(order.key.desc(), _I.id.desc()) if order.down else statement.order_by(order.key, _I.id)
