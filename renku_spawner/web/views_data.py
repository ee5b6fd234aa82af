"""What the page that deletes data shows: what would be lost."""

from __future__ import annotations

from ..domain import download
from ..domain.instance import Status
from ..domain.quantity import size_of
from ..runtime.contents import Contents, Look
from ..runtime.unsaved import Unsaved
from ..runtime.walk import Total
from ..services.instances import MyInstance
from . import words
from .views_frame import Frame, View

_UNKNOWN = "We do not know what is in it: it cannot be looked at from here. {} to see for yourself."
_UNDER_WAY = "We do not know yet what is in it, and are looking."


def page(found: MyInstance, look: Look, frame: Frame) -> View:
    """Everything of renku_delete_data.html but what was typed."""
    instance, urls, contents = found.instance, frame.urls, look.contents
    seen = found.project is not None and found.session is not None
    rests = instance.status in (Status.PAUSED, Status.FAILED)
    had = frame.downloads and download.obstacle(instance) is None
    unknown = _UNKNOWN.format("Open it" if instance.active else "Resume the session")
    return {
        "session": {
            "title": found.title,
            "page": urls.session(found.project.path, instance.session) if seen and found.project else None,
            "download": urls.instance(instance.session, "data" + download.SUFFIX) if had else None,
            "launch_version": found.launch_version,
            "resume": urls.instance(instance.session, "resume") if seen and rests else None,
        },
        "size": _size(contents.total) if contents else None,
        "as_of": "as it is now" if contents else None,
        "running": instance.active,
        "unsaved": _rows(contents) if contents else [],
        "unsaved_note": None if contents else _UNDER_WAY if look.under_way else unknown,
        "again": look.under_way,
        "action": urls.instance(instance.session, "data"),
        "cancel": urls.mine,
    }


def _size(total: Total) -> str:
    return size_of(total.bytes) if total.complete else f"at least {size_of(total.bytes)}"


def _rows(contents: Contents) -> list[View]:
    loose, rows = contents.loose, [_row(work) for work in contents.unsaved]
    if contents.more:
        rows.append(_other(f"{words.counted(contents.more, 'repository')} more", "not looked at", lost=True))
    state = "not all could be read" if not loose.complete else "would be lost" if loose.files else "none"
    lost = loose.files > 0 or not loose.complete
    return [*rows, _other("files outside of repositories", state, lost=lost, changed=loose.files)]


def _other(name: str, state: str, *, lost: bool, changed: int | None = None) -> View:
    """A row of what is no repository that was looked at."""
    said = {"lost": lost, "state": state, "changed": changed}
    return {"name": name, "code": False, **said, "unpushed": None, "branch": None}


def _row(work: Unsaved) -> View:
    unread = work.problem is not None
    return {
        "name": work.directory,
        "code": True,
        "lost": work.lost,
        "state": "could not be read" if unread else "would be lost" if work.lost else "all pushed",
        "changed": None if unread else work.changed + work.untracked,
        "unpushed": None if unread else work.unpushed + work.stashes,
        "branch": work.branch,
    }
