"""Storages of projects, and what people keep to open them. Secrets come encrypted and go encrypted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, bindparam, delete, func, insert, select, update

from ..domain.storage import Credentials, Look, Outcome, Storage
from ..domain.text import folded
from .faults import Lost
from .statements import Statements
from .tables_data import storage_credentials, storages

_S, _C = storages.c, storage_credentials.c
_FIELDS = (
    _S.id, _S.project, _S.position, _S.directory, _S.kind, _S.settings, _S.path, _S.credentials, _S.read_only,
    _S.created_by, _S.created_at, _S.version, _S.secret.is_not(None), _S.checked,
)  # fmt: skip
_KEY: BindParameter[str] = bindparam("key")
_NAME: BindParameter[str] = bindparam("person")
_OF_PROJECT = select(*_FIELDS).where(_S.project == _KEY).order_by(_S.position, _S.id)
_OF_PROJECTS = select(*_FIELDS).where(_S.project.in_(bindparam("keys", expanding=True))).order_by(_S.position, _S.id)
_GET = select(*_FIELDS).where(_S.id == _KEY)
_SECRETS = select(_S.id, _S.version, _S.secret).where(
    _S.id.in_(bindparam("keys", expanding=True)), _S.secret.is_not(None)
)
_NEXT = select(func.coalesce(func.max(_S.position), 0) + 1).where(_S.project == _KEY)
_INSERT = insert(storages)
_CHANGE = update(storages).where(_S.id == _KEY, _S.version == bindparam("seen"))
_NOTE = update(storages).where(_S.id == _KEY, _S.version == bindparam("seen")).values(checked=bindparam("found"))
_LOCK = update(storages).where(_S.id == _KEY).values(version=_S.version)
_LOCK_VERSION = _LOCK.where(_S.version == bindparam("seen"))
_DELETE = delete(storages).where(_S.id == _KEY)
_THERE = select(_S.id).where(_S.project == _KEY)
_WIPE = update(storages).where(_S.project == _KEY).values(secret=None, version=_S.version + 1)
_WIPE_KEPT = delete(storage_credentials).where(_C.storage.in_(_THERE))
_KEPT = (
    select(_C.storage, _S.version, _C.secret)
    .join(storages)
    .where(_C.username == _NAME, _C.storage.in_(bindparam("keys", expanding=True)))
)
_MINE = select(_C.storage, _C.kept_at, _S.directory, _S.project).join(storages).where(_C.username == _NAME)
_KEEP = insert(storage_credentials)
_RENEW = update(storage_credentials).where(_C.storage == _KEY, _C.username == _NAME)
_FORGET = delete(storage_credentials).where(_C.storage == _KEY, _C.username == _NAME)
_KEEPERS = select(_C.username).distinct()
_FORGET_PEOPLE = delete(storage_credentials).where(_C.username.in_(bindparam("names", expanding=True)))
_FORGET_ALL_OF = delete(storage_credentials).where(_C.storage == _KEY)


@dataclass(frozen=True, kw_only=True)
class Kept:
    """That a person keeps credentials for a storage."""

    storage: str
    directory: str
    project: str
    at: datetime


@dataclass(frozen=True)
class Sealed:
    """An encrypted secret, or None to store none."""

    secret: str | None = field(repr=False)


class StorageStore:
    def __init__(self, statements: Statements) -> None:
        self._db = statements

    def of_project(self, project: str) -> list[Storage]:
        """In the order in which they were added."""
        return [_storage(row) for row in self._db.rows(_OF_PROJECT, key=project)]

    def of_projects(self, projects: Iterable[str]) -> list[Storage]:
        """Those of several projects."""
        keys = sorted(projects)
        return [_storage(row) for row in self._db.rows(_OF_PROJECTS, keys=keys)] if keys else []

    def get(self, id: str) -> Storage | None:
        row = self._db.row(_GET, key=id)
        return _storage(row) if row else None

    def add(self, storage: Storage, sealed: Sealed) -> Storage:
        """At the end of the project's. Raises Clash: `storage`."""
        position = self._db.value(_NEXT, key=storage.project)
        fixed = {"id": storage.id, "project": storage.project, "kind": storage.kind, "position": position}
        made = {"created_by": storage.created_by, "created_at": storage.created_at, "secret": sealed.secret}
        self._db.run(_INSERT, **fixed, **made, version=1, **_written(storage))
        return self._there(storage.id)

    def change(self, storage: Storage, seen: int, sealed: Sealed | None, *, moved: bool = False) -> Storage:
        """Store *storage*, and another secret unless *sealed* is None.

        The credentials that users keep for it are deleted if it has *moved* to another address, or if it is not opened
        with each user's own any more.

        Raises:
            Lost: it was changed since version *seen*.
            Clash: `storage`.
        """
        values = {**_written(storage), "version": seen + 1} | ({"secret": sealed.secret} if sealed else {})
        if not self._db.run(_CHANGE.values(values), key=storage.id, seen=seen):
            raise Lost
        # Only now: the row is locked, so that no `keep` of the former version can come behind this.
        if moved or storage.credentials is not Credentials.USER:
            self._db.run(_FORGET_ALL_OF, key=storage.id)
        return self._there(storage.id)

    def note(self, storage: Storage, look: Look) -> None:
        """What a look has found, unless the storage has changed meanwhile."""
        self._db.run(_NOTE, key=storage.id, seen=storage.version, found=_as_json(look))

    def remove(self, id: str) -> bool:
        """With all credentials for it; whether it was there."""
        self._db.run(_LOCK, key=id)  # a `keep` that runs now is waited for, or finds nothing
        self._db.run(_FORGET_ALL_OF, key=id)
        return bool(self._db.run(_DELETE, key=id))

    def wipe(self, project: str) -> None:
        """Forget all credentials for what the project has: its own, and those of its people."""
        self._db.run(_WIPE, key=project)
        self._db.run(_WIPE_KEPT, key=project)

    def secrets(self, storages: Iterable[Storage]) -> dict[str, str]:
        """The projects' own, encrypted, by storage; without those of storages that have another version by now."""
        return self._of_version(_SECRETS, storages)

    def kept(self, username: str, storages: Iterable[Storage]) -> dict[str, str]:
        """What *username* keeps for those storages, likewise."""
        return self._of_version(_KEPT, storages, person=username)

    def mine(self, username: str) -> list[Kept]:
        rows = self._db.rows(_MINE, person=username)
        return [Kept(storage=row[0], at=row[1], directory=row[2], project=row[3]) for row in rows]

    def keep(self, storage: Storage, username: str, sealed: str, now: datetime) -> None:
        """Store the credentials that *username* entered for this very version of *storage*.

        Raises:
            Lost: the storage was changed or removed.
            Clash: `storage`, when the same person keeps two at once.
        """
        if not self._db.run(_LOCK_VERSION, key=storage.id, seen=storage.version):
            raise Lost
        values = {"secret": sealed, "kept_at": now}
        if not self._db.run(_RENEW.values(values), key=storage.id, person=username):
            self._db.run(_KEEP, storage=storage.id, username=username, **values)

    def forget(self, id: str, username: str) -> bool:
        """Whether there was anything."""
        return bool(self._db.run(_FORGET, key=id, person=username))

    def keepers(self) -> list[str]:
        """Who keeps anything."""
        return [row[0] for row in self._db.rows(_KEEPERS)]

    def forget_people(self, names: Iterable[str]) -> int:
        """All that these people keep; how much it was."""
        return self._db.run(_FORGET_PEOPLE, names=sorted(names))

    def _of_version(self, statement: Any, storages: Iterable[Storage], **values: str) -> dict[str, str]:
        """Secrets by storage. One statement reads a secret with the version that it belongs to, so that no address of
        one version ever meets a secret of another."""
        versions = {storage.id: storage.version for storage in storages}
        rows = self._db.rows(statement, keys=sorted(versions), **values) if versions else ()
        return {id: secret for id, version, secret in rows if versions[id] == version}

    def _there(self, id: str) -> Storage:
        found = self.get(id)
        if found is None:
            raise Lost
        return found


def _storage(row: Sequence[Any]) -> Storage:
    names = [column.name for column in _FIELDS[:12]]
    values = dict(zip(names, row, strict=False))
    values["credentials"] = Credentials(values["credentials"])
    return Storage(**values, kept=bool(row[12]), checked=_look(row[13]))


def _look(found: dict[str, str] | None) -> Look | None:
    return Look(outcome=Outcome(found["outcome"]), at=datetime.fromisoformat(found["at"])) if found else None


def _as_json(look: Look | None) -> dict[str, str] | None:
    return {"outcome": str(look.outcome), "at": look.at.isoformat()} if look else None


def _written(storage: Storage) -> dict[str, Any]:
    """The columns that an edit changes, with those that are made from them."""
    return {
        "directory": storage.directory,
        "folded_directory": folded(storage.directory),
        "settings": dict(storage.settings),
        "path": storage.path,
        "credentials": str(storage.credentials),
        "read_only": storage.read_only,
        "checked": _as_json(storage.checked),
    }
