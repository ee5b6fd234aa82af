"""What pages show of storages: never what opens them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..domain.policy import Policy
from ..domain.project import Project
from ..domain.storage import Credentials, Outcome, Storage
from ..domain.storage_kinds import KINDS, Kind, Option
from ..domain.volume import Volume
from ..services.storage_credentials import Asked
from ..store.storages import Kept
from . import forms_storage, words
from .urls import query
from .views import Frame, View

_WHOSE = {
    Credentials.NONE: "",
    Credentials.PROJECT: "with the project's credentials",
    Credentials.USER: "with credentials of your own",
}
_ICONS = {"volume": "fa-hard-drive", "s3": "fa-bucket", "webdav": "fa-cloud", "sftp": "fa-server"}
_CHOICES = (
    (Credentials.NONE, "None", "Anybody can read it, or it needs none."),
    (
        Credentials.PROJECT,
        "The project's",
        "Entered here once, encrypted, and never shown again. All sessions use them.",
    ),
    (Credentials.USER, "Each user's own", "Everybody enters their own before their first start."),
)


def rows(storages: Iterable[Storage], frame: Frame, base: str | None = None) -> list[View]:
    """Those of a project; with *base*, where its parts are, also what an editor does with them."""
    return [_row(storage, frame, base) for storage in storages]


def _row(storage: Storage, frame: Frame, base: str | None) -> View:
    missing = frame.not_here(storage)
    look = None if missing else storage.checked
    return {
        "id": storage.id,
        "version": storage.version,
        "directory": storage.directory,
        "words": storage.words,
        "whose": _WHOSE[storage.credentials],
        "missing": bool(missing),
        "look": f"Not available here: {missing}." if missing else (look.outcome if look else Outcome.NOT_CHECKED).words,
        "looked": words.ago(look.at, frame.now) if look and look.outcome is not Outcome.NOT_CHECKED else None,
        "looked_at": words.iso(look.at) if look else None,
        "bad": bool(missing or (look and look.outcome not in (Outcome.FINE, Outcome.NOT_CHECKED))),
        "page": f"{base}/storages/{storage.id}" if base else None,
    }


def form(
    project: Project, kind: Kind, values: Mapping[str, Any], policy: Policy, volumes: Sequence[Volume], frame: Frame,
    *, kept: bool = False, keeps: bool = True,
) -> View:  # fmt: skip
    """The `form` of renku_storage.html. *kept*: the project's credentials are stored; *keeps*: the hub has a key."""
    base = f"{frame.urls.project(project.path)}/-/storages"
    chosen = [KINDS[name] for name in policy.storage_kinds if name != "volume" or volumes]
    return {
        "kind": kind.name,
        "label": kind.label,
        "tabs": [
            {"text": k.label, "icon": _ICONS.get(k.name, "fa-database"), "url": query(f"{base}/new", kind=k.name),
             "current": k is kind}
            for k in chosen
        ],
        "values": values,
        "settings": [_field(option, forms_storage.SETTING, volumes) for option in kind.settings],
        "secrets": [_field(option, forms_storage.SECRET, ()) for option in kind.credentials],
        "path_label": kind.path_label,
        "path_required": kind.path_required,
        "whose": _whose(kind, keeps=keeps) if kind.credentials else [],
        "kept": kept,
        "keeps": keeps or not kind.credentials,
    }  # fmt: skip


def _whose(kind: Kind, *, keeps: bool) -> list[View]:
    """Only what works."""
    possible = [c for c in _CHOICES if (c[0] is not Credentials.NONE or kind.anonymous)]
    return [
        {"value": str(whose), "title": title, "text": text}
        for whose, title, text in possible
        if keeps or whose is not Credentials.PROJECT
    ]


def _field(option: Option, prefix: str, volumes: Sequence[Volume]) -> View:
    choices = [{"value": choice, "text": choice} for choice in option.choices]
    if option.name == "volume":
        choices = [
            {"value": v.name, "text": f"{v.name}: {v.description}" if v.description else v.name} for v in volumes
        ]
    return {
        "name": f"{prefix}{option.name}",
        "label": option.label,
        "hint": option.hint,
        "form": str(option.form),
        "required": option.required,
        "choices": choices,
    }


def asked(found: Asked, frame: Frame, *, keeps: bool) -> View:
    """Everything of renku_credentials.html but what is wrong."""
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
                "id": f"{forms_storage.SECRET}{each.id}_secrets",
                "seen": f"{forms_storage.SEEN}{each.id}",
                "version": each.version,
                "directory": each.directory,
                "words": each.words,
                "where": each.settings.get("url") or each.settings.get("host") or each.settings.get("endpoint") or "",
                "missing": each.id in missing,
                "forget": None
                if each.id in missing
                else f"{frame.urls.base}renku/storages/{each.id}/credentials/delete",
                "fields": [
                    _field(option, f"{forms_storage.SECRET}{each.id}_", ()) for option in each.of_kind.credentials
                ],
            }
            for each in found.storages
        ],
    }


def kept(found: Iterable[Kept], frame: Frame) -> list[View]:
    """What somebody keeps, on the page of all their sessions."""
    return [
        {
            "directory": each.directory,
            "when": words.ago(each.at, frame.now),
            "kept_at": words.iso(each.at),
            "forget": f"{frame.urls.base}renku/storages/{each.storage}/credentials/delete",
        }
        for each in found
    ]
