"""Read and write environments and their immutable revisions, and query the usage of environments."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from functools import lru_cache
from threading import Lock
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Select,
    Text,
    and_,
    bindparam,
    case,
    cast,
    func,
    insert,
    select,
    tuple_,
    update,
)

from ..domain.ci_images import parse_ci_image_origin_json, to_ci_image_origin_json
from ..domain.environments import (
    Environment,
    EnvironmentKind,
    EnvironmentState,
    EnvironmentUsage,
    NewEnvironment,
    NewRevision,
    Revision,
    RunConfiguration,
)
from ..domain.ids import create_id
from ..domain.text import fold_title
from .search import (
    build_keyword_condition,
    build_keyword_pattern,
    build_search_text,
    build_text_condition,
    build_text_pattern,
    decode_cursor,
    encode_cursor,
)
from .statements import ConcurrentUpdate, StatementRunner
from .tables import environments, instances, launches, revisions, sessions

_R = revisions.c
_REVISION_FIELDS = (
    "id", "environment", "number", "image", "repository", "tag", "digest", "commit", "created_by", "created_at",
)  # fmt: skip


def cast_json_to_text(column: ColumnElement[Any]) -> ColumnElement[str]:
    """Select JSON as text, so that callers can parse each distinct text once: parsing takes longer than the query."""
    return cast(column, Text)


_SELECT_REVISIONS = select(
    *(_R[name] for name in _REVISION_FIELDS),
    cast_json_to_text(_R.built),
    cast_json_to_text(_R.facts),
    cast_json_to_text(_R.run),
)
_SELECT_REVISIONS_BY_IDS = _SELECT_REVISIONS.where(_R.id.in_(bindparam("ids", expanding=True)))
_REVISION_ENVIRONMENT: BindParameter[str] = bindparam("of_environment")
_SELECT_ENVIRONMENT_REVISIONS = _SELECT_REVISIONS.where(_R.environment == _REVISION_ENVIRONMENT).order_by(
    _R.number.desc()
)
_SELECT_LAUNCHED_REVISION_IDS = (
    select(launches.c.revision)
    .where(launches.c.session == bindparam("of_session"))
    .group_by(launches.c.revision)
    .order_by(func.max(launches.c.requested_at).desc(), launches.c.revision)
    .limit(bindparam("most"))
)
_SELECT_NEXT_REVISION_NUMBER = select(func.coalesce(func.max(_R.number), 0) + 1).where(
    _R.environment == _REVISION_ENVIRONMENT
)
_INSERT_REVISION = insert(revisions)


class RevisionCache:
    """A cache of up to 256 revisions of one database; the image metadata in each may be long."""

    LIMIT = 256

    def __init__(self) -> None:
        self._lock = Lock()
        self._found: dict[str, Revision] = {}

    def get(self, id: str) -> Revision | None:
        return self._found.get(id)

    def add(self, revision: Revision) -> None:
        """Add *revision*, and evict the oldest entry if the cache is full."""
        with self._lock:
            if len(self._found) >= self.LIMIT:
                del self._found[next(iter(self._found))]
            self._found[revision.id] = revision


class RevisionStore:
    """Read and write revisions, for the stores of environments and of sessions."""

    def __init__(self, statements: StatementRunner, known: RevisionCache) -> None:
        self._db = statements
        self._known = known

    def get_many(self, ids: Iterable[str]) -> dict[str, Revision]:
        """Return revisions by id; those that are not cached are read in one statement."""
        unique = dict.fromkeys(ids)
        revisions_by_id = {id: revision for id in unique if (revision := self._known.get(id))}
        missing = [id for id in unique if id not in revisions_by_id]
        for row in self._db.fetch_all(_SELECT_REVISIONS_BY_IDS, ids=missing) if missing else ():
            revisions_by_id[row[0]] = revision = _to_revision(row)
            self._known.add(revision)
        return revisions_by_id

    def list_for_environment(self, environment_id: str) -> list[Revision]:
        """Return the environment's revisions, newest first."""
        return [
            _to_revision(row)
            for row in self._db.fetch_all(_SELECT_ENVIRONMENT_REVISIONS, of_environment=environment_id)
        ]

    def add(self, environment_id: str, new: NewRevision, *, by: str, now: datetime) -> Revision:
        """Add the next revision.

        Raises:
            UniqueConflict: `revision`; another one was added in parallel.
        """
        number = self._db.fetch_value(_SELECT_NEXT_REVISION_NUMBER, of_environment=environment_id)
        given = {field.name: getattr(new, field.name) for field in fields(NewRevision)}
        made = Revision(
            id=create_id(), environment=environment_id, number=number, created_by=by, created_at=now, **given
        )
        run = {field.name: getattr(made.run, field.name) for field in fields(RunConfiguration)}
        values = {name: getattr(made, name) for name in _REVISION_FIELDS}
        source = to_ci_image_origin_json(made.built) if made.built else None
        self._db.execute(_INSERT_REVISION, **values, facts=dict(made.facts), run=run, built=source)
        return made


def _to_revision(row: Sequence[Any]) -> Revision:
    values = dict(zip(_REVISION_FIELDS, row, strict=False))
    source = parse_ci_image_origin_json(json.loads(row[-3])) if row[-3] else None
    return Revision(**values, built=source, facts=json.loads(row[-2]), run=_parse_run_configuration(row[-1]))


@lru_cache(maxsize=256)
def _parse_run_configuration(text: str) -> RunConfiguration:
    values = json.loads(text)
    lists = {name: tuple(values[name]) for name in ("command", "arguments")}
    return RunConfiguration(**{**values, **lists})


_ENVIRONMENT_FIELDS = (
    "id", "kind", "project", "key", "name", "description", "icon", "position", "state", "successor", "message",
    "created_by", "created_at", "archived_at", "version",
)  # fmt: skip
_E = environments.c
# The columns that `to_environment` expects, in this order; the id of the newest revision comes first.
ENVIRONMENT_COLUMNS: tuple[ColumnElement[Any], ...] = (
    _E.current_revision,
    cast_json_to_text(_E.keywords),
    *(_E[name] for name in _ENVIRONMENT_FIELDS),
)

_ENVIRONMENT_ID: BindParameter[str] = bindparam("key_")
_SELECT_ENVIRONMENTS = select(*ENVIRONMENT_COLUMNS)
_SELECT_ENVIRONMENT_BY_ID = _SELECT_ENVIRONMENTS.where(_E.id == _ENVIRONMENT_ID)
_OFFERED_STATES = (EnvironmentState.ACTIVE.value, EnvironmentState.DEPRECATED.value)
_IS_OFFERED_CONDITIONS = (_E.kind == EnvironmentKind.DEFAULT.value, _E.state.in_(_OFFERED_STATES))
_FIRST_ADDED_POSITION = 1000
_ENVIRONMENT_CURSOR_PARAMETERS = ("at_position", "at_name", "at_id")
_SELECT_OFFERED_KEYWORDS = select(_E.keywords).where(*_IS_OFFERED_CONDITIONS)
_SELECT_CONFIGURED_ENVIRONMENTS = _SELECT_ENVIRONMENTS.where(_E.key.is_not(None))
_INSERT_ENVIRONMENT = insert(environments)
_UPDATE_ENVIRONMENT = update(environments).where(_E.id == _ENVIRONMENT_ID)
_UPDATE_ENVIRONMENT_VERSION = _UPDATE_ENVIRONMENT.where(_E.version == bindparam("seen"))
_SELECT_ENVIRONMENTS_BY_IDS = _SELECT_ENVIRONMENTS.where(_E.id.in_(bindparam("ids", expanding=True)))
_ENVIRONMENT_ORDER = (_E.position, _E.folded_name, _E.id)
# Environments that were added in the browser come after those of the configuration.
_IS_ADDED_CONDITIONS = (_E.kind == EnvironmentKind.DEFAULT.value, _E.key.is_(None))
_SELECT_LAST_ADDED_POSITION = select(func.max(_E.position)).where(*_IS_ADDED_CONDITIONS)
_SELECT_ADDED_IDS = (
    select(_E.id)
    .where(*_IS_ADDED_CONDITIONS, _E.state != EnvironmentState.ARCHIVED.value)
    .order_by(*_ENVIRONMENT_ORDER)
)


@lru_cache
def _build_offered_environments_statement(keyword: bool, search: bool) -> Select[Any]:
    """Build one cached statement per combination of filters, so that SQLAlchemy compiles each only once."""
    conditions = [*_IS_OFFERED_CONDITIONS]
    if keyword:
        conditions.append(build_keyword_condition(_E.search))
    if search:
        conditions.append(build_text_condition(_E.search))
    return _SELECT_ENVIRONMENTS.where(*conditions).order_by(*_ENVIRONMENT_ORDER)


@lru_cache
def _build_environment_page_statement(keyword: bool, after: bool) -> Select[Any]:
    conditions = [_E.kind == EnvironmentKind.DEFAULT.value, _E.state.in_(bindparam("states", expanding=True))]
    if keyword:
        conditions.append(build_keyword_condition(_E.search))
    if after:
        conditions.append(
            tuple_(*_ENVIRONMENT_ORDER) > tuple_(*(bindparam(name) for name in _ENVIRONMENT_CURSOR_PARAMETERS))
        )
    return _SELECT_ENVIRONMENTS.where(*conditions).order_by(*_ENVIRONMENT_ORDER).limit(bindparam("most"))


class EnvironmentStore:
    def __init__(self, statements: StatementRunner, revisions: RevisionStore) -> None:
        self._db = statements
        self._revisions = revisions

    def get(self, id: str) -> Environment | None:
        """Return the environment with its newest revision, or None."""
        environments = self._to_environments(self._db.fetch_all(_SELECT_ENVIRONMENT_BY_ID, key_=id))
        return environments[0] if environments else None

    def list_offered(self, keyword: str | None = None, search: str = "") -> list[Environment]:
        """Return the managed environments that can be used for new sessions, in the admins' order."""
        values = {**build_text_pattern(search), **build_keyword_pattern(keyword or "")}
        return self._to_environments(
            self._db.fetch_all(_build_offered_environments_statement(bool(keyword), bool(search)), **values)
        )

    def list_page(
        self, states: Iterable[EnvironmentState], keyword: str | None = None, after: str | None = None, limit: int = 20
    ) -> tuple[list[Environment], str | None]:
        """Return one page of the managed environments in one of these states, and the cursor of the next page.

        Raises:
            InvalidInputError: *after* is not a cursor of an earlier page.
        """
        values: dict[str, Any] = build_keyword_pattern(keyword or "")
        if after is not None:
            values |= zip(_ENVIRONMENT_CURSOR_PARAMETERS, decode_cursor(after, int, str, str), strict=True)
        statement = _build_environment_page_statement(bool(keyword), after is not None)
        rows = self._db.fetch_all(statement, states=sorted(map(str, states)), most=limit + 1, **values)
        page = self._to_environments(rows[:limit])
        last = page[-1] if len(rows) > limit else None
        return page, encode_cursor(last.position, fold_title(last.name), last.id) if last else None

    def get_many(self, ids: Iterable[str]) -> dict[str, Environment]:
        """Return the environments by id."""
        rows = self._db.fetch_all(_SELECT_ENVIRONMENTS_BY_IDS, ids=sorted(set(ids)))
        return {environment.id: environment for environment in self._to_environments(rows)}

    def list_keywords(self) -> list[str]:
        """Return the keywords of all offered environments, without duplicates, in alphabetical order."""
        words = {word for (row,) in self._db.fetch_all(_SELECT_OFFERED_KEYWORDS) for word in row}
        return sorted(words, key=lambda word: (fold_title(word), word))

    def get_configured_by_key(self) -> dict[str, Environment]:
        """Return the environments of the hub's configuration, in any state, by key."""
        configured = self._to_environments(self._db.fetch_all(_SELECT_CONFIGURED_ENVIRONMENTS))
        return {environment.key: environment for environment in configured if environment.key}

    def add(
        self,
        new: NewEnvironment,
        revision: NewRevision,
        *,
        by: str,
        now: datetime,
        state: EnvironmentState = EnvironmentState.ACTIVE,
    ) -> Environment:
        """Add an environment with its first revision.

        Raises:
            UniqueConflict: `key`.
        """
        id = create_id()
        values = {"id": id, "kind": new.kind.value, "project": new.project, "key": new.key, "state": state.value}
        made = {"message": "", "created_by": by, "created_at": now, "current_revision": "", "version": 1}
        self._db.execute(_INSERT_ENVIRONMENT, **values, **made, **_to_environment_columns(new))
        first = self.add_revision(id, revision, by=by, now=now)
        return Environment(
            **{field.name: getattr(new, field.name) for field in fields(NewEnvironment)},
            id=id, state=state, successor=None, message="", created_by=by, created_at=now, revision=first,
        )  # fmt: skip

    def add_revision(self, environment_id: str, revision: NewRevision, *, by: str, now: datetime) -> Revision:
        """Add a revision, which becomes the newest.

        Raises:
            UniqueConflict: `revision`; another one was added in parallel.
        """
        made = self._revisions.add(environment_id, revision, by=by, now=now)
        self._db.execute(_UPDATE_ENVIRONMENT.values(current_revision=made.id), key_=environment_id)
        return made

    def update_description(self, environment_id: str, new: NewEnvironment) -> None:
        """Update name, description, keywords, icon and position; the revisions stay."""
        self._db.execute(_UPDATE_ENVIRONMENT.values(_to_environment_columns(new)), key_=environment_id)

    def set_state(
        self,
        environment_id: str,
        state: EnvironmentState,
        successor: str | None = None,
        message: str = "",
        *,
        now: datetime,
    ) -> None:
        """Set the state; an archived environment keeps the time at which it was first archived."""
        since = func.coalesce(_E.archived_at, now) if state is EnvironmentState.ARCHIVED else None
        values = {"state": state.value, "successor": successor, "message": message, "archived_at": since}
        self._db.execute(_UPDATE_ENVIRONMENT.values(values), key_=environment_id)

    def bump_version(self, environment_id: str, seen: int) -> None:
        """Increase the version for a change by an admin.

        Raises:
            ConcurrentUpdate: the version is no longer *seen*.
        """
        if not self._db.execute(
            _UPDATE_ENVIRONMENT_VERSION.values(version=_E.version + 1), key_=environment_id, seen=seen
        ):
            raise ConcurrentUpdate

    def get_next_position(self) -> int:
        """Return the position of a new environment: after all others."""
        return max(self._db.fetch_value(_SELECT_LAST_ADDED_POSITION) or 0, _FIRST_ADDED_POSITION - 1) + 1

    def list_added_ids(self) -> list[str]:
        """Return the ids of the environments added in the browser and not archived, in the admins' order."""
        return [row[0] for row in self._db.fetch_all(_SELECT_ADDED_IDS)]

    def set_order(self, ids: Sequence[str]) -> None:
        for number, id in enumerate(ids, _FIRST_ADDED_POSITION):
            self._db.execute(_UPDATE_ENVIRONMENT.values(position=number), key_=id)

    def list_revisions(self, environment_id: str) -> list[Revision]:
        """Return the environment's revisions, newest first."""
        return self._revisions.list_for_environment(environment_id)

    def list_launched_revisions(self, session_id: str, limit: int = 20) -> list[Revision]:
        """Return the revisions with which any user has started the session, the last used one first.

        Records of launches are kept for a limited time (`Renku.launches_kept_days`).
        """
        rows = self._db.fetch_all(_SELECT_LAUNCHED_REVISION_IDS, of_session=session_id, most=limit)
        found = self._revisions.get_many(row[0] for row in rows)
        return [found[row[0]] for row in rows if row[0] in found]

    def get_revision(self, id: str) -> Revision | None:
        return self._revisions.get_many([id]).get(id)

    def _to_environments(self, rows: Sequence[Sequence[Any]]) -> list[Environment]:
        newest = self._revisions.get_many(row[0] for row in rows)
        return [to_environment(row, newest[row[0]]) for row in rows]


def to_environment(values: Sequence[Any], newest: Revision) -> Environment:
    """Build an environment from the values of `ENVIRONMENT_COLUMNS`."""
    return Environment(
        revision=newest,
        keywords=_parse_keywords(values[1]),
        id=values[2],
        kind=EnvironmentKind(values[3]),
        project=values[4],
        key=values[5],
        name=values[6],
        description=values[7],
        icon=values[8],
        position=values[9],
        state=EnvironmentState(values[10]),
        successor=values[11],
        message=values[12],
        created_by=values[13],
        created_at=values[14],
        archived_at=values[15],
        version=values[16],
    )


@lru_cache(maxsize=1024)
def _parse_keywords(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


def _to_environment_columns(new: NewEnvironment) -> dict[str, Any]:
    return {
        "name": new.name,
        "folded_name": fold_title(new.name),
        "description": new.description,
        "keywords": list(new.keywords),
        "icon": new.icon,
        "position": new.position,
        "search": build_search_text(new.name, new.description, keywords=new.keywords),
    }


_E, _R, _S, _I, _L = environments.c, revisions.c, sessions.c, instances.c, launches.c
_USAGE_ENVIRONMENT_IDS: BindParameter[list[str]] = bindparam("ids", expanding=True)
_COUNT_SESSIONS_BY_ENVIRONMENT = (
    select(
        _R.environment,
        func.count(_S.project.distinct()),
        func.count(_S.id),
        func.count(case((_S.revision == _E.current_revision, _S.id))),
    )
    .join(sessions, and_(_S.revision == _R.id, _S.deleted_at.is_(None)))
    .join(environments, _E.id == _R.environment)
    .where(_R.environment.in_(_USAGE_ENVIRONMENT_IDS))
    .group_by(_R.environment)
)
_COUNT_INSTANCES_BY_ENVIRONMENT = (
    select(
        _R.environment,
        func.count(case((_I.active, _I.id))),
        func.max(func.coalesce(_I.last_activity, _I.ready_at, _I.requested_at)),
    )
    .join(sessions, _S.revision == _R.id)
    .join(instances, _I.session == _S.id)
    .where(_R.environment.in_(_USAGE_ENVIRONMENT_IDS))
    .group_by(_R.environment)
)


_COUNT_STARTS_BY_ENVIRONMENT = (
    select(_L.environment, func.count(), func.count(case((_L.outcome == "failed", 1))))
    .where(_L.environment.in_(_USAGE_ENVIRONMENT_IDS), _L.requested_at >= bindparam("since"))
    .group_by(_L.environment)
)


class EnvironmentUsageStore:
    def __init__(self, statements: StatementRunner) -> None:
        self._db = statements

    def get_usage(self, environment_ids: Iterable[str], since: datetime) -> dict[str, EnvironmentUsage]:
        """Return the usage of each environment, with its starts since *since*, in three statements.

        Instances of removed sessions are counted too, since they may still run.
        """
        ids = list(environment_ids)
        sessions = {row[0]: row[1:] for row in self._db.fetch_all(_COUNT_SESSIONS_BY_ENVIRONMENT, ids=ids)}
        instances = {row[0]: row[1:] for row in self._db.fetch_all(_COUNT_INSTANCES_BY_ENVIRONMENT, ids=ids)}
        starts = {row[0]: row[1:] for row in self._db.fetch_all(_COUNT_STARTS_BY_ENVIRONMENT, ids=ids, since=since)}
        return {
            id: _to_environment_usage(sessions.get(id, (0, 0, 0)), instances.get(id, (0, None)), starts.get(id, (0, 0)))
            for id in ids
        }


def _to_environment_usage(
    of_sessions: Sequence[Any], of_instances: Sequence[Any], of_starts: Sequence[int]
) -> EnvironmentUsage:
    projects, sessions, newest = of_sessions
    running, last_used = of_instances
    starts, failed = of_starts
    return EnvironmentUsage(
        projects=projects, sessions=sessions, newest=newest, running=running, starts=starts, failed=failed,
        last_used=last_used,
    )  # fmt: skip
