"""Forms of storages and storage credentials, and the field values that fill them.

Stored credentials are never shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ...domain.storages import (
    NewStorage,
    OwnStorageCredentials,
    Storage,
    StorageChange,
    StorageCredentials,
    StorageKind,
)
from ...domain.text import LongText, ShortText
from ..schemas import BaseBody, FormVersion, parse_form_version, validate_model

SETTING_FIELD_PREFIX, SECRET_FIELD_PREFIX, VERSION_FIELD_PREFIX = "setting_", "secret_", "version_"


class StorageForm(BaseBody):
    kind: ShortText = ""
    directory: ShortText = ""
    path: LongText = ""
    credentials: Literal["none", "project", "user"] = "none"
    access: Literal["read", "write"] = "read"
    version: FormVersion = 0

    def to_new_storage(self, fields: Mapping[str, Any]) -> NewStorage:
        return NewStorage(
            kind=self.kind,
            directory=self.directory,
            path=self.path,
            credentials=StorageCredentials(self.credentials),
            read_only=self.access == "read",
            settings=get_typed_options(fields, SETTING_FIELD_PREFIX),
            secrets=get_typed_options(fields, SECRET_FIELD_PREFIX),
        )

    def to_storage_change(self, fields: Mapping[str, Any]) -> StorageChange:
        """Return the change; empty credentials stay as they are."""
        return StorageChange(
            version=self.version, path=self.path, credentials=StorageCredentials(self.credentials),
            read_only=self.access == "read", settings=get_typed_options(fields, SETTING_FIELD_PREFIX),
            secrets=get_typed_options(fields, SECRET_FIELD_PREFIX) or None,
        )  # fmt: skip


class SessionCredentialsForm(BaseBody):
    keep: Literal["", "yes"] = ""
    start: Literal["", "yes"] = ""
    resource_class: ShortText | None = None
    version: ShortText = ""  # the launch version that the page showed


def read_storage_form(fields: Mapping[str, Any]) -> StorageForm:
    """Parse the form without its options, which the domain checks. Raises InvalidInputError."""
    plain = {
        k: v
        for k, v in fields.items()
        if k != "_xsrf" and not k.startswith((SETTING_FIELD_PREFIX, SECRET_FIELD_PREFIX))
    }
    return validate_model(StorageForm, plain)


def read_session_credentials_form(fields: Mapping[str, Any]) -> SessionCredentialsForm:
    """Parse the form without its credentials. Raises InvalidInputError."""
    return validate_model(
        SessionCredentialsForm, {key: value for key, value in fields.items() if not _is_credential_field(key)}
    )


def get_typed_options(fields: Mapping[str, Any], prefix: str) -> dict[str, str]:
    """Return the typed options by their names."""
    options = {key.removeprefix(prefix): value for key, value in fields.items() if key.startswith(prefix)}
    return {key: value for key, value in options.items() if isinstance(value, str) and value.strip()}


def _is_credential_field(key: str) -> bool:
    return key == "_xsrf" or key.startswith((SECRET_FIELD_PREFIX, VERSION_FIELD_PREFIX))


def parse_own_credentials(fields: Mapping[str, Any]) -> dict[str, OwnStorageCredentials]:
    """Parse the user's own credentials by the ids of storages; storages with nothing typed are left out.

    A form of an earlier release has no version of a storage; it counts as 0, so that the storage has changed.
    """
    ids = dict.fromkeys(
        key.removeprefix(SECRET_FIELD_PREFIX).partition("_")[0] for key in fields if key.startswith(SECRET_FIELD_PREFIX)
    )
    typed = {id: get_typed_options(fields, f"{SECRET_FIELD_PREFIX}{id}_") for id in ids}
    return {
        id: OwnStorageCredentials(
            version=parse_form_version(fields.get(f"{VERSION_FIELD_PREFIX}{id}")), secrets=secrets
        )
        for id, secrets in typed.items()
        if secrets
    }


def build_blank_storage_fields(kind: StorageKind) -> dict[str, Any]:
    whose = "none" if kind.anonymous else "project"
    return {"kind": kind.name, "directory": "", "path": "", "credentials": whose, "access": "read", "version": "0"}


def build_storage_fields(storage: Storage) -> dict[str, Any]:
    settings = {f"{SETTING_FIELD_PREFIX}{name}": value for name, value in storage.settings.items()}
    return settings | {
        "kind": storage.kind, "directory": storage.directory, "path": storage.path, "version": str(storage.version),
        "credentials": str(storage.credentials), "access": "read" if storage.read_only else "write",
    }  # fmt: skip


def get_storage_form_field(name: str) -> str:
    """Return the form field of a domain field: `settings.region` belongs to `setting_region`."""
    where, dot, option = name.partition(".")
    prefixes = {"settings": SETTING_FIELD_PREFIX, "secrets": SECRET_FIELD_PREFIX}
    return f"{prefixes[where]}{option}" if dot and where in prefixes else name.replace("read_only", "access")
