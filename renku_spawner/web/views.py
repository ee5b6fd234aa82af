"""What pages show of sessions: domain values in, plain dictionaries out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..domain import download, variables
from ..domain.environment import Environment, Revision
from ..domain.instance import Instance, Status
from ..domain.project import Project
from ..domain.resources import ResourceClass
from ..domain.session import Configuration
from ..domain.storage import Storage
from ..services.looks import Other, SessionView
from . import views_idle, views_kept, views_life, words
from .icons import icon
from .views_frame import Frame, View

# What a template may ask of any session, whatever its status.
_MAYBE = (
    "variables",
    "blocked",
    "smaller",
    "other",
    "more",
    "sentence",
    "stage",
    "stage_code",
    "elapsed",
    "progress",
    "usual",
    "since",
    "since_at",
    "open",
    "message",
    "advice",
    "disk_lost",
    "without",
    "class_name",
    "update",
    "succession",
    "pauses",
    "awake_url",
    "launch_version",
)
STARTS = (Status.INACTIVE, Status.PAUSED, Status.FAILED)
_NO_ROOM = ("quota_pool", "unschedulable_resources")  # what a smaller class may help against
BUSY = (Status.LAUNCHING, Status.STOPPING)


# ---- one's own instance ------------------------------------------------------------------------


def state(instance: Instance | None, usual: float | None, frame: Frame) -> View:
    """The keys of a session that say how one's own instance stands."""
    status = instance.status if instance else Status.INACTIVE
    shown: View = {"status": str(status), "notices": []}
    if instance is not None:
        shown |= _SHOWN.get(status, _nothing)(instance, usual, frame)
        shown["notices"] = [{"title": n["title"], "text": n["text"]} for n in instance.notices]
    return shown


def _nothing(instance: Instance, usual: float | None, frame: Frame) -> View:
    return {}


def _launching(instance: Instance, usual: float | None, frame: Frame) -> View:
    elapsed = instance.elapsed(frame.now)
    return {
        "stage": frame.stage(instance),
        "stage_code": str(instance.observed),
        "elapsed": elapsed,
        "progress": words.progress(elapsed, usual) if instance.turn is None else None,
        "usual": words.usual(usual) if instance.turn is None else None,
    }


def _running(instance: Instance, usual: float | None, frame: Frame) -> View:
    used = instance.last_activity
    idle = used is not None and instance.ready_at is not None and used > instance.ready_at
    return {
        "elapsed": instance.elapsed(frame.now) or 0,
        "since_at": words.iso(instance.ready_at),
        "class_name": instance.resource_class,
        "more": f"last used {words.ago(used, frame.now)}" if idle and used else None,
        **views_idle.running(instance, frame.outlook(instance), frame.urls, frame.now),
        "open": frame.urls.open(instance.session, frame.inside),
    }


def _paused(instance: Instance, usual: float | None, frame: Frame) -> View:
    return {
        "since": words.ago(instance.paused_at, frame.now) if instance.paused_at else None,
        "since_at": words.iso(instance.paused_at),
        "more": views_idle.ended(instance),
    }


def _failed(instance: Instance, usual: float | None, frame: Frame) -> View:
    return {
        "message": instance.message,
        "advice": instance.advice,
        "disk_lost": instance.disk_lost,
        "without": list(instance.failed_storages),
    }


def _between(instance: Instance, usual: float | None, frame: Frame) -> View:
    opens = instance.status is Status.UNKNOWN and instance.ready_at is not None
    return {
        "sentence": words.sentence(instance, local=frame.local),
        "open": frame.urls.open(instance.session, frame.inside) if opens else None,
    }


_SHOWN = {
    Status.LAUNCHING: _launching,
    Status.RUNNING: _running,
    Status.PAUSED: _paused,
    Status.FAILED: _failed,
    Status.STOPPING: _between,
    Status.UNKNOWN: _between,
}


# ---- sessions ----------------------------------------------------------------------------------


def brief(id: str, title: str, page: str, instance: Instance | None, frame: Frame, usual: float | None = None) -> View:
    """A session of which no more is known than its name, with one's own instance."""
    data = frame.urls.instance(id, "data") if instance and instance.claim else None
    had = frame.downloads and instance is not None and download.obstacle(instance) is None
    files = frame.urls.instance(id, "data" + download.SUFFIX) if had else None
    shown: View = {"id": id, "title": title, "page": page, "url": page, "delete_page": data, "download": files}
    kept = views_kept.of(instance, frame.now, frame.urls.instance(id, "restore")) if instance else views_kept.NOTHING
    return shown | {"classes": []} | dict.fromkeys(_MAYBE) | kept | state(instance, None, frame)


def short(view: SessionView, project: str, frame: Frame) -> View:
    """A session as the head of a page shows it."""
    session = view.session
    page = frame.urls.session(project, session.id)
    shown = brief(session.id, session.title, page, view.instance, frame, view.usual)
    shown["notices"] += _changed(view)
    shown |= {"launch_version": view.launch_version, "version": session.version}
    if view.status in STARTS:
        shown["blocked"] = view.hindrance
        shown["classes"] = classes(view.classes)
        shown["smaller"] = smaller(view)
        shown["other"] = other(view.other, project, frame) if view.other else None
        if session.created_by != frame.person:  # an editor's variables take effect in the reader's own session
            shown["variables"] = list_variables(session.configuration)
    return shown


def list_variables(configuration: Configuration) -> list[str]:
    """Return `NAME=value` of each variable that a start sets, without the values of those that look secret."""
    set_by_it = variables.select_allowed(configuration.variables)
    secret = variables.look_secret(set_by_it)
    return [f"{name}=•••" if name in secret else f"{name}={value}" for name, value in set_by_it.items()]


def card(
    view: SessionView, project: Project, frame: Frame, *, may_write: bool, storages: Sequence[Storage] = ()
) -> View:
    """A session as its card and its page show it."""
    session = view.session
    return short(view, project.path, frame) | {
        "description": session.description,
        "default": project.default_session == session.id,
        "environment": environment(session.environment, session.revision),
        "needs": session.configuration.needs.words,
        "mounts": words.mounts(session.configuration, project.repositories, storages),
        "added_by": session.created_by,
        "added_at": words.iso(session.created_at),
        "may_write": may_write,
        "update": _newer(view, frame, may_write=may_write),
        "succession": views_life.notice(view, frame.urls.session(project.path, session.id), may_write=may_write),
    }


def _newer(view: SessionView, frame: Frame, *, may_write: bool) -> View | None:
    """That a newer image waits; it never changes anything by itself (decision 7)."""
    if view.update is None:
        return None
    who, link = ("you accept", "Review the change") if may_write else ("an editor accepts", "See the change")
    since, later = words.ago(view.update.since, frame.now), words.later(view.update)
    return {"text": f"{f'{later}, ' if later else ''}first seen {since}. Nothing changes until {who} it.", "link": link}


def classes(usable: Sequence[ResourceClass]) -> list[View]:
    return [{"name": c.name, "size": c.size, "suggested": number == 0} for number, c in enumerate(usable)]


def smaller(view: SessionView) -> View | None:
    """The class below the one for which there was no room, and that one; None where that was not the trouble."""
    found, names = view.instance, [each.name for each in view.classes]
    if found is None or found.reason not in _NO_ROOM or found.resource_class not in names[1:]:
        return None
    below = view.classes[names.index(found.resource_class) - 1]
    return {"name": below.name, "size": below.size, "same": found.resource_class}


def other(found: Other, project: str, frame: Frame) -> View:
    """The session of the same environment that is in the way (decision 1)."""
    instance, urls = found.instance, frame.urls
    running = instance.status is Status.RUNNING
    return {
        "title": found.title,
        "page": urls.session(project, instance.session),
        "status": str(instance.status),
        "open": urls.open(instance.session) if running else None,
        "pause": urls.instance(instance.session, "pause") if instance.status is not Status.STOPPING else None,
    }


def _changed(view: SessionView) -> list[View]:
    """What the next start does differently, said before the click (decision 16)."""
    instance, session = view.instance, view.session
    if instance is None or not instance.fingerprint or instance.fingerprint == session.fingerprint:
        return []
    if view.status in (Status.RUNNING, Status.LAUNCHING):
        text = "Pause and resume to use the new configuration."
        return [{"title": "This session was edited since you started it.", "text": text}]
    if view.status in (Status.PAUSED, Status.FAILED):
        text = f"The next start uses its present configuration and revision {session.revision.number} of the image."
        return [{"title": "This session was edited since you last ran it.", "text": text}]
    return []


def environment(found: Environment, revision: Revision) -> View:
    return {
        "id": found.id,
        "name": found.name,
        "description": found.description,
        "keywords": list(found.keywords),
        "creator": found.created_by,
        "created_at": words.iso(found.created_at),
        "kind": str(found.kind),
        "icon": icon(found),
        "image": revision.canonical,
        "digest": revision.digest,
        "revision": revision.number,
    }


def refresh(statuses: Iterable[str]) -> bool:
    """Whether a page without a script should load itself again."""
    return any(status in BUSY for status in statuses)
