"""What the page that deletes data shows: what would be lost."""

from __future__ import annotations

from ..domain.instance import Instance, Status
from ..domain.quantity import size_of
from ..runtime.unsaved import Unsaved
from ..services.data import Contents
from ..services.instances import MyInstance
from . import words
from .views import Frame, View

_UNKNOWN = "We do not know what is in it: it cannot be looked at from here. {} to see for yourself."


def page(found: MyInstance, contents: Contents | None, frame: Frame) -> View:
    """Everything of renku_delete_data.html but what was typed."""
    instance, urls = found.instance, frame.urls
    seen = found.project is not None and found.session is not None
    rests = instance.status in (Status.PAUSED, Status.FAILED)
    return {
        "session": {
            "title": found.title,
            "page": urls.session(found.project.path, instance.session) if seen and found.project else None,
            "resume": urls.instance(instance.session, "resume") if seen and rests else None,
        },
        "size": size_of(contents.total.bytes) if contents else None,
        "as_of": _as_of(instance, frame) if contents else None,
        "running": instance.active,
        "unsaved": _rows(contents) if contents else [],
        "unsaved_note": None if contents else _UNKNOWN.format("Open it" if instance.active else "Resume the session"),
        "action": urls.instance(instance.session, "data"),
        "cancel": urls.mine,
    }


def _as_of(instance: Instance, frame: Frame) -> str:
    if instance.active:
        return "as it is now"
    return (
        f"as of its last stop, {words.day(instance.paused_at, frame.now)}"
        if instance.paused_at
        else "as of its last stop"
    )


def _rows(contents: Contents) -> list[View]:
    loose = {
        "name": "files outside of repositories",
        "code": False,
        "lost": contents.loose.files > 0,
        "state": "would be lost" if contents.loose.files else "none",
        "changed": contents.loose.files,
        "unpushed": None,
        "branch": None,
    }
    return [*map(_row, contents.unsaved), loose]


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
