"""Format times, counts and states for pages, and define status messages and environment icons.

The Jinja filters are in `filters`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import overload

from ..domain.access import Visibility
from ..domain.environments import Environment, EnvironmentKind
from ..domain.idle import PlannedPause
from ..domain.image_updates import ImageUpdate
from ..domain.instances import DesiredState, Instance, InstanceStatus
from ..domain.projects import Repository
from ..domain.sessions import SessionConfiguration
from ..domain.storages import Storage
from ..domain.text import format_duration
from .page_context import DescribedOptionView

_ENVIRONMENT_KIND_ICONS = {
    EnvironmentKind.DEFAULT: "fa-box-open",
    EnvironmentKind.EXTERNAL: "fa-cube",
    EnvironmentKind.REPOSITORY: "fa-code-branch",
}
ENVIRONMENT_ICON_CLASSES = {
    "notebook": "fa-book-open", "code": "fa-code", "chart": "fa-chart-line", "map": "fa-map",
    "terminal": "fa-terminal", "globe": "fa-globe", "dna": "fa-dna", "gpu": "fa-microchip", "robot": "fa-robot",
    "book": "fa-book",
}  # fmt: skip


def get_environment_icon(found: Environment) -> str:
    """Return the icon that its admin has chosen, or else that of its kind."""
    return ENVIRONMENT_ICON_CLASSES.get(found.icon) or _ENVIRONMENT_KIND_ICONS[found.kind]


LOCAL_MODE_NOTICE = (
    "Local demo: this runs in the hub's own Python environment, not in the image. "
    "Resource limits are not enforced here."
)
STATUS_MESSAGES = {
    "paused_for": "The session is pausing; its owner reads that an admin did it.",
    "paused_all": "The sessions are pausing; their owners read why.",
    "restored_for": "The data was restored from the trash: the session is paused as before.",
    "cleaned": "The selected items were removed.",
    "cleaned_some": "Some of the selected items are no longer listed and were kept.",
    "saved": "Saved.",
    "added": "The session was added.",
    "copied": "The session was copied.",
    "described": "The sessions are as the repository describes them.",
    "removed": "The session was removed. People keep the data they have in it.",
    "deleted": "Your data was deleted.",
    "deleting": "Your data is being deleted. That goes on by itself.",
    "project_deleted": "The project was deleted.",
    "left": "You left the project.",
    "default": "This is the project's default session now.",
    "dismissed": "Dismissed until a newer image is available.",
    "environment": "The session uses the new environment from its next start on.",
    "credentials": "This session opens storages with your own credentials: please enter them before it starts.",
    "storage_checked": "The storage was checked: see the result below.",
    "storage_not_checked": "Not checked: the hub cannot look into this storage. Its sessions say whether it opens.",
    "storage_added": "The storage was added. Sessions have it from their next start on.",
    "storage_removed": "The storage was taken out of the project. What is in it stays where it is.",
    "credentials_deleted": "Your credentials were deleted. You are asked again at your next start.",
    "environment_added": "The environment was added.",
    "pinned": "The session uses this revision from its next start on.",
}
VISIBILITY_CHOICES: list[DescribedOptionView] = [
    {"value": "private", "title": "Members only", "text": "Other users cannot see that it exists."},
    {
        "value": "public",
        "title": "All users of this hub",
        "text": "Every user reads all of it, also its members, its variables and the addresses of its storages, "
        "and may start its sessions; only members change it.",
    },
]
_VISIBILITY_TEXTS = {
    Visibility.PRIVATE: "members only",
    Visibility.INTERNAL: "all users who are logged in to GitLab, except external users",
    Visibility.PUBLIC: "all users of this hub",
}
LAUNCH_OUTCOME_TEXTS = {
    "launching": "starting",
    "running": "running",
    "failed": "failed",
    "cancelled": "cancelled",
    "ended": "ended",
}


def format_visibility(value: Visibility) -> str:
    return _VISIBILITY_TEXTS[value]


@overload
def format_iso_time(moment: datetime) -> str: ...
@overload
def format_iso_time(moment: None) -> None: ...
@overload
def format_iso_time(moment: datetime | None) -> str | None: ...
def format_iso_time(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None


def format_count(count: int, noun: str) -> str:
    """Format a count: `1 session`, `5 sessions`, `2 repositories`."""
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun[:-1]}ies" if noun.endswith("y") else f"{count} {noun}s"


def format_commit_distance(update: ImageUpdate | None) -> str | None:
    """Return `3 commits later` for a newer image that CI has built; None for any other."""
    if update is None or update.commit is None:
        return None
    if update.commits is None:
        return "of a later commit"
    if update.commits <= 0:
        return "rebuilt from the same commit"
    return f"{format_count(update.commits, 'commit')} later"


def truncate_at_word(text: str, limit: int = 300) -> str:
    """Return the first words of a long text, of at most *limit* characters."""
    return text if len(text) <= limit else f"{text[:limit].rpartition(' ')[0] or text[:limit]} …"


def format_elapsed_time(seconds: float) -> str:
    """Format a duration: `41 s`, `1 min 12 s`, `2 h 14 min`, `3 days`."""
    total = max(0, int(seconds))
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min" + (f" {total % 60} s" if total < 600 and total % 60 else "")
    if total < 48 * 3600:
        return f"{total // 3600} h {total % 3600 // 60} min"
    return f"{total // 86400} days"


def format_time_ago(then: datetime, now: datetime) -> str:
    """Format a past time: `just now`, `4 min ago`, `3 h ago`, `2 days ago`."""
    seconds = (now - then).total_seconds()
    if seconds < 60:
        return "just now"
    if seconds < 3600:
        return f"{int(seconds // 60)} min ago"
    if seconds < 48 * 3600:
        return f"{int(seconds // 3600)} h ago"
    return f"{int(seconds // 86400)} days ago"


def format_typical_duration(seconds: float | None) -> str | None:
    """Format a usual duration: `about 40 s`, rounded because it is the median of a few starts."""
    if seconds is None:
        return None
    if seconds < 57.5:
        return f"about {max(5, 5 * round(seconds / 5))} s"
    return f"about {max(1, round(seconds / 60))} min"


def compute_progress_percent(elapsed: int | None, usual_seconds: float | None) -> int | None:
    """Return the percentage of the usual time, at most 95; None without earlier starts."""
    if elapsed is None or not usual_seconds:
        return None
    return min(95, int(100 * elapsed / usual_seconds))


def format_status_sentence(instance: Instance, *, local: bool) -> str | None:
    """Describe an instance that is stopping or unknown; None for any other status."""
    if instance.status is InstanceStatus.STOPPING:
        return "Deleting your data." if instance.desired is DesiredState.DELETED else "Pausing, data is kept."
    if instance.status is InstanceStatus.UNKNOWN:
        problem = "We do not know yet whether it still runs" if local else "We cannot reach the cluster"
        state = "running" if instance.ready_at else "starting"
        return (
            f"{problem}; last seen {state} at {instance.last_seen:%H:%M} UTC." if instance.last_seen else f"{problem}."
        )
    return None


def format_pause_warning(instance: Instance, outlook: PlannedPause | None, now: datetime) -> str | None:
    """Return why the instance pauses soon: `nothing has happened for 50 min`; None before the warning is due."""
    if outlook is None or not outlook.is_warning_due(now):
        return None
    if outlook.reason == "culled_age":
        return f"it has run for {format_duration(now - (instance.ready_at or now))}, as long as a session may"
    used = instance.last_activity or instance.ready_at or now
    return f"nothing has happened for {format_duration(now - used)}"


def format_day_and_time(moment: datetime, now: datetime) -> str:
    """Format the time of a start: `today, 09:42`, `21 November, 16:02`."""
    if now - moment < timedelta(hours=24) and now.day == moment.day:
        return f"today, {moment:%H:%M}"
    return f"{moment.day} {moment:%B}, {moment:%H:%M}"


def format_fetch_options(found: Repository) -> str:
    """Format the fetch options of a repository: `with large files and submodules`; empty for most."""
    parts = [name for name, wanted in (("large files", found.lfs), ("submodules", found.submodules)) if wanted]
    return f"with {' and '.join(parts)}" if parts else ""


def shorten_repository_url(url: str) -> str:
    """Return a URL without scheme and `.git`: `gitlab.org/ada/climate`."""
    return url.partition("://")[2].removesuffix(".git") or url


def format_mounts(
    configuration: SessionConfiguration, repositories: Sequence[Repository], storages: Sequence[Storage] = ()
) -> str:
    """Summarize mounts: `all 2 repositories`, `1 of 2 repositories, 1 storage`, `no repositories`."""
    parts = [
        _format_chosen_count(
            len(configuration.select_repositories(tuple(repositories))), len(repositories), "repository"
        )
    ]
    if storages:
        parts.append(_format_chosen_count(len(configuration.select_storages(storages)), len(storages), "storage"))
    return ", ".join(parts)


def _format_chosen_count(chosen: int, count: int, noun: str) -> str:
    if not chosen:
        return f"no {format_count(0, noun).partition(' ')[2]}"
    if chosen < count:
        return f"{chosen} of {format_count(count, noun)}"
    return f"all {format_count(count, noun)}" if count > 1 else f"1 {noun}"
