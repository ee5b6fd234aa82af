"""View models about an instance: idle pausing, kept data, and the confirmation that its data is deleted."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TypedDict

from ...domain.downloads import find_download_obstacle
from ...domain.expiry import is_deletion_near
from ...domain.idle import PlannedPause
from ...domain.instances import DesiredState, Instance, InstanceStatus
from ...domain.notifications import format_date
from ...domain.policy import HubPolicy, StoragePrice
from ...domain.quantities import format_size, format_size_quantity
from ...domain.reasons import REASONS_BY_CODE
from ...domain.text import format_duration
from ...spawners.in_pod.contents import Contents, ContentsInspection, FileTotal, UnsavedWork
from ...usecases.instances import OwnedInstance
from ..formatting import format_count, format_iso_time, format_pause_warning, format_time_ago
from ..page_context import PageContext
from ..urls import UrlBuilder

_UNKNOWN_CONTENTS_TEXT = "We do not know what is in it: it cannot be looked at from here. {} to see for yourself."
_PENDING_CONTENTS_TEXT = "We do not know yet what is in it, and are looking."


class DeleteDataView(TypedDict):
    session: StoppedSessionView
    size: str | None
    as_of: str | None
    running: bool
    unsaved: list[UnsavedRepositoryRow]
    unsaved_note: str | None
    again: bool
    action: str
    cancel: str


class StoppedSessionView(TypedDict):
    title: str
    page: str | None
    download: str | None
    launch_version: str
    resume: str | None


def build_delete_data_view(found: OwnedInstance, inspection: ContentsInspection, frame: PageContext) -> DeleteDataView:
    """Build the view of renku_delete_data.html, without what was typed."""
    instance, urls, contents = found.instance, frame.urls, inspection.contents
    is_visible = found.project is not None and found.session is not None
    is_stopped = instance.status in (InstanceStatus.PAUSED, InstanceStatus.FAILED)
    can_download = frame.downloads and find_download_obstacle(instance) is None
    unknown = _UNKNOWN_CONTENTS_TEXT.format("Open it" if instance.is_active else "Resume the session")
    return {
        "session": {
            "title": found.title,
            "page": urls.session(found.project.path, instance.session) if is_visible and found.project else None,
            "download": urls.instance_action(instance.session, "download") if can_download else None,
            "launch_version": found.launch_version,
            "resume": urls.instance_action(instance.session, "resume") if is_visible and is_stopped else None,
        },
        "size": _format_total_size(contents.total) if contents else None,
        "as_of": "as it is now" if contents else None,
        "running": instance.is_active,
        "unsaved": _build_contents_rows(contents) if contents else [],
        "unsaved_note": None if contents else _PENDING_CONTENTS_TEXT if inspection.under_way else unknown,
        "again": inspection.under_way,
        "action": urls.instance_action(instance.session, "data"),
        "cancel": urls.my_sessions,
    }


def _format_total_size(total: FileTotal) -> str:
    return format_size(total.bytes) if total.complete else f"at least {format_size(total.bytes)}"


def _build_contents_rows(contents: Contents) -> list[UnsavedRepositoryRow]:
    loose, rows = contents.loose, [_build_unsaved_repository_row(work) for work in contents.unsaved]
    if contents.more:
        rows.append(
            _build_other_files_row(f"{format_count(contents.more, 'repository')} more", "not looked at", lost=True)
        )
    state = "not all could be read" if not loose.complete else "would be lost" if loose.files else "none"
    lost = loose.files > 0 or not loose.complete
    return [*rows, _build_other_files_row("files outside of repositories", state, lost=lost, changed=loose.files)]


def _build_other_files_row(name: str, state: str, *, lost: bool, changed: int | None = None) -> UnsavedRepositoryRow:
    """Build a row for files outside of inspected repositories."""
    return {
        "name": name,
        "code": False,
        "lost": lost,
        "state": state,
        "changed": changed,
        "unpushed": None,
        "branch": None,
    }


class UnsavedRepositoryRow(TypedDict):
    name: str
    code: bool
    lost: bool
    state: str
    changed: int | None
    unpushed: int | None
    branch: str | None


def _build_unsaved_repository_row(work: UnsavedWork) -> UnsavedRepositoryRow:
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


_HOUR_SECONDS = 3600
_KEEP_AWAKE_CHOICES_SECONDS = (
    _HOUR_SECONDS,
    4 * _HOUR_SECONDS,
    12 * _HOUR_SECONDS,
    24 * _HOUR_SECONDS,
    72 * _HOUR_SECONDS,
    168 * _HOUR_SECONDS,
)


class IdleView(TypedDict):
    awake_url: str | None
    pauses: str | None


def build_idle_view(instance: Instance, outlook: PlannedPause | None, urls: UrlBuilder, now: datetime) -> IdleView:
    """Return the warning of an idle pause, and the URL where it can be postponed."""
    because = format_pause_warning(instance, outlook, now)
    awake = urls.instance_action(instance.session, "keep-awake") if outlook and outlook.can_be_postponed else None
    if outlook is None or because is None:
        return {"awake_url": awake, "pauses": None}
    remaining = format_duration(max(outlook.at - now, timedelta(minutes=1)))
    return {"awake_url": awake, "pauses": f"Pauses in {remaining} because {because}."}


def format_pause_reason(instance: Instance) -> str | None:
    """Return why the instance was paused, in the words of that time."""
    if instance.message:
        return f"{instance.message} {instance.advice or ''}".strip()
    reason = REASONS_BY_CODE.get(instance.ended_reason or "")
    return f"{reason.text} {reason.advice}".strip() if reason and "{" not in reason.text else None


class KeepAwakeView(TypedDict):
    title: str
    runs: bool
    pauses_at: str | None
    because: str | None
    awake_at: str | None
    choices: list[KeepAwakeChoice]
    most: str


def build_keep_awake_view(
    found: OwnedInstance, outlook: PlannedPause | None, policy: HubPolicy, now: datetime
) -> KeepAwakeView:
    """Build the view of renku_keep_awake.html."""
    instance, most = found.instance, policy.idle.awake_max
    until = instance.awake_until if instance.awake_until and instance.awake_until > now else None
    return {
        "title": found.title,
        "runs": instance.status is InstanceStatus.RUNNING,
        "pauses_at": format_iso_time(outlook.at) if outlook else None,
        "because": format_pause_warning(instance, outlook, now),
        "awake_at": format_iso_time(until),
        "choices": build_keep_awake_choices(most),
        "most": format_duration(timedelta(seconds=most)),
    }


class KeepAwakeChoice(TypedDict):
    value: int
    text: str


def build_keep_awake_choices(most: int) -> list[KeepAwakeChoice]:
    """List durations to keep a session awake, of at most *most* seconds."""
    fitting = [seconds for seconds in _KEEP_AWAKE_CHOICES_SECONDS if seconds <= most] or ([most] if most else [])
    return [{"value": seconds, "text": format_duration(timedelta(seconds=seconds))} for seconds in fitting]


_MAX_FRESH_USAGE_AGE = timedelta(hours=1)  # the extension reports disk usage every half hour


class KeptDataView(TypedDict):
    kept: str | None
    kept_soon: bool
    trashed: bool
    restore_url: str | None


NO_KEPT_DATA_VIEW: KeptDataView = {"kept": None, "kept_soon": False, "trashed": False, "restore_url": None}


def build_kept_data_view(
    instance: Instance, now: datetime, restore_url: str, *, disk: str | None = None
) -> KeptDataView:
    """Build the kept data of a paused or failed instance; *disk* is the requested size, if it is known."""
    if instance.status not in (InstanceStatus.PAUSED, InstanceStatus.FAILED) or instance.claim is None:
        return NO_KEPT_DATA_VIEW
    parts = [part for part in (format_disk_usage(instance, now, disk), format_deletion_date(instance, now)) if part]
    trashed = instance.trashed_until is not None
    return {
        "kept": ", ".join(parts) or None,
        "kept_soon": trashed or is_deletion_near(instance, now),
        "trashed": trashed,
        "restore_url": restore_url if trashed else None,
    }


def format_disk_usage(instance: Instance, now: datetime, disk: str | None = None) -> str | None:
    """Format the disk usage that the session reported: `2.3 of 10 GiB used`, with its age if it is old."""
    if instance.disk_used is None:
        return None
    size = format_size(instance.disk_used)
    total = format_size_quantity(disk) if disk else ""
    number, _, unit = size.partition(" ")
    text = f"{number if total.endswith(f' {unit}') else size} of {total} used" if total else f"{size} used"
    at = instance.disk_used_at
    return text if at is None or now - at < _MAX_FRESH_USAGE_AGE else f"{text} (counted {format_time_ago(at, now)})"


def format_deletion_date(instance: Instance, now: datetime) -> str | None:
    """Format when data is deleted: `deleted on 20 January 2027 unless resumed`, `being deleted`."""
    if instance.desired is DesiredState.DELETED:
        return "being deleted"
    if instance.trashed_until is not None:
        return f"in the trash until {format_date(instance.trashed_until)}, then deleted for good"
    if instance.deleted_on is None:
        return None
    if is_deletion_near(instance, now):
        return f"deleted {_format_time_left(instance.deleted_on - now)} unless resumed"
    return f"deleted on {format_date(instance.deleted_on)} unless resumed"


def _format_time_left(left: timedelta) -> str:
    hours = max(0, round(left.total_seconds() / 3600))
    if hours >= 48:
        return f"in {round(hours / 24)} days"
    return f"in {hours} h" if hours else "within the hour"


def format_storage_cost(instance: Instance, price: StoragePrice | None) -> str | None:
    """Format the cost: `0.18 CHF a month`; None without a price or a size."""
    if price is None or instance.disk_used is None or instance.claim is None:
        return None
    return price.format_monthly_cost(instance.disk_used)
