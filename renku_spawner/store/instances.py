"""Instances: every step is put in place only if nobody was faster (reliability.md S2)."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, BindParameter, and_, bindparam, func, or_, select, true, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from ..domain.instance import Desired, Instance, Observed, Status, status_of
from ..domain.names import new_id
from ..domain.session import Session
from .faults import Lost
from .search import cursor, moment, place
from .statements import Statements
from .tables import instances
from .types import UTCDateTime

_I = instances.c
FIELDS = tuple(field.name for field in fields(Instance))
_FIXED = {"id", "session", "username", "project", "generation"}
_TUPLES = ("notices", "without_storages", "failed_storages")
_WHOLE = select(*(_I[name] for name in FIELDS))
_SESSION: BindParameter[str] = bindparam("in_session")
_USER: BindParameter[str] = bindparam("of_user")
_GET = _WHOLE.where(_I.session == _SESSION, _I.username == _USER)
_IN_SLOT = _WHOLE.where(_I.username == _USER, _I.slot == bindparam("in_slot"))
_FOR_SESSIONS = _WHOLE.where(_I.session.in_(bindparam("sessions", expanding=True)), _I.username == _USER)
# More than the pairs that are meant, which are picked out later: databases do not find pairs by an index.
_SOME = _WHOLE.where(
    _I.session.in_(bindparam("sessions", expanding=True)), _I.username.in_(bindparam("users", expanding=True))
)
# The user stands in both arms, so that each finds its index.
_ON_PAGE = _WHOLE.where(
    or_(
        and_(_I.session.in_(bindparam("sessions", expanding=True)), _I.username == _USER),
        and_(_I.active == true(), _I.username == _USER, _I.project == bindparam("in_project")),
    )
)
_OF_USER = (
    _WHOLE.where(_I.username == _USER, _I.listed == true())
    .order_by(_I.requested_at.desc(), _I.id.desc())
    .limit(bindparam("most"))
)
_OF_USER_AFTER = _OF_USER.where(
    tuple_(_I.requested_at, _I.id) < tuple_(bindparam("before", type_=UTCDateTime), bindparam("after_id"))
)
_ACTIVE = _WHOLE.where(_I.active == true()).order_by(_I.username, _I.id)
_ACTIVE_AFTER = _ACTIVE.where(tuple_(_I.username, _I.id) > tuple_(bindparam("after_user"), bindparam("after_id")))
_DOOMED = _WHOLE.where(_I.desired == Desired.DELETED, _I.claim.is_not(None)).order_by(_I.username, _I.id)
# Not `== RUNNING`: then SQLite takes the index of what is desired, and reads all that ever ran.
_RUNS = and_(_I.active == true(), _I.username == _USER, _I.desired.not_in([Desired.STOPPED, Desired.DELETED]))
_KEEPS = and_(_I.username == _USER, or_(_I.claim.is_not(None), _I.turn.is_not(None)))
_RUNNING_OF, _KEPT_OF = (_WHOLE.where(which).order_by(_I.requested_at, _I.id) for which in (_RUNS, _KEEPS))
_COUNT_RUNNING, _COUNT_KEPT = (select(func.count()).select_from(instances).where(which) for which in (_RUNS, _KEEPS))
_BY_STATUS = select(
    _I.desired, _I.observed, _I.reason.is_not(None), _I.claim.is_not(None), func.count()
).group_by(_I.desired, _I.observed, _I.reason.is_not(None), _I.claim.is_not(None))  # fmt: skip
_OTHERS = select(_I.id).where(_I.session == _SESSION, _I.username != _USER, _I.claim.is_not(None)).limit(1)
_OTHERS_IN_PROJECT = (
    select(_I.id).where(_I.project == bindparam("in_project"), _I.username != _USER, _I.claim.is_not(None)).limit(1)
)
_SAVE = (
    update(instances)
    .where(_I.id == bindparam("key"), _I.generation == bindparam("seen"))
    .values({name: bindparam(f"new_{name}") for name in FIELDS if name not in _FIXED})
    .values(active=bindparam("new_active"), listed=bindparam("new_listed"), generation=_I.generation + 1)
)
_TOUCH = (
    update(instances)
    .where(_I.session == _SESSION, _I.username == _USER)
    .where(or_(_I.last_activity.is_(None), _I.last_activity < bindparam("at")))
    .values(last_activity=bindparam("at"))
)
# A parallel insert of the same is what we want, too.
_INSERT = {
    "sqlite": sqlite.insert(instances).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(instances).on_conflict_do_nothing(),
}

# Waits no longer than `lock_timeout`: https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
_LOCK_USER = select(func.pg_advisory_xact_lock(bindparam("key", type_=BigInteger)))


class InstanceStore:
    def __init__(self, statements: Statements) -> None:
        self._db = statements

    def get(self, session_id: str, username: str) -> Instance | None:
        return _maybe(self._db.row(_GET, in_session=session_id, of_user=username))

    def of_user(self, username: str, *, after: str | None = None, limit: int = 20) -> tuple[list[Instance], str | None]:
        """One page of those that are not inactive, the latest started first, and where the next begins.

        Raises:
            Invalid: *after* is nothing that a page has offered.
        """
        values: dict[str, Any] = {"of_user": username, "most": limit + 1}
        if after is not None:
            when, values["after_id"] = place(after, str, str)
            values["before"] = moment(when)
        rows = self._db.rows(_OF_USER if after is None else _OF_USER_AFTER, **values)
        found = [whole(row) for row in rows[:limit]]
        last = found[-1] if len(rows) > limit else None
        # What is not inactive was started once, so that there is a time.
        following = cursor(last.requested_at.isoformat(), last.id) if last and last.requested_at else None
        return found, following

    def for_sessions(self, username: str, session_ids: Iterable[str]) -> dict[str, Instance]:
        """The user's instances of these sessions, by session."""
        rows = self._db.rows(_FOR_SESSIONS, sessions=list(session_ids), of_user=username)
        return {instance.session: instance for instance in map(whole, rows)}

    def some(self, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Instance]:
        """The instances of these (user name, session), as far as there are any."""
        wanted = set(pairs)
        users, sessions = ({pair[place] for pair in wanted} for place in (0, 1))
        found = map(whole, self._db.rows(_SOME, users=sorted(users), sessions=sorted(sessions)))
        return {pair: each for each in found if (pair := (each.username, each.session)) in wanted}

    def on_page(self, username: str, project_id: str, session_ids: Iterable[str]) -> dict[str, Instance]:
        """The user's instances of these sessions and all that are active in the project, by session."""
        rows = self._db.rows(_ON_PAGE, sessions=list(session_ids), in_project=project_id, of_user=username)
        return {instance.session: instance for instance in map(whole, rows)}

    def ensure(self, session: Session, username: str, *, now: datetime) -> Instance:
        """The user's instance of *session*, inactive if it is made now; two who ask at once get the same."""
        found = self.get(session.id, username)
        if found is not None:  # an editor may have moved the session to another environment since it was made
            return found if found.active else replace(found, environment=session.environment.id)
        new = Instance(
            id=new_id(),
            session=session.id,
            username=username,
            project=session.project,
            environment=session.environment.id,
            last_seen=now,
        )
        fixed = {name: getattr(new, name) for name in _FIXED}
        self._db.run(_INSERT[self._db.dialect], **fixed, **_written(new))
        return self.get(session.id, username) or new

    def save(self, old: Instance, new: Instance) -> Instance:
        """*new* in the place of *old*, with the next generation.

        Raises:
            Lost: *old* is not what is stored any more.
            Clash: `slot`; another session of the same environment is active.
        """
        values = {f"new_{name}": value for name, value in _written(new).items()}
        if not self._db.run(_SAVE, key=old.id, seen=old.generation, **values):
            raise Lost
        return replace(new, generation=old.generation + 1)

    def in_slot(self, username: str, slot: str) -> Instance | None:
        return _maybe(self._db.row(_IN_SLOT, of_user=username, in_slot=slot))

    def active(self) -> list[Instance]:
        """Everybody's launching, running, stopping and unknown ones."""
        return [whole(row) for row in self._db.rows(_ACTIVE)]

    def active_after(self, last: Instance | None, limit: int) -> list[Instance]:
        """One page of `active`: those that come after *last*, from the first if it is None."""
        after = {"after_user": last.username, "after_id": last.id} if last else {"after_user": "", "after_id": ""}
        return [whole(row) for row in self._db.rows(_ACTIVE_AFTER.limit(limit), **after)]

    def doomed(self) -> list[Instance]:
        """Everybody's whose data shall go and are not known to have gone."""
        return [whole(row) for row in self._db.rows(_DOOMED)]

    def lock_user(self, username: str) -> None:
        """Hold a lock of this user's until the transaction ends, so that no other one counts meanwhile. Raises Busy.

        On SQLite a transaction that may write holds the whole database already.
        """
        if self._db.dialect == "postgresql":
            self._db.value(_LOCK_USER, key=_lock_key(username))

    def running_of(self, username: str) -> list[Instance]:
        """The user's that run, start or wait in line, the longest asked for first; what stops already makes room."""
        return [whole(row) for row in self._db.rows(_RUNNING_OF, of_user=username)]

    def kept_of(self, username: str) -> list[Instance]:
        """The user's that have a volume, or wait in line to get one, likewise."""
        return [whole(row) for row in self._db.rows(_KEPT_OF, of_user=username)]

    def count_running(self, username: str) -> int:
        """How many `running_of` has."""
        return int(self._db.value(_COUNT_RUNNING, of_user=username))

    def count_kept(self, username: str) -> int:
        """How many have a volume, or wait in line to get one."""
        return int(self._db.value(_COUNT_KEPT, of_user=username))

    def by_status(self) -> dict[Status, int]:
        """How many of everybody's instances there are; the domain says what their status is."""
        found: Counter[Status] = Counter()
        for desired, observed, reason, claim, count in self._db.rows(_BY_STATUS):
            found[status_of(Desired(desired), Observed(observed), failed=bool(reason), kept=bool(claim))] += count
        return dict(found)

    def others_have_data(self, session_id: str, username: str) -> bool:
        """Whether anybody but *username* has a volume of this session (decision 5: no more than that)."""
        return self._db.row(_OTHERS, in_session=session_id, of_user=username) is not None

    def others_in_project(self, project_id: str, username: str) -> bool:
        """Whether somebody else has data in one of the project's sessions."""
        return self._db.row(_OTHERS_IN_PROJECT, in_project=project_id, of_user=username) is not None

    def touch(self, session_id: str, username: str, last_activity: datetime) -> None:
        """Move the last activity forward, never back; no step of its life, so the generation stays."""
        self._db.run(_TOUCH, in_session=session_id, of_user=username, at=last_activity)


def _lock_key(username: str) -> int:
    """Return the signed 64 bits by which PostgreSQL names the lock of a user's starts."""
    digest = hashlib.sha256(b"renku_instances " + username.encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def whole(row: Sequence[Any]) -> Instance:
    values = dict(zip(FIELDS, row, strict=True))
    values["desired"] = Desired(values["desired"])
    values["observed"] = Observed(values["observed"])
    values["warned"] = values["warned"] or 0
    for name in _TUPLES:
        values[name] = tuple(values[name] or ())
    return Instance(**values)


def _maybe(row: Sequence[Any] | None) -> Instance | None:
    return None if row is None else whole(row)


def _written(instance: Instance) -> dict[str, Any]:
    """The columns that a step changes, with those that are made from them."""
    values = {name: getattr(instance, name) for name in FIELDS if name not in _FIXED}
    return {
        **values,
        "desired": instance.desired.value,
        "observed": instance.observed.value,
        "notices": [dict(notice) for notice in instance.notices],
        "warned": instance.warned or None,
        "without_storages": list(instance.without_storages) or None,
        "failed_storages": list(instance.failed_storages) or None,
        "active": instance.active,
        "listed": instance.status is not Status.INACTIVE,
    }
