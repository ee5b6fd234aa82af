"""Read and write the storages of projects and the credentials that users save for them.

Secrets are encrypted by the caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, bindparam, delete, func, insert, select, update

from ..domain.storages import Storage, StorageCredentials, StorageProbe, StorageProbeOutcome
from ..domain.text import fold_title
from .statements import ConcurrentUpdate, StatementRunner
from .tables import storage_credentials, storages

_S, _C = storages.c, storage_credentials.c
_STORAGE_COLUMNS = (
    _S.id, _S.project, _S.position, _S.directory, _S.kind, _S.settings, _S.path, _S.credentials, _S.read_only,
    _S.created_by, _S.created_at, _S.version, _S.secret.is_not(None), _S.checked,
)  # fmt: skip
_STORAGE_KEY: BindParameter[str] = bindparam("key")
_CREDENTIALS_OWNER: BindParameter[str] = bindparam("person")
_SELECT_PROJECT_STORAGES = select(*_STORAGE_COLUMNS).where(_S.project == _STORAGE_KEY).order_by(_S.position, _S.id)
_SELECT_STORAGES_OF_PROJECTS = (
    select(*_STORAGE_COLUMNS).where(_S.project.in_(bindparam("keys", expanding=True))).order_by(_S.position, _S.id)
)
_SELECT_STORAGE_BY_ID = select(*_STORAGE_COLUMNS).where(_S.id == _STORAGE_KEY)
_SELECT_STORAGE_SECRETS = select(_S.id, _S.version, _S.secret).where(
    _S.id.in_(bindparam("keys", expanding=True)), _S.secret.is_not(None)
)
_SELECT_NEXT_STORAGE_POSITION = select(func.coalesce(func.max(_S.position), 0) + 1).where(_S.project == _STORAGE_KEY)
_INSERT_STORAGE = insert(storages)
_UPDATE_STORAGE_VERSION = update(storages).where(_S.id == _STORAGE_KEY, _S.version == bindparam("seen"))
_UPDATE_STORAGE_CHECK = (
    update(storages).where(_S.id == _STORAGE_KEY, _S.version == bindparam("seen")).values(checked=bindparam("found"))
)
_LOCK_STORAGE = update(storages).where(_S.id == _STORAGE_KEY).values(version=_S.version)
_LOCK_STORAGE_VERSION = _LOCK_STORAGE.where(_S.version == bindparam("seen"))
_DELETE_STORAGE = delete(storages).where(_S.id == _STORAGE_KEY)
_SELECT_PROJECT_STORAGE_IDS = select(_S.id).where(_S.project == _STORAGE_KEY)
_CLEAR_PROJECT_SECRETS = update(storages).where(_S.project == _STORAGE_KEY).values(secret=None, version=_S.version + 1)
_DELETE_PROJECT_CREDENTIALS = delete(storage_credentials).where(_C.storage.in_(_SELECT_PROJECT_STORAGE_IDS))
_SELECT_USER_SECRETS = (
    select(_C.storage, _S.version, _C.secret)
    .join(storages)
    .where(_C.username == _CREDENTIALS_OWNER, _C.storage.in_(bindparam("keys", expanding=True)))
)
_SELECT_USER_CREDENTIALS = (
    select(_C.storage, _C.kept_at, _S.directory, _S.project).join(storages).where(_C.username == _CREDENTIALS_OWNER)
)
_INSERT_CREDENTIALS = insert(storage_credentials)
_UPDATE_CREDENTIALS = update(storage_credentials).where(_C.storage == _STORAGE_KEY, _C.username == _CREDENTIALS_OWNER)
_DELETE_USER_CREDENTIALS = delete(storage_credentials).where(
    _C.storage == _STORAGE_KEY, _C.username == _CREDENTIALS_OWNER
)
_SELECT_CREDENTIALS_OWNERS = select(_C.username).distinct()
_DELETE_CREDENTIALS_OF_USERS = delete(storage_credentials).where(_C.username.in_(bindparam("names", expanding=True)))
_DELETE_CREDENTIALS_OF_STORAGE = delete(storage_credentials).where(_C.storage == _STORAGE_KEY)


@dataclass(frozen=True, kw_only=True)
class KeptCredentials:
    """A record that a user has saved credentials for a storage, without the secret."""

    storage: str
    directory: str
    project: str
    at: datetime


@dataclass(frozen=True)
class EncryptedSecret:
    """An encrypted secret, or None to store none."""

    secret: str | None = field(repr=False)


class StorageStore:
    def __init__(self, statements: StatementRunner) -> None:
        self._db = statements

    def list_for_project(self, project: str) -> list[Storage]:
        """Return the project's storages in the order in which they were added."""
        return [_to_storage(row) for row in self._db.fetch_all(_SELECT_PROJECT_STORAGES, key=project)]

    def list_for_projects(self, projects: Iterable[str]) -> list[Storage]:
        """Return the storages of several projects."""
        keys = sorted(projects)
        return [_to_storage(row) for row in self._db.fetch_all(_SELECT_STORAGES_OF_PROJECTS, keys=keys)] if keys else []

    def get(self, id: str) -> Storage | None:
        row = self._db.fetch_one(_SELECT_STORAGE_BY_ID, key=id)
        return _to_storage(row) if row else None

    def add(self, storage: Storage, sealed: EncryptedSecret) -> Storage:
        """Add a storage at the end of the project's list.

        Raises:
            UniqueConflict: `storage`.
        """
        position = self._db.fetch_value(_SELECT_NEXT_STORAGE_POSITION, key=storage.project)
        fixed = {"id": storage.id, "project": storage.project, "kind": storage.kind, "position": position}
        made = {"created_by": storage.created_by, "created_at": storage.created_at, "secret": sealed.secret}
        self._db.execute(_INSERT_STORAGE, **fixed, **made, version=1, **_to_storage_columns(storage))
        return self._require_storage(storage.id)

    def update(self, storage: Storage, seen: int, sealed: EncryptedSecret | None, *, moved: bool = False) -> Storage:
        """Store the changed *storage*, and replace its secret unless *sealed* is None.

        The credentials that users saved for it are deleted if it has *moved* to another address, or if it no longer
        uses each user's own credentials.

        Raises:
            ConcurrentUpdate: it was changed since version *seen*.
            UniqueConflict: `storage`.
        """
        values = {**_to_storage_columns(storage), "version": seen + 1} | ({"secret": sealed.secret} if sealed else {})
        if not self._db.execute(_UPDATE_STORAGE_VERSION.values(values), key=storage.id, seen=seen):
            raise ConcurrentUpdate
        # Only now: the row is locked, so a `save_credentials` for the former version cannot follow.
        if moved or storage.credentials is not StorageCredentials.USER:
            self._db.execute(_DELETE_CREDENTIALS_OF_STORAGE, key=storage.id)
        return self._require_storage(storage.id)

    def record_check(self, storage: Storage, look: StorageProbe) -> None:
        """Store the result of a probe, unless the storage was changed in the meantime."""
        self._db.execute(
            _UPDATE_STORAGE_CHECK, key=storage.id, seen=storage.version, found=_to_storage_check_json(look)
        )

    def delete(self, id: str) -> bool:
        """Delete the storage with all its credentials; return whether it existed."""
        self._db.execute(_LOCK_STORAGE, key=id)  # a parallel `save_credentials` finishes first, or finds no storage
        self._db.execute(_DELETE_CREDENTIALS_OF_STORAGE, key=id)
        return bool(self._db.execute(_DELETE_STORAGE, key=id))

    def delete_project_secrets(self, project: str) -> None:
        """Delete all credentials for the project's storages: those of the project, and those of its users."""
        self._db.execute(_CLEAR_PROJECT_SECRETS, key=project)
        self._db.execute(_DELETE_PROJECT_CREDENTIALS, key=project)

    def get_project_secrets(self, storages: Iterable[Storage]) -> dict[str, str]:
        """Return the projects' own encrypted secrets by storage id, without storages that were changed since."""
        return self._fetch_secrets_of_version(_SELECT_STORAGE_SECRETS, storages)

    def get_user_secrets(self, username: str, storages: Iterable[Storage]) -> dict[str, str]:
        """Return the encrypted secrets of *username* by storage id, without storages that were changed since."""
        return self._fetch_secrets_of_version(_SELECT_USER_SECRETS, storages, person=username)

    def list_user_credentials(self, username: str) -> list[KeptCredentials]:
        rows = self._db.fetch_all(_SELECT_USER_CREDENTIALS, person=username)
        return [KeptCredentials(storage=row[0], at=row[1], directory=row[2], project=row[3]) for row in rows]

    def save_credentials(self, storage: Storage, username: str, sealed: str, now: datetime) -> None:
        """Store the credentials that *username* entered for exactly this version of *storage*.

        Raises:
            ConcurrentUpdate: the storage was changed or removed.
            UniqueConflict: `storage`; the same user saved credentials for it in parallel.
        """
        if not self._db.execute(_LOCK_STORAGE_VERSION, key=storage.id, seen=storage.version):
            raise ConcurrentUpdate
        values = {"secret": sealed, "kept_at": now}
        if not self._db.execute(_UPDATE_CREDENTIALS.values(values), key=storage.id, person=username):
            self._db.execute(_INSERT_CREDENTIALS, storage=storage.id, username=username, **values)

    def delete_credentials(self, id: str, username: str) -> bool:
        """Delete the user's credentials for a storage; return whether there were any."""
        return bool(self._db.execute(_DELETE_USER_CREDENTIALS, key=id, person=username))

    def list_credentials_owners(self) -> list[str]:
        """Return the names of all users with saved credentials."""
        return [row[0] for row in self._db.fetch_all(_SELECT_CREDENTIALS_OWNERS)]

    def delete_credentials_of_users(self, names: Iterable[str]) -> int:
        """Delete all credentials of these users; return how many there were."""
        return self._db.execute(_DELETE_CREDENTIALS_OF_USERS, names=sorted(names))

    def _fetch_secrets_of_version(self, statement: Any, storages: Iterable[Storage], **values: str) -> dict[str, str]:
        """Return secrets by storage id.

        One statement reads each secret with its version, so that an address of one version is never used with a
        secret of another.
        """
        versions = {storage.id: storage.version for storage in storages}
        rows = self._db.fetch_all(statement, keys=sorted(versions), **values) if versions else ()
        return {id: secret for id, version, secret in rows if versions[id] == version}

    def _require_storage(self, id: str) -> Storage:
        storage = self.get(id)
        if storage is None:
            raise ConcurrentUpdate
        return storage


def _to_storage(row: Sequence[Any]) -> Storage:
    names = [column.name for column in _STORAGE_COLUMNS[:12]]
    values = dict(zip(names, row, strict=False))
    values["credentials"] = StorageCredentials(values["credentials"])
    return Storage(**values, kept=bool(row[12]), checked=_parse_storage_check(row[13]))


def _parse_storage_check(found: dict[str, str] | None) -> StorageProbe | None:
    return (
        StorageProbe(outcome=StorageProbeOutcome(found["outcome"]), at=datetime.fromisoformat(found["at"]))
        if found
        else None
    )


def _to_storage_check_json(look: StorageProbe | None) -> dict[str, str] | None:
    return {"outcome": str(look.outcome), "at": look.at.isoformat()} if look else None


def _to_storage_columns(storage: Storage) -> dict[str, Any]:
    """Return the columns that an edit changes, including the derived ones."""
    return {
        "directory": storage.directory,
        "folded_directory": fold_title(storage.directory),
        "settings": dict(storage.settings),
        "path": storage.path,
        "credentials": str(storage.credentials),
        "read_only": storage.read_only,
        "checked": _to_storage_check_json(storage.checked),
    }
