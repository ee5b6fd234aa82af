"""The forms of storages: their fields as values, and values as their fields; credentials are never shown again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ..domain.storage import Credentials, NewStorage, OwnCredentials, Storage, StorageChange
from ..domain.storage_kinds import Kind
from . import bodies
from .bodies import Body, FormVersion, Text, Word

SETTING, SECRET, SEEN = "setting_", "secret_", "version_"


class StorageForm(Body):
    kind: Word = ""
    directory: Word = ""
    path: Text = ""
    credentials: Literal["none", "project", "user"] = "none"
    access: Literal["read", "write"] = "read"
    version: FormVersion = 0

    def new(self, fields: Mapping[str, Any]) -> NewStorage:
        return NewStorage(
            kind=self.kind, directory=self.directory, path=self.path, credentials=Credentials(self.credentials),
            read_only=self.access == "read", settings=said(fields, SETTING), secrets=said(fields, SECRET),
        )  # fmt: skip

    def change(self, fields: Mapping[str, Any]) -> StorageChange:
        """Credentials that are left empty stay as they are."""
        return StorageChange(
            version=self.version, path=self.path, credentials=Credentials(self.credentials),
            read_only=self.access == "read", settings=said(fields, SETTING),
            secrets=said(fields, SECRET) or None,
        )  # fmt: skip


class CredentialsForm(Body):
    keep: Literal["", "yes"] = ""
    start: Literal["", "yes"] = ""
    resource_class: Word | None = None
    version: Word = ""  # the launch version of what the page showed


def read(fields: Mapping[str, Any]) -> StorageForm:
    """Raises Invalid, as `RenkuHandler.filled`; options are for the domain to judge."""
    plain = {k: v for k, v in fields.items() if k != "_xsrf" and not k.startswith((SETTING, SECRET))}
    return bodies.check(StorageForm, plain)


def check(fields: Mapping[str, Any]) -> CredentialsForm:
    """What stands beside one's own credentials. Raises Invalid."""
    return bodies.check(CredentialsForm, {key: value for key, value in fields.items() if not _is_of_storage(key)})


def said(fields: Mapping[str, Any], prefix: str) -> dict[str, str]:
    """What was typed into the options, by their names."""
    found = {key.removeprefix(prefix): value for key, value in fields.items() if key.startswith(prefix)}
    return {key: value for key, value in found.items() if isinstance(value, str) and value.strip()}


def _is_of_storage(key: str) -> bool:
    return key == "_xsrf" or key.startswith((SECRET, SEEN))


def own(fields: Mapping[str, Any]) -> dict[str, OwnCredentials]:
    """One's own credentials as they were typed, by the ids of the storages; one with nothing typed is left out.

    A form without the version of a storage is from before it carried one: no version is 0, so that it has changed.
    """
    ids = dict.fromkeys(key.removeprefix(SECRET).partition("_")[0] for key in fields if key.startswith(SECRET))
    typed = {id: said(fields, f"{SECRET}{id}_") for id in ids}
    return {
        id: OwnCredentials(version=bodies.parse_version(fields.get(f"{SEEN}{id}")), secrets=secrets)
        for id, secrets in typed.items()
        if secrets
    }


def blank(kind: Kind) -> dict[str, Any]:
    whose = "none" if kind.anonymous else "project"
    return {"kind": kind.name, "directory": "", "path": "", "credentials": whose, "access": "read", "version": "0"}


def of_storage(storage: Storage) -> dict[str, Any]:
    shown = {f"{SETTING}{name}": value for name, value in storage.settings.items()}
    return shown | {
        "kind": storage.kind, "directory": storage.directory, "path": storage.path, "version": str(storage.version),
        "credentials": str(storage.credentials), "access": "read" if storage.read_only else "write",
    }  # fmt: skip


def field(name: str) -> str:
    """Where the form says what the domain says of a field: `settings.region` stands at `setting_region`."""
    where, dot, option = name.partition(".")
    prefixes = {"settings": SETTING, "secrets": SECRET}
    return f"{prefixes[where]}{option}" if dot and where in prefixes else name.replace("read_only", "access")
