"""Whom Renku has met: a name that was deleted and made again is somebody else (decision 23)."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import BindParameter, bindparam, delete, insert, select, update

from .statements import Statements
from .tables import members, people
from .tables_data import storage_credentials
from .tables_runs import instances, launches

_NAME: BindParameter[str] = bindparam("person")
_KNOWN = select(people.c.name, people.c.since).where(people.c.name == _NAME)
_INSERT = insert(people)
_SET = update(people).where(people.c.name == _NAME).values(since=bindparam("at"))
_FORGET_MEMBER = delete(members).where(
    members.c.kind == "user", members.c.name == _NAME, members.c.added_at < bindparam("at")
)
_FORGET_KEPT = delete(storage_credentials).where(
    storage_credentials.c.username == _NAME, storage_credentials.c.kept_at < bindparam("at")
)
_RENAME = [
    update(table).where(table.c.username == _NAME).values(username=bindparam("former"))
    for table in (instances, launches)
]


class PeopleStore:
    def __init__(self, statements: Statements) -> None:
        self._db = statements

    def is_known(self, name: str, since: datetime | None) -> bool:
        """Whether `seen` would change nothing; reads only."""
        row = self._db.row(_KNOWN, person=name)
        return row is not None and (since is None or row[1] == since)

    def seen(self, name: str, since: datetime | None) -> bool:
        """Remember that the hub made user *name* at *since*.

        When an older user of that name is known, that one is gone: memberships from
        before are removed, with credentials for storages; instances and launches stay with the former person, under
        a name that no user can have. True if that happened.
        """
        row = self._db.row(_KNOWN, person=name)
        if row is None:
            self._db.run(_INSERT, name=name, since=since)
            return False
        if since is None or (row[1] is not None and row[1] >= since):
            return False
        self._db.run(_SET, person=name, at=since)
        if row[1] is None:
            return False
        for forget in (_FORGET_MEMBER, _FORGET_KEPT):
            self._db.run(forget, person=name, at=since)
        former = f"{name} (before {since.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ})"
        for rename in _RENAME:
            self._db.run(rename, person=name, former=former)
        return True
