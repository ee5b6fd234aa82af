"""Detect hub users that were deleted and created again under the same name, so that they inherit nothing."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import BindParameter, bindparam, delete, insert, select, update

from .statements import StatementRunner
from .tables import instances, launches, members, people, storage_credentials

_USER_NAME: BindParameter[str] = bindparam("person")
_SELECT_KNOWN_USER = select(people.c.name, people.c.since).where(people.c.name == _USER_NAME)
_INSERT_KNOWN_USER = insert(people)
_UPDATE_KNOWN_USER = update(people).where(people.c.name == _USER_NAME).values(since=bindparam("at"))
_DELETE_FORMER_MEMBERSHIPS = delete(members).where(
    members.c.kind == "user", members.c.name == _USER_NAME, members.c.added_at < bindparam("at")
)
_DELETE_FORMER_CREDENTIALS = delete(storage_credentials).where(
    storage_credentials.c.username == _USER_NAME, storage_credentials.c.kept_at < bindparam("at")
)
_RENAME_FORMER_USER_STATEMENTS = [
    update(table).where(table.c.username == _USER_NAME).values(username=bindparam("former"))
    for table in (instances, launches)
]


class KnownUserStore:
    def __init__(self, statements: StatementRunner) -> None:
        self._db = statements

    def is_known(self, name: str, since: datetime | None) -> bool:
        """Return whether `record_user` would change nothing. Reads only."""
        row = self._db.fetch_one(_SELECT_KNOWN_USER, person=name)
        return row is not None and (since is None or row[1] == since)

    def record_user(self, name: str, since: datetime | None) -> bool:
        """Record that the hub created user *name* at *since*; return True if this replaced a former user.

        If an older user of that name is known, that user was deleted. Their memberships and storage credentials are
        removed. Their instances and launches are kept under a name that no user can have.
        """
        row = self._db.fetch_one(_SELECT_KNOWN_USER, person=name)
        if row is None:
            self._db.execute(_INSERT_KNOWN_USER, name=name, since=since)
            return False
        if since is None or (row[1] is not None and row[1] >= since):
            return False
        self._db.execute(_UPDATE_KNOWN_USER, person=name, at=since)
        if row[1] is None:
            return False
        for deletion in (_DELETE_FORMER_MEMBERSHIPS, _DELETE_FORMER_CREDENTIALS):
            self._db.execute(deletion, person=name, at=since)
        former = f"{name} (before {since.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ})"
        for renaming in _RENAME_FORMER_USER_STATEMENTS:
            self._db.execute(renaming, person=name, former=former)
        return True
