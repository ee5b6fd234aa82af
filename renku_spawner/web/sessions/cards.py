"""View models of a session wherever it is listed: its card, the status of the user's instance, and deprecation notices.

The session's own page is in `web.sessions.views`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypedDict

from ...domain.downloads import find_download_obstacle
from ...domain.environments import Environment, EnvironmentKind, EnvironmentState, Revision
from ...domain.instances import Instance, InstanceStatus
from ...domain.projects import Project
from ...domain.resource_classes import ResourceClass
from ...domain.sessions import SessionConfiguration, list_secret_variables, select_allowed_variables
from ...domain.storages import Storage
from ...usecases.session_queries import CompetingInstance, SessionView
from ..formatting import (
    compute_progress_percent,
    format_commit_distance,
    format_iso_time,
    format_mounts,
    format_status_sentence,
    format_time_ago,
    format_typical_duration,
    get_environment_icon,
    truncate_at_word,
)
from ..instances.views import (
    NO_KEPT_DATA_VIEW,
    KeptDataView,
    build_idle_view,
    build_kept_data_view,
    format_pause_reason,
)
from ..page_context import LinkView, NoticeView, PageContext

_DEPRECATION_TITLES = {
    EnvironmentState.DEPRECATED: "This environment is deprecated.",
    EnvironmentState.ARCHIVED: "This environment is archived.",
}


class DeprecationNoticeView(NoticeView):
    link: LinkView | None


def build_deprecation_notice_view(view: SessionView, page: str, *, may_write: bool) -> DeprecationNoticeView | None:
    """Build the notice about a deprecated environment, with a link to its successor for editors."""
    environment, heir = view.session.environment, view.successor
    title = _DEPRECATION_TITLES.get(environment.state)
    if title is None:
        return None
    until = view.resumes_until
    sentences = [
        f"What you have paused can be resumed until {until.day} {until:%B %Y}." if until and not view.retired else "",
        truncate_at_word(environment.message),
        f"An editor of the project can change to {heir.name}." if heir and not may_write else "",
    ]
    link: LinkView | None = None
    if heir and may_write:
        link = {"text": f"Change to {heir.name} …", "url": f"{page}/environment?environment={heir.id}"}
    return {"title": title, "text": " ".join(filter(None, sentences)), "link": link}


STARTABLE_STATUSES = (InstanceStatus.INACTIVE, InstanceStatus.PAUSED, InstanceStatus.FAILED)
_NO_ROOM_REASONS = ("quota_pool", "unschedulable_resources")  # failures that a smaller class may avoid
BUSY_STATUSES = (InstanceStatus.LAUNCHING, InstanceStatus.STOPPING)


# The user's own instance


class InstanceDetailsView(TypedDict):
    """The state of an instance, as far as its status has it; None for what other statuses use."""

    stage: str | None
    stage_code: str | None
    elapsed: int | None
    progress: int | None
    usual: str | None
    since: str | None
    since_at: str | None
    class_name: str | None
    more: str | None
    pauses: str | None
    awake_url: str | None
    open: str | None
    message: str | None
    advice: str | None
    disk_lost: bool | None
    without: list[str] | None
    sentence: str | None


class InstanceStateView(InstanceDetailsView):
    status: InstanceStatus
    notices: list[NoticeView]


_NO_DETAILS: InstanceDetailsView = {
    "stage": None, "stage_code": None, "elapsed": None, "progress": None, "usual": None, "since": None,
    "since_at": None, "class_name": None, "more": None, "pauses": None, "awake_url": None, "open": None,
    "message": None, "advice": None, "disk_lost": None, "without": None, "sentence": None,
}  # fmt: skip


def build_instance_state_view(instance: Instance | None, usual: float | None, frame: PageContext) -> InstanceStateView:
    """Build the part of a session's view about the user's own instance."""
    if instance is None:
        return {**_NO_DETAILS, "status": InstanceStatus.INACTIVE, "notices": []}
    build_details = _DETAILS_BUILDERS.get(instance.status)
    details = build_details(instance, usual, frame) if build_details else _NO_DETAILS
    notices: list[NoticeView] = [{"title": n["title"], "text": n["text"]} for n in instance.notices]
    return {**details, "status": instance.status, "notices": notices}


def _build_launching_details(instance: Instance, usual: float | None, frame: PageContext) -> InstanceDetailsView:
    elapsed = instance.get_elapsed_seconds(frame.now)
    return {
        **_NO_DETAILS,
        "stage": frame.stage(instance),
        "stage_code": str(instance.observed),
        "elapsed": elapsed,
        "progress": compute_progress_percent(elapsed, usual) if instance.turn is None else None,
        "usual": format_typical_duration(usual) if instance.turn is None else None,
    }


def _build_running_details(instance: Instance, usual: float | None, frame: PageContext) -> InstanceDetailsView:
    used = instance.last_activity
    idle = used is not None and instance.ready_at is not None and used > instance.ready_at
    return {
        **_NO_DETAILS,
        "elapsed": instance.get_elapsed_seconds(frame.now) or 0,
        "since_at": format_iso_time(instance.ready_at),
        "class_name": frame.format_class(instance.resource_class),
        "more": f"last used {format_time_ago(used, frame.now)}" if idle and used else None,
        **build_idle_view(instance, frame.outlook(instance), frame.urls, frame.now),
        "open": frame.urls.session_server(instance.session, frame.inside, frame.query),
    }


def _build_paused_details(instance: Instance, usual: float | None, frame: PageContext) -> InstanceDetailsView:
    return {
        **_NO_DETAILS,
        "since": format_time_ago(instance.paused_at, frame.now) if instance.paused_at else None,
        "since_at": format_iso_time(instance.paused_at),
        "more": format_pause_reason(instance),
    }


def _build_failed_details(instance: Instance, usual: float | None, frame: PageContext) -> InstanceDetailsView:
    return {
        **_NO_DETAILS,
        "message": instance.message,
        "advice": instance.advice,
        "disk_lost": instance.is_disk_lost,
        "without": list(instance.failed_storages),
    }


def _build_transitional_details(instance: Instance, usual: float | None, frame: PageContext) -> InstanceDetailsView:
    opens = instance.status is InstanceStatus.UNKNOWN and instance.ready_at is not None
    return {
        **_NO_DETAILS,
        "sentence": format_status_sentence(instance, local=frame.local),
        "open": frame.urls.session_server(instance.session, frame.inside, frame.query) if opens else None,
    }


_DETAILS_BUILDERS = {
    InstanceStatus.LAUNCHING: _build_launching_details,
    InstanceStatus.RUNNING: _build_running_details,
    InstanceStatus.PAUSED: _build_paused_details,
    InstanceStatus.FAILED: _build_failed_details,
    InstanceStatus.STOPPING: _build_transitional_details,
    InstanceStatus.UNKNOWN: _build_transitional_details,
}


# Sessions


class BriefSessionView(InstanceStateView, KeptDataView):
    """A session anywhere. What is None below is known on pages of the session's project only."""

    id: str
    title: str
    page: str | None
    url: str
    delete_page: str | None
    download: str | None
    classes: list[ClassChoice]
    variables: list[str] | None
    blocked: str | None
    smaller: SmallerClassView | None
    other: ConflictingSessionView | None
    update: UpdateNoticeView | None
    succession: DeprecationNoticeView | None
    launch_version: str | None


class SessionHeadView(BriefSessionView):
    version: int


class SessionCardView(SessionHeadView):
    description: str
    default: bool
    environment: SessionEnvironmentView
    needs: str
    mounts: str
    added_by: str
    added_at: str
    may_write: bool


def build_brief_session_view(
    id: str, title: str, page: str, instance: Instance | None, frame: PageContext, usual: float | None = None
) -> BriefSessionView:
    """Build the view of a session of which only the title is known, with the user's own instance."""
    data = frame.urls.instance_action(id, "data") if instance and instance.claim else None
    can_download = frame.downloads and instance is not None and find_download_obstacle(instance) is None
    files = frame.urls.instance_action(id, "download") if can_download else None
    kept = (
        build_kept_data_view(instance, frame.now, frame.urls.instance_action(id, "restore"))
        if instance
        else NO_KEPT_DATA_VIEW
    )
    return {
        "id": id,
        "title": title,
        "page": page,
        "url": page,
        "delete_page": data,
        "download": files,
        "classes": [],
        "variables": None,
        "blocked": None,
        "smaller": None,
        "other": None,
        "update": None,
        "succession": None,
        "launch_version": None,
        **kept,
        **build_instance_state_view(instance, usual, frame),
    }


def build_session_head_view(view: SessionView, project: str, frame: PageContext) -> SessionHeadView:
    """Build the view of a session for the head of a page."""
    session = view.session
    page = frame.urls.session(project, session.id)
    head: SessionHeadView = {
        **build_brief_session_view(session.id, session.title, page, view.instance, frame, view.usual),
        "launch_version": view.launch_version,
        "version": session.version,
    }
    head["notices"] += _build_edit_notices(view)
    if view.status in STARTABLE_STATUSES:
        head["blocked"] = view.launch_obstacle
        head["classes"] = build_class_choices(view.classes)
        head["smaller"] = build_smaller_class_view(view)
        head["other"] = build_conflicting_session_view(view.other, project, frame) if view.other else None
        if session.created_by != frame.person:  # an editor's variables take effect in the reader's own session
            head["variables"] = list_masked_variables(session.configuration)
    return head


def list_masked_variables(configuration: SessionConfiguration) -> list[str]:
    """Return `NAME=value` of each variable that a start sets, without the values of those that look secret."""
    set_by_it = select_allowed_variables(configuration.variables)
    secret = list_secret_variables(set_by_it)
    return [f"{name}=•••" if name in secret else f"{name}={value}" for name, value in set_by_it.items()]


def build_session_card_view(
    view: SessionView, project: Project, frame: PageContext, *, may_write: bool, storages: Sequence[Storage] = ()
) -> SessionCardView:
    """Build the view of a session for its card and its page."""
    session = view.session
    return {
        **build_session_head_view(view, project.path, frame),
        "description": session.description,
        "default": project.default_session == session.id,
        "environment": build_session_environment_view(session.environment, session.revision),
        "needs": session.configuration.needs.summary,
        "mounts": format_mounts(session.configuration, project.repositories, storages),
        "added_by": session.created_by,
        "added_at": format_iso_time(session.created_at),
        "may_write": may_write,
        "update": _build_update_notice(view, frame, may_write=may_write),
        "succession": build_deprecation_notice_view(
            view, frame.urls.session(project.path, session.id), may_write=may_write
        ),
    }


class UpdateNoticeView(TypedDict):
    text: str
    link: str


def _build_update_notice(view: SessionView, frame: PageContext, *, may_write: bool) -> UpdateNoticeView | None:
    """Build the notice about a newer image, which is never applied automatically."""
    if view.update is None:
        return None
    who, link = ("you accept", "Review the change") if may_write else ("an editor accepts", "See the change")
    since, later = format_time_ago(view.update.since, frame.now), format_commit_distance(view.update)
    return {"text": f"{f'{later}, ' if later else ''}first seen {since}. Nothing changes until {who} it.", "link": link}


class ClassChoice(TypedDict):
    name: str
    size: str
    suggested: bool


def build_class_choices(usable: Sequence[ResourceClass]) -> list[ClassChoice]:
    return [{"name": c.name, "size": c.size_label, "suggested": number == 0} for number, c in enumerate(usable)]


class SmallerClassView(TypedDict):
    name: str
    size: str
    same: str


def build_smaller_class_view(view: SessionView) -> SmallerClassView | None:
    """Return the next smaller class if there was no room for the present one; None otherwise."""
    instance, names = view.instance, [resource_class.name for resource_class in view.classes]
    if instance is None or instance.reason not in _NO_ROOM_REASONS or instance.resource_class not in names[1:]:
        return None
    below = view.classes[names.index(instance.resource_class) - 1]
    return {"name": below.name, "size": below.size_label, "same": instance.resource_class}


class ConflictingSessionView(TypedDict):
    id: str
    title: str
    page: str
    status: InstanceStatus
    open: str | None
    pause: bool


def build_conflicting_session_view(
    found: CompetingInstance, project: str, frame: PageContext
) -> ConflictingSessionView:
    """Build the session of the same environment that prevents a start."""
    instance, urls = found.instance, frame.urls
    running = instance.status is InstanceStatus.RUNNING
    return {
        "id": instance.session,
        "title": found.title,
        "page": urls.session(project, instance.session),
        "status": instance.status,
        "open": urls.session_server(instance.session) if running else None,
        "pause": instance.status is not InstanceStatus.STOPPING,
    }


def _build_edit_notices(view: SessionView) -> list[NoticeView]:
    """Return a notice if the session was edited, so that its next start differs from the last one."""
    instance, session = view.instance, view.session
    if instance is None or not instance.fingerprint or instance.fingerprint == session.fingerprint:
        return []
    if view.status in (InstanceStatus.RUNNING, InstanceStatus.LAUNCHING):
        text = "Pause and resume to use the new configuration."
        return [{"title": "This session was edited since you started it.", "text": text}]
    if view.status in (InstanceStatus.PAUSED, InstanceStatus.FAILED):
        text = f"The next start uses its present configuration and revision {session.revision.number} of the image."
        return [{"title": "This session was edited since you last ran it.", "text": text}]
    return []


class SessionEnvironmentView(TypedDict):
    id: str
    name: str
    description: str
    keywords: list[str]
    creator: str
    created_at: str
    kind: EnvironmentKind
    icon: str
    image: str
    digest: str | None
    revision: int


def build_session_environment_view(found: Environment, revision: Revision) -> SessionEnvironmentView:
    return {
        "id": found.id,
        "name": found.name,
        "description": found.description,
        "keywords": list(found.keywords),
        "creator": found.created_by,
        "created_at": format_iso_time(found.created_at),
        "kind": found.kind,
        "icon": get_environment_icon(found),
        "image": revision.canonical_reference,
        "digest": revision.digest,
        "revision": revision.number,
    }


def needs_refresh(statuses: Iterable[str]) -> bool:
    """Return whether a page without JavaScript should reload itself."""
    return any(status in BUSY_STATUSES for status in statuses)
