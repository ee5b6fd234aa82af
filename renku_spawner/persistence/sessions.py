"""Read and write sessions, each with its environment and the revision it is pinned to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import BindParameter, Select, bindparam, func, insert, or_, select, tuple_, update

from ..domain.configuration_fields import FieldKind
from ..domain.environments import Environment, Revision
from ..domain.sessions import CONFIGURATION_FIELDS, Session, SessionChange, SessionConfiguration
from ..domain.text import fold_title
from .environments import ENVIRONMENT_COLUMNS, RevisionStore, cast_json_to_text, to_environment
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
from .tables import environments, projects, sessions

_S, _E, _P = sessions.c, environments.c, projects.c
_SESSION_COLUMNS = (
    _S.id,
    _S.project,
    _S.revision,
    _S.title,
    _S.description,
    _S.created_by,
    _S.created_at,
    _S.deleted_at,
    _S.version,
    _S.position,
    _S.dismissed,
)
_JSON_KINDS = (FieldKind.DIRECTORIES, FieldKind.VARIABLES)
_CONFIGURATION_COLUMNS = tuple(
    cast_json_to_text(_S[each.name]) if each.kind in _JSON_KINDS else _S[each.name] for each in CONFIGURATION_FIELDS
)
_ENVIRONMENT_OFFSET = len(_SESSION_COLUMNS) + len(_CONFIGURATION_COLUMNS)
_SELECT_SESSIONS = (
    select(*_SESSION_COLUMNS, *_CONFIGURATION_COLUMNS, *ENVIRONMENT_COLUMNS)
    .select_from(sessions)
    .join(environments, _E.id == _S.environment)
)
_SESSION_KEY: BindParameter[str] = bindparam("key")
_IS_LIVING_SESSION = _S.deleted_at.is_(None)
_SELECT_SESSION_OR_DELETED = _SELECT_SESSIONS.where(_S.id == _SESSION_KEY)
_SELECT_LIVING_SESSION = _SELECT_SESSION_OR_DELETED.where(_IS_LIVING_SESSION)
_SELECT_SESSIONS_BY_IDS = _SELECT_SESSIONS.where(_S.id.in_(bindparam("keys", expanding=True)))
_SELECT_OLDEST_OTHER_SESSION = (
    _SELECT_SESSIONS.where(_S.project == _SESSION_KEY, _IS_LIVING_SESSION, _S.id != bindparam("but"))
    .order_by(_S.created_at, _S.id)
    .limit(1)
)
_SELECT_FOLDED_TITLES = select(_S.folded_title).where(_S.project == _SESSION_KEY, _IS_LIVING_SESSION)
_SELECT_SESSION_IDS_AND_TITLES = (
    select(_S.id, _S.title).where(_S.project == _SESSION_KEY, _IS_LIVING_SESSION).order_by(_S.position, _S.id)
)
_SELECT_SESSION_COUNT = select(_P.session_count).where(_P.id == _SESSION_KEY)
_INCREMENT_SESSION_COUNT = update(projects).where(_P.id == _SESSION_KEY).values(session_count=_P.session_count + 1)
_DECREMENT_SESSION_COUNT = (
    update(projects)
    .where(_P.id == select(_S.project).where(_S.id == _SESSION_KEY).scalar_subquery())
    .values(session_count=_P.session_count - 1)
)
_SELECT_NEXT_SESSION_POSITION = select(func.coalesce(func.max(_S.position), 0) + 1).where(
    _S.project == _SESSION_KEY, _IS_LIVING_SESSION
)
_INSERT_SESSION = insert(sessions)
_UPDATE_SESSION = update(sessions).where(_S.id == _SESSION_KEY, _IS_LIVING_SESSION)
_UPDATE_SESSION_VERSION = _UPDATE_SESSION.where(_S.version == bindparam("seen"))
_PIN_SESSION_REVISION = _UPDATE_SESSION_VERSION.values(
    revision=bindparam("pinned"), environment=bindparam("belongs"), version=_S.version + 1
)
_DISMISS_SESSION_IMAGE = _UPDATE_SESSION.values(dismissed=bindparam("digest"))
_REPLACE_SESSION_REVISION = update(sessions).where(_S.revision == bindparam("old")).values(revision=bindparam("new"))
_MARK_SESSION_DELETED = _UPDATE_SESSION.values(deleted_at=bindparam("now"), version=_S.version + 1)


@lru_cache
def _build_session_page_statement(keyword: bool, search: bool, after: bool) -> Select[Any]:
    """Build one cached statement per combination of filters, so that SQLAlchemy compiles each only once."""
    conditions = [_S.project == _SESSION_KEY, _IS_LIVING_SESSION]
    if keyword:
        conditions.append(build_keyword_condition(_E.search))
    if search:
        conditions.append(or_(build_text_condition(_S.search), build_text_condition(_E.search)))
    if after:
        conditions.append(tuple_(_S.position, _S.id) > tuple_(bindparam("position"), bindparam("after_id")))
    return _SELECT_SESSIONS.where(*conditions).order_by(_S.position, _S.id).limit(bindparam("most"))


class SessionStore:
    def __init__(self, statements: StatementRunner, revisions: RevisionStore) -> None:
        self._db = statements
        self._revisions = revisions

    def get(self, id: str, deleted: bool = False) -> Session | None:
        """Return the session, or None. With *deleted*, also return one that was removed from its project."""
        return self._to_session_or_none(
            self._db.fetch_all(_SELECT_SESSION_OR_DELETED if deleted else _SELECT_LIVING_SESSION, key=id)
        )

    def get_many(self, ids: Iterable[str]) -> dict[str, Session]:
        """Return the sessions by id, including those that were removed from their project."""
        rows = self._db.fetch_all(_SELECT_SESSIONS_BY_IDS, keys=sorted(ids))
        return {session.id: session for session in self._to_sessions(rows)}

    def list_for_project(
        self,
        project_id: str,
        *,
        after: str | None = None,
        limit: int = 20,
        keyword: str | None = None,
        search: str = "",
    ) -> tuple[list[Session], str | None]:
        """Return one page in the order of creation, and the cursor of the next page.

        Raises:
            InvalidInputError: *after* is not a cursor of an earlier page.
        """
        values = {**build_text_pattern(search), **build_keyword_pattern(keyword or "")}
        if after is not None:
            values |= zip(("position", "after_id"), decode_cursor(after, int, str), strict=True)
        statement = _build_session_page_statement(bool(keyword), bool(search), after is not None)
        rows = self._db.fetch_all(statement, key=project_id, most=limit + 1, **values)
        page = self._to_sessions(rows[:limit])
        following = encode_cursor(page[-1].position, page[-1].id) if len(rows) > limit else None
        return page, following

    def count_for_project(self, project_id: str) -> int:
        """Return the number of living sessions of the project, from a stored counter."""
        return self._db.fetch_value(_SELECT_SESSION_COUNT, key=project_id) or 0

    def add(
        self,
        *,
        id: str,
        project: str,
        environment: Environment,
        revision: Revision,
        title: str,
        description: str,
        configuration: SessionConfiguration,
        by: str,
        now: datetime,
    ) -> Session:
        """Add a session at the end of the project's list.

        Raises:
            UniqueConflict: `title`.
        """
        # First: this locks the project's row, so that parallel additions get different positions.
        self._db.execute(_INCREMENT_SESSION_COUNT, key=project)
        session = Session(
            id=id, project=project, environment=environment, revision=revision, title=title, description=description,
            configuration=configuration, created_by=by, created_at=now, deleted_at=None, version=1,
            position=self._db.fetch_value(_SELECT_NEXT_SESSION_POSITION, key=project),
        )  # fmt: skip
        self._db.execute(
            _INSERT_SESSION,
            id=id,
            project=project,
            environment=environment.id,
            revision=revision.id,
            created_by=by,
            created_at=now,
            version=1,
            position=session.position,
            **_to_session_columns(session),
        )
        return session

    def update(
        self, session: Session, change: SessionChange, now: datetime, revision: Revision | None = None
    ) -> Session:
        """Apply *change* to the session, and switch it to another *revision* of its environment if one is given.

        Raises:
            ConcurrentUpdate: the session was changed since the version that *change* names.
            UniqueConflict: `title`.
        """
        fields = {name: getattr(change, name) for name in ("title", "description", "configuration")}
        given = {name: value for name, value in fields.items() if value is not None}
        changed = replace(session, **{**given, "version": change.version + 1})
        values = {
            **_to_session_columns(changed),
            "version": changed.version,
            "revision": (revision or session.revision).id,
            "environment": (revision or session.revision).environment,
        }
        return self._require_updated(
            session.id, self._db.execute(_UPDATE_SESSION_VERSION.values(values), key=session.id, seen=change.version)
        )

    def pin_revision(self, session: Session, to: Revision) -> Session:
        """Pin the session to another revision, of its environment or of another one.

        Raises:
            ConcurrentUpdate: the session was changed since it was read.
        """
        rows = self._db.execute(
            _PIN_SESSION_REVISION, key=session.id, seen=session.version, pinned=to.id, belongs=to.environment
        )
        return self._require_updated(session.id, rows)

    def dismiss_image(self, session: Session, digest: str) -> None:
        """Dismiss the update to the newer image with that *digest*."""
        self._db.execute(_DISMISS_SESSION_IMAGE, key=session.id, digest=digest)

    def replace_revision(self, old: str, new: str) -> None:
        """Replace revision *old* with *new* in all sessions: the same image, now with a known digest."""
        self._db.execute(_REPLACE_SESSION_REVISION, old=old, new=new)

    def delete(self, id: str, now: datetime) -> None:
        """Mark the session as deleted. Its title becomes free again, and its instances stay with their owners."""
        if self._db.execute(_MARK_SESSION_DELETED, key=id, now=now):
            self._db.execute(_DECREMENT_SESSION_COUNT, key=id)

    def find_oldest_except(self, project_id: str, but: str) -> Session | None:
        """Return the oldest living session of the project except the one with id *but*."""
        return self._to_session_or_none(self._db.fetch_all(_SELECT_OLDEST_OTHER_SESSION, key=project_id, but=but))

    def list_folded_titles(self, project_id: str) -> set[str]:
        """Return the titles in use, folded with `fold_title`."""
        return {row[0] for row in self._db.fetch_all(_SELECT_FOLDED_TITLES, key=project_id)}

    def list_ids_and_titles(self, project_id: str) -> list[tuple[str, str]]:
        """Return the id and title of each living session, in page order."""
        return [(row[0], row[1]) for row in self._db.fetch_all(_SELECT_SESSION_IDS_AND_TITLES, key=project_id)]

    def _to_session_or_none(self, rows: Sequence[Sequence[Any]]) -> Session | None:
        sessions = self._to_sessions(rows)
        return sessions[0] if sessions else None

    def _to_sessions(self, rows: Sequence[Sequence[Any]]) -> list[Session]:
        newest, pinned = {row[_ENVIRONMENT_OFFSET] for row in rows}, {row[2] for row in rows}
        revisions = self._revisions.get_many(newest | pinned)
        return [_to_session(tuple(row), revisions[row[2]], revisions[row[_ENVIRONMENT_OFFSET]]) for row in rows]

    def _require_updated(self, id: str, rows: int) -> Session:
        session = self.get(id) if rows else None
        if session is None:
            raise ConcurrentUpdate
        return session


@lru_cache(maxsize=2048)  # by all values, so it is never out of date; a page has the same sessions again and again
def _to_session(row: tuple[Any, ...], pinned: Revision, newest: Revision) -> Session:
    """Build a session from a row; *newest* is the newest revision of its environment."""
    return Session(
        id=row[0],
        project=row[1],
        environment=to_environment(row[_ENVIRONMENT_OFFSET:], newest),
        revision=pinned,
        title=row[3],
        description=row[4],
        configuration=_to_configuration(row[len(_SESSION_COLUMNS) : _ENVIRONMENT_OFFSET]),
        created_by=row[5],
        created_at=row[6],
        deleted_at=row[7],
        version=row[8],
        position=row[9],
        dismissed=row[10],
    )


def _to_configuration(row: Sequence[Any]) -> SessionConfiguration:
    values = {
        each.name: json.loads(value) if value is not None and each.kind in _JSON_KINDS else value
        for each, value in zip(CONFIGURATION_FIELDS, row, strict=True)
    }
    return SessionConfiguration().with_values(values)


def _to_session_columns(session: Session) -> dict[str, Any]:
    """Return the columns that an edit changes, including the derived ones."""
    return {
        "title": session.title,
        "folded_title": fold_title(session.title),
        "description": session.description,
        "search": build_search_text(session.title, session.description),
        **session.configuration.values,
    }
