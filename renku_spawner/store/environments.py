"""Environments and their revisions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Select, bindparam, func, insert, select, tuple_, update

from ..domain.environment import Environment, Kind, NewEnvironment, NewRevision, Revision, State
from ..domain.names import new_id
from ..domain.text import folded
from .faults import Lost
from .revisions import Revisions, raw
from .search import contains, cursor, has_keyword, keyword_pattern, pattern, place, searchable
from .statements import Statements
from .tables import environments

_FIELDS = (
    "id", "kind", "project", "key", "name", "description", "icon", "position", "state", "successor", "message",
    "created_by", "created_at", "archived_at", "version",
)  # fmt: skip
_E = environments.c
# What `to_environment` takes, in this order; the id of the newest revision stands first.
COLUMNS: tuple[ColumnElement[Any], ...] = (_E.current_revision, raw(_E.keywords), *(_E[name] for name in _FIELDS))

_KEY: BindParameter[str] = bindparam("key_")
_WHOLE = select(*COLUMNS)
_GET = _WHOLE.where(_E.id == _KEY)
_OFFERED_STATES = (State.ACTIVE.value, State.DEPRECATED.value)
_IS_OFFERED = (_E.kind == Kind.DEFAULT.value, _E.state.in_(_OFFERED_STATES))
_FIRST_ADDED = 1000
_PLACE = ("at_position", "at_name", "at_id")
_KEYWORDS = select(_E.keywords).where(*_IS_OFFERED)
_CONFIGURED = _WHOLE.where(_E.key.is_not(None))
_INSERT = insert(environments)
_UPDATE = update(environments).where(_E.id == _KEY)
_CHANGE = _UPDATE.where(_E.version == bindparam("seen"))
_SOME = _WHOLE.where(_E.id.in_(bindparam("ids", expanding=True)))
_ORDERED = (_E.position, _E.folded_name, _E.id)
# Those that were added in the browser stand after those of the configuration.
_ADDED = (_E.kind == Kind.DEFAULT.value, _E.key.is_(None))
_LAST = select(func.max(_E.position)).where(*_ADDED)
_IN_ORDER = select(_E.id).where(*_ADDED, _E.state != State.ARCHIVED.value).order_by(*_ORDERED)


@lru_cache
def _offered(keyword: bool, search: bool) -> Select[Any]:
    """One statement for each kind of question, so that SQLAlchemy compiles each once."""
    conditions = [*_IS_OFFERED]
    if keyword:
        conditions.append(has_keyword(_E.search))
    if search:
        conditions.append(contains(_E.search))
    return _WHOLE.where(*conditions).order_by(*_ORDERED)


@lru_cache
def _page(keyword: bool, after: bool) -> Select[Any]:
    conditions = [_E.kind == Kind.DEFAULT.value, _E.state.in_(bindparam("states", expanding=True))]
    if keyword:
        conditions.append(has_keyword(_E.search))
    if after:
        conditions.append(tuple_(*_ORDERED) > tuple_(*(bindparam(name) for name in _PLACE)))
    return _WHOLE.where(*conditions).order_by(*_ORDERED).limit(bindparam("most"))


class EnvironmentStore:
    def __init__(self, statements: Statements, revisions: Revisions) -> None:
        self._db = statements
        self._revisions = revisions

    def get(self, id: str) -> Environment | None:
        """The environment with its newest revision."""
        found = self._whole(self._db.rows(_GET, key_=id))
        return found[0] if found else None

    def offered(self, keyword: str | None = None, search: str = "") -> list[Environment]:
        """Those for everybody from which sessions can be made, in the order that admins gave."""
        values = {**pattern(search), **keyword_pattern(keyword or "")}
        return self._whole(self._db.rows(_offered(bool(keyword), bool(search)), **values))

    def listed(
        self, states: Iterable[State], keyword: str | None = None, after: str | None = None, limit: int = 20
    ) -> tuple[list[Environment], str | None]:
        """One page of those for everybody in one of these states, and where the next one begins.

        Raises:
            Invalid: *after* is nothing that a page has offered.
        """
        values: dict[str, Any] = keyword_pattern(keyword or "")
        if after is not None:
            values |= zip(_PLACE, place(after, int, str, str), strict=True)
        statement = _page(bool(keyword), after is not None)
        rows = self._db.rows(statement, states=sorted(map(str, states)), most=limit + 1, **values)
        found = self._whole(rows[:limit])
        last = found[-1] if len(rows) > limit else None
        return found, cursor(last.position, folded(last.name), last.id) if last else None

    def some(self, ids: Iterable[str]) -> dict[str, Environment]:
        """Those environments by id."""
        return {each.id: each for each in self._whole(self._db.rows(_SOME, ids=sorted(set(ids))))}

    def keywords(self) -> list[str]:
        """Every keyword of what is offered, each once, by alphabet."""
        words = {word for (row,) in self._db.rows(_KEYWORDS) for word in row}
        return sorted(words, key=lambda word: (folded(word), word))

    def by_key(self) -> dict[str, Environment]:
        """Those that the hub's configuration defines, in any state."""
        found = self._whole(self._db.rows(_CONFIGURED))
        return {environment.key: environment for environment in found if environment.key}

    def add(
        self, new: NewEnvironment, revision: NewRevision, *, by: str, now: datetime, state: State = State.ACTIVE
    ) -> Environment:
        """Raises Clash: `key`."""
        id = new_id()
        values = {"id": id, "kind": new.kind.value, "project": new.project, "key": new.key, "state": state.value}
        made = {"message": "", "created_by": by, "created_at": now, "current_revision": "", "version": 1}
        self._db.run(_INSERT, **values, **made, **_described(new))
        first = self.revise(id, revision, by=by, now=now)
        return Environment(
            **{field.name: getattr(new, field.name) for field in fields(NewEnvironment)},
            id=id, state=state, successor=None, message="", created_by=by, created_at=now, revision=first,
        )  # fmt: skip

    def revise(self, environment_id: str, revision: NewRevision, *, by: str, now: datetime) -> Revision:
        """A further revision, from now on the newest. Raises Clash: `revision`, when two are made at once."""
        made = self._revisions.add(environment_id, revision, by=by, now=now)
        self._db.run(_UPDATE.values(current_revision=made.id), key_=environment_id)
        return made

    def describe(self, environment_id: str, new: NewEnvironment) -> None:
        """Name, description, keywords, icon and position; what it runs stays."""
        self._db.run(_UPDATE.values(_described(new)), key_=environment_id)

    def set_state(
        self, environment_id: str, state: State, successor: str | None = None, message: str = "", *, now: datetime
    ) -> None:
        """What is archived was so since *now*, unless it was before."""
        since = func.coalesce(_E.archived_at, now) if state is State.ARCHIVED else None
        values = {"state": state.value, "successor": successor, "message": message, "archived_at": since}
        self._db.run(_UPDATE.values(values), key_=environment_id)

    def touch(self, environment_id: str, seen: int) -> None:
        """Count a change by an admin who has seen version *seen*. Raises Lost: there is another one."""
        if not self._db.run(_CHANGE.values(version=_E.version + 1), key_=environment_id, seen=seen):
            raise Lost

    def last_position(self) -> int:
        """Where one that is added now stands: behind all others."""
        return max(self._db.value(_LAST) or 0, _FIRST_ADDED - 1) + 1

    def in_order(self) -> list[str]:
        """The ids of those that were added in the browser and are not archived, in the order that admins gave."""
        return [row[0] for row in self._db.rows(_IN_ORDER)]

    def put_in_order(self, ids: Sequence[str]) -> None:
        for number, id in enumerate(ids, _FIRST_ADDED):
            self._db.run(_UPDATE.values(position=number), key_=id)

    def revisions(self, environment_id: str) -> list[Revision]:
        """Newest first."""
        return self._revisions.of(environment_id)

    def revision(self, id: str) -> Revision | None:
        return self._revisions.some([id]).get(id)

    def _whole(self, rows: Sequence[Sequence[Any]]) -> list[Environment]:
        newest = self._revisions.some(row[0] for row in rows)
        return [to_environment(row, newest[row[0]]) for row in rows]


def to_environment(values: Sequence[Any], newest: Revision) -> Environment:
    """An environment from the values of COLUMNS."""
    return Environment(
        revision=newest,
        keywords=_keywords(values[1]),
        id=values[2],
        kind=Kind(values[3]),
        project=values[4],
        key=values[5],
        name=values[6],
        description=values[7],
        icon=values[8],
        position=values[9],
        state=State(values[10]),
        successor=values[11],
        message=values[12],
        created_by=values[13],
        created_at=values[14],
        archived_at=values[15],
        version=values[16],
    )


@lru_cache(maxsize=1024)
def _keywords(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


def _described(new: NewEnvironment) -> dict[str, Any]:
    return {
        "name": new.name,
        "folded_name": folded(new.name),
        "description": new.description,
        "keywords": list(new.keywords),
        "icon": new.icon,
        "position": new.position,
        "search": searchable(new.name, new.description, keywords=new.keywords),
    }
