"""View models of storages. They never contain credentials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

from ...domain.policy import HubPolicy
from ...domain.projects import Project
from ...domain.storages import (
    STORAGE_KINDS_BY_NAME,
    OptionFormat,
    SharedVolume,
    Storage,
    StorageCredentials,
    StorageKind,
    StorageOption,
    StorageProbeOutcome,
)
from ...persistence.storages import KeptCredentials
from ...usecases.storages import RequiredCredentials
from ..formatting import format_iso_time, format_time_ago
from ..page_context import DescribedOptionView, OptionView, PageContext, SessionLinkView, TabView
from ..urls import add_query_parameters
from .forms import SECRET_FIELD_PREFIX, SETTING_FIELD_PREFIX, VERSION_FIELD_PREFIX

_CREDENTIALS_OWNER_TEXTS = {
    StorageCredentials.NONE: "",
    StorageCredentials.PROJECT: "with the project's credentials",
    StorageCredentials.USER: "with credentials of your own",
}
_STORAGE_KIND_ICONS = {"volume": "fa-hard-drive", "s3": "fa-bucket", "webdav": "fa-cloud", "sftp": "fa-server"}
_CREDENTIALS_OWNER_CHOICES = (
    (StorageCredentials.NONE, "None", "It is public, or needs no credentials."),
    (
        StorageCredentials.PROJECT,
        "The project's",
        "Entered here once, encrypted, and never shown again. All sessions use them.",
    ),
    (StorageCredentials.USER, "Each user's own", "Each user enters their own before their first start."),
)


def build_storages_view(storages: Iterable[Storage], frame: PageContext, base: str | None = None) -> list[StorageRow]:
    """List storages; *base* is the URL of the project's parts, for editors only."""
    return [_build_storage_row(storage, frame, base) for storage in storages]


class StorageRow(TypedDict):
    id: str
    version: int
    directory: str
    words: str
    whose: str
    missing: bool
    look: str
    looked: str | None
    looked_at: str | None
    bad: bool
    page: str | None


def _build_storage_row(storage: Storage, frame: PageContext, base: str | None) -> StorageRow:
    missing = frame.not_here(storage)
    look = None if missing else storage.checked
    return {
        "id": storage.id,
        "version": storage.version,
        "directory": storage.directory,
        "words": storage.summary,
        "whose": _CREDENTIALS_OWNER_TEXTS[storage.credentials],
        "missing": bool(missing),
        "look": f"Not available here: {missing}."
        if missing
        else (look.outcome if look else StorageProbeOutcome.NOT_CHECKED).description,
        "looked": format_time_ago(look.at, frame.now)
        if look and look.outcome is not StorageProbeOutcome.NOT_CHECKED
        else None,
        "looked_at": format_iso_time(look.at) if look else None,
        "bad": bool(
            missing or (look and look.outcome not in (StorageProbeOutcome.FINE, StorageProbeOutcome.NOT_CHECKED))
        ),
        "page": f"{base}/storages/{storage.id}" if base else None,
    }


class StorageFormView(TypedDict):
    kind: str
    label: str
    tabs: list[TabView]
    values: Mapping[str, Any]
    settings: list[OptionFieldView]
    secrets: list[OptionFieldView]
    path_label: str
    path_required: bool
    whose: list[DescribedOptionView]
    kept: bool
    keeps: bool


def build_storage_form_view(
    project: Project,
    kind: StorageKind,
    values: Mapping[str, Any],
    policy: HubPolicy,
    volumes: Sequence[SharedVolume],
    frame: PageContext,
    *,
    kept: bool = False,
    keeps: bool = True,
) -> StorageFormView:
    """Build the `form` of renku_storage.html.

    *kept*: the project's credentials are stored; *keeps*: the hub has a key to encrypt them.
    """
    base = f"{frame.urls.project(project.path)}/-/storages"
    chosen = [STORAGE_KINDS_BY_NAME[name] for name in policy.storage_kinds if name != "volume" or volumes]
    return {
        "kind": kind.name,
        "label": kind.label,
        "tabs": [
            {
                "text": k.label,
                "icon": _STORAGE_KIND_ICONS.get(k.name, "fa-database"),
                "url": add_query_parameters(f"{base}/new", kind=k.name),
                "current": k is kind,
            }
            for k in chosen
        ],
        "values": values,
        "settings": [_build_option_field_view(option, SETTING_FIELD_PREFIX, volumes) for option in kind.settings],
        "secrets": [_build_option_field_view(option, SECRET_FIELD_PREFIX, ()) for option in kind.credentials],
        "path_label": kind.path_label,
        "path_required": kind.path_required,
        "whose": _list_credentials_choices(kind, keeps=keeps) if kind.credentials else [],
        "kept": kept,
        "keeps": keeps or not kind.credentials,
    }


def _list_credentials_choices(kind: StorageKind, *, keeps: bool) -> list[DescribedOptionView]:
    """List the choices that work for a kind of storage."""
    possible = [c for c in _CREDENTIALS_OWNER_CHOICES if (c[0] is not StorageCredentials.NONE or kind.anonymous)]
    return [
        {"value": str(whose), "title": title, "text": text}
        for whose, title, text in possible
        if keeps or whose is not StorageCredentials.PROJECT
    ]


class OptionFieldView(TypedDict):
    name: str
    label: str
    hint: str
    form: OptionFormat
    required: bool
    choices: list[OptionView]


def _build_option_field_view(option: StorageOption, prefix: str, volumes: Sequence[SharedVolume]) -> OptionFieldView:
    choices: list[OptionView] = [{"value": choice, "text": choice} for choice in option.choices]
    if option.name == "volume":
        choices = [
            {"value": v.name, "text": f"{v.name}: {v.description}" if v.description else v.name} for v in volumes
        ]
    return {
        "name": f"{prefix}{option.name}",
        "label": option.label,
        "hint": option.hint,
        "form": option.form,
        "required": option.required,
        "choices": choices,
    }


class SessionCredentialsView(TypedDict):
    session: SessionLinkView
    launch_version: str
    action: str
    keeps: bool
    start: bool
    without: list[str]
    start_url: str
    storages: list[StorageCredentialsView]


class StorageCredentialsView(TypedDict):
    id: str
    seen: str
    version: int
    directory: str
    words: str
    where: str
    missing: bool
    forget: str | None
    fields: list[OptionFieldView]


def build_session_credentials_view(
    found: RequiredCredentials, frame: PageContext, *, keeps: bool
) -> SessionCredentialsView:
    """Build the view of renku_credentials.html, without errors."""
    missing = {storage.id for storage in found.missing}
    page = frame.urls.session(found.project.path, found.session.id)
    return {
        "session": {"title": found.session.title, "page": page},
        "launch_version": found.launch_version,
        "action": f"{page}/credentials",
        "keeps": keeps,
        "start": not missing,
        "without": [storage.directory for storage in found.missing],
        "start_url": f"{page}/start",
        "storages": [
            {
                "id": f"{SECRET_FIELD_PREFIX}{item.id}_secrets",
                "seen": f"{VERSION_FIELD_PREFIX}{item.id}",
                "version": item.version,
                "directory": item.directory,
                "words": item.summary,
                "where": item.settings.get("url") or item.settings.get("host") or item.settings.get("endpoint") or "",
                "missing": item.id in missing,
                "forget": None
                if item.id in missing
                else f"{frame.urls.base}renku/storages/{item.id}/credentials/delete",
                "fields": [
                    _build_option_field_view(option, f"{SECRET_FIELD_PREFIX}{item.id}_", ())
                    for option in item.storage_kind.credentials
                ],
            }
            for item in found.storages
        ],
    }


class StoredCredentialsRow(TypedDict):
    directory: str
    when: str
    kept_at: str
    forget: str


def build_stored_credentials_view(found: Iterable[KeptCredentials], frame: PageContext) -> list[StoredCredentialsRow]:
    """List the credentials that a user has stored, for *My sessions*."""
    return [
        {
            "directory": credentials.directory,
            "when": format_time_ago(credentials.at, frame.now),
            "kept_at": format_iso_time(credentials.at),
            "forget": f"{frame.urls.base}renku/storages/{credentials.storage}/credentials/delete",
        }
        for credentials in found
    ]
