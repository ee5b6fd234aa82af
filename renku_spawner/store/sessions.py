"""Sessions, each read with its environment and the revision it is pinned to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import BindParameter, Select, bindparam, func, insert, or_, select, tuple_, update

from ..domain.environment import Environment, Revision
from ..domain.resources import Requirements
from ..domain.session import Configuration, Session, SessionChange
from ..domain.text import folded
from .environments import COLUMNS as ENVIRONMENT
from .environments import to_environment
from .faults import Lost
from .revisions import Revisions, raw
from .search import contains, cursor, has_keyword, keyword_pattern, pattern, place, searchable
from .statements import Statements
from .tables import environments, projects, sessions

_S, _E, _P = sessions.c, environments.c, projects.c
_OWN = (
    _S.id, _S.project, _S.revision, _S.title, _S.description, _S.cpu, _S.memory, _S.gpu, _S.disk,
    raw(_S.repositories), raw(_S.variables), _S.created_by, _S.created_at, _S.deleted_at, _S.version, _S.position,
    _S.dismissed, raw(_S.storages),
)  # fmt: skip
_WHOLE = select(*_OWN, *ENVIRONMENT).select_from(sessions).join(environments, _E.id == _S.environment)
_KEY: BindParameter[str] = bindparam("key")
_LIVING = _S.deleted_at.is_(None)
_ANY = _WHOLE.where(_S.id == _KEY)
_GET = _ANY.where(_LIVING)
_SOME = _WHOLE.where(_S.id.in_(bindparam("keys", expanding=True)))
_OLDEST = _WHOLE.where(_S.project == _KEY, _LIVING, _S.id != bindparam("but")).order_by(_S.created_at, _S.id).limit(1)
_TITLES = select(_S.folded_title).where(_S.project == _KEY, _LIVING)
_BRIEF = select(_S.id, _S.title).where(_S.project == _KEY, _LIVING).order_by(_S.position, _S.id)
_COUNT = select(_P.session_count).where(_P.id == _KEY)
_COUNT_UP = update(projects).where(_P.id == _KEY).values(session_count=_P.session_count + 1)
_COUNT_DOWN = (
    update(projects)
    .where(_P.id == select(_S.project).where(_S.id == _KEY).scalar_subquery())
    .values(session_count=_P.session_count - 1)
)
_NEXT_POSITION = select(func.coalesce(func.max(_S.position), 0) + 1).where(_S.project == _KEY, _LIVING)
_INSERT = insert(sessions)
_UPDATE = update(sessions).where(_S.id == _KEY, _LIVING)
_CHANGE = _UPDATE.where(_S.version == bindparam("seen"))
_PIN = _CHANGE.values(revision=bindparam("pinned"), environment=bindparam("belongs"), version=_S.version + 1)
_DISMISS = _UPDATE.values(dismissed=bindparam("digest"))
_REPIN = update(sessions).where(_S.revision == bindparam("old")).values(revision=bindparam("new"))
_DELETE = _UPDATE.values(deleted_at=bindparam("now"), version=_S.version + 1)


@lru_cache
def _page(keyword: bool, search: bool, after: bool) -> Select[Any]:
    """One statement for each kind of question, so that SQLAlchemy compiles each once."""
    conditions = [_S.project == _KEY, _LIVING]
    if keyword:
        conditions.append(has_keyword(_E.search))
    if search:
        conditions.append(or_(contains(_S.search), contains(_E.search)))
    if after:
        conditions.append(tuple_(_S.position, _S.id) > tuple_(bindparam("position"), bindparam("after_id")))
    return _WHOLE.where(*conditions).order_by(_S.position, _S.id).limit(bindparam("most"))


class SessionStore:
    def __init__(self, statements: Statements, revisions: Revisions) -> None:
        self._db = statements
        self._revisions = revisions

    def get(self, id: str, deleted: bool = False) -> Session | None:
        """The session, with *deleted* also when it has been removed from its project."""
        return self._one(self._db.rows(_ANY if deleted else _GET, key=id))

    def some(self, ids: Iterable[str]) -> dict[str, Session]:
        """Those sessions by id, also if they have been removed from their project."""
        rows = self._db.rows(_SOME, keys=sorted(ids))
        return {session.id: session for session in self._whole(rows)}

    def of_project(
        self,
        project_id: str,
        *,
        after: str | None = None,
        limit: int = 20,
        keyword: str | None = None,
        search: str = "",
    ) -> tuple[list[Session], str | None]:
        """One page in the order in which they were added, and where the next one begins.

        Raises:
            Invalid: *after* is nothing that a page has offered.
        """
        values = {**pattern(search), **keyword_pattern(keyword or "")}
        if after is not None:
            values |= zip(("position", "after_id"), place(after, int, str), strict=True)
        statement = _page(bool(keyword), bool(search), after is not None)
        rows = self._db.rows(statement, key=project_id, most=limit + 1, **values)
        found = self._whole(rows[:limit])
        following = cursor(found[-1].position, found[-1].id) if len(rows) > limit else None
        return found, following

    def count(self, project_id: str) -> int:
        """How many living sessions the project has, without counting them."""
        return self._db.value(_COUNT, key=project_id) or 0

    def add(
        self,
        *,
        id: str,
        project: str,
        environment: Environment,
        revision: Revision,
        title: str,
        description: str,
        configuration: Configuration,
        by: str,
        now: datetime,
    ) -> Session:
        """A session at the end of the project's. Raises Clash: `title`."""
        self._db.run(_COUNT_UP, key=project)  # first: it makes a parallel addition wait, so that positions differ
        session = Session(
            id=id, project=project, environment=environment, revision=revision, title=title, description=description,
            configuration=configuration, created_by=by, created_at=now, deleted_at=None, version=1,
            position=self._db.value(_NEXT_POSITION, key=project),
        )  # fmt: skip
        self._db.run(
            _INSERT,
            id=id,
            project=project,
            environment=environment.id,
            revision=revision.id,
            created_by=by,
            created_at=now,
            version=1,
            position=session.position,
            **_written(session),
        )
        return session

    def change(
        self, session: Session, change: SessionChange, now: datetime, revision: Revision | None = None
    ) -> Session:
        """The session with what *change* says, and with another *revision* of its environment.

        Raises:
            Lost: somebody changed it since the version that *change* names.
            Clash: `title`.
        """
        said = {name: getattr(change, name) for name in ("title", "description", "configuration")}
        given = {name: value for name, value in said.items() if value is not None}
        changed = Session(**{**vars(session), **given, "version": change.version + 1})
        values = {**_written(changed), "version": changed.version, "revision": (revision or session.revision).id}
        return self._changed(session.id, self._db.run(_CHANGE.values(values), key=session.id, seen=change.version))

    def pin(self, session: Session, to: Revision) -> Session:
        """The session with another revision, of its environment or of that one's successor. Raises Lost."""
        rows = self._db.run(_PIN, key=session.id, seen=session.version, pinned=to.id, belongs=to.environment)
        return self._changed(session.id, rows)

    def dismiss(self, session: Session, digest: str) -> None:
        """Say no more of the newer image with that *digest*."""
        self._db.run(_DISMISS, key=session.id, digest=digest)

    def repin(self, old: str, new: str) -> None:
        """Every session with revision *old* has *new*: the same image, now that its content is known."""
        self._db.run(_REPIN, old=old, new=new)

    def delete(self, id: str, now: datetime) -> None:
        """Mark it deleted: its title is free again; instances of it stay with their owners."""
        if self._db.run(_DELETE, key=id, now=now):
            self._db.run(_COUNT_DOWN, key=id)

    def oldest(self, project_id: str, but: str) -> Session | None:
        """The oldest living session besides the one with id *but*."""
        return self._one(self._db.rows(_OLDEST, key=project_id, but=but))

    def titles(self, project_id: str) -> set[str]:
        """The titles that are taken, folded (`text.folded`)."""
        return {row[0] for row in self._db.rows(_TITLES, key=project_id)}

    def brief(self, project_id: str) -> list[tuple[str, str]]:
        """Id and title of each living session, in their order."""
        return [(row[0], row[1]) for row in self._db.rows(_BRIEF, key=project_id)]

    def _one(self, rows: Sequence[Sequence[Any]]) -> Session | None:
        found = self._whole(rows)
        return found[0] if found else None

    def _whole(self, rows: Sequence[Sequence[Any]]) -> list[Session]:
        newest, pinned = {row[len(_OWN)] for row in rows}, {row[2] for row in rows}
        revisions = self._revisions.some(newest | pinned)
        return [_session(row, revisions) for row in rows]

    def _changed(self, id: str, rows: int) -> Session:
        session = self.get(id) if rows else None
        if session is None:
            raise Lost
        return session


def _session(row: Sequence[Any], revisions: Mapping[str, Revision]) -> Session:
    environment = row[len(_OWN) :]
    return Session(
        id=row[0],
        project=row[1],
        environment=to_environment(environment, revisions[environment[0]]),
        revision=revisions[row[2]],
        title=row[3],
        description=row[4],
        configuration=Configuration(
            needs=Requirements(cpu=row[5], memory=row[6], gpu=row[7], disk=row[8]),
            repositories=None if row[9] is None else tuple(json.loads(row[9])),
            storages=None if row[17] is None else tuple(json.loads(row[17])),
            variables={} if row[10] == "{}" else json.loads(row[10]),
        ),
        created_by=row[11],
        created_at=row[12],
        deleted_at=row[13],
        version=row[14],
        position=row[15],
        dismissed=row[16],
    )


def _written(session: Session) -> dict[str, Any]:
    """The columns that an edit changes, with those that are made from them."""
    configuration = session.configuration
    chosen, mounted = configuration.repositories, configuration.storages
    return {
        "title": session.title,
        "folded_title": folded(session.title),
        "description": session.description,
        "search": searchable(session.title, session.description),
        "cpu": configuration.needs.cpu,
        "memory": configuration.needs.memory,
        "gpu": configuration.needs.gpu,
        "disk": configuration.needs.disk,
        "repositories": None if chosen is None else list(chosen),
        "storages": None if mounted is None else list(mounted),
        "variables": dict(configuration.variables),
    }
