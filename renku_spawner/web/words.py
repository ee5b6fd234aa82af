"""Times, counts and states in words; every sentence that no error and no template says itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from ..domain import spans
from ..domain.access import Visibility
from ..domain.idle import Outlook
from ..domain.instance import Desired, Instance, Status
from ..domain.repository import Repository
from ..domain.session import Configuration
from ..domain.sighting import Update
from ..domain.storage import Storage

LOCAL = (
    "Local demo: this runs in the hub's own Python environment, not in the image. "
    "Resource limits are not enforced here."
)
SAID = {
    "paused_for": "The session is pausing; its owner reads that an admin did it.",
    "paused_all": "The sessions are pausing; their owners read why.",
    "restored_for": "The data are out of the trash: the session is paused as before.",
    "cleaned": "What was ticked is removed.",
    "cleaned_some": "Some of what was ticked is not offered any more, and stays.",
    "saved": "Saved.",
    "added": "The session was added.",
    "copied": "The session was copied.",
    "described": "The sessions are as the repository describes them.",
    "removed": "The session was removed. People keep the data they have in it.",
    "deleted": "Your data were deleted.",
    "deleting": "Your data is being deleted. That goes on by itself.",
    "project_deleted": "The project was deleted.",
    "left": "You are no member of the project any more.",
    "default": "This is the project's default session now.",
    "dismissed": "You hear of it no more, until there is a newer one.",
    "succeeded": "The session uses the new environment from its next start on.",
    "credentials": "This session opens storages with your own credentials: please enter them before it starts.",
    "storage_checked": "The storage was checked: see the result below.",
    "storage_not_checked": "Not checked: the hub cannot look into this storage. Its sessions say whether it opens.",
    "storage_added": "The storage was added. Sessions have it from their next start on.",
    "storage_removed": "The storage was taken out of the project. What is in it stays where it is.",
    "credentials_deleted": "Your credentials were deleted. You are asked again at your next start.",
    "environment_added": "The environment was added.",
    "pinned": "The session uses this revision from its next start on.",
}
VISIBILITIES = [
    {"value": "private", "title": "Members only", "text": "Nobody else can tell that it exists."},
    {
        "value": "public",
        "title": "Everybody on this hub",
        "text": "Every user reads all of it, also its members, its variables and the addresses of its storages, "
        "and may start its sessions; only members change it.",
    },
]
_SHORT = {
    Visibility.PRIVATE: "members only",
    Visibility.INTERNAL: "everybody who is logged in at GitLab, except external users",
    Visibility.PUBLIC: "everybody on this hub",
}
OUTCOMES = {
    "launching": "starting",
    "running": "running",
    "failed": "failed",
    "cancelled": "cancelled",
    "ended": "ended",
}


def visibility(value: Visibility) -> str:
    return _SHORT[value]


def iso(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None


def counted(count: int, noun: str) -> str:
    """`1 session`, `5 sessions`, `2 repositories`."""
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun[:-1]}ies" if noun.endswith("y") else f"{count} {noun}s"


def later(update: Update | None) -> str | None:
    """`3 commits later`, of a newer image that CI has built."""
    if update is None or update.commit is None:
        return None
    if update.commits is None:
        return "of a later commit"
    if update.commits <= 0:
        return "built anew from the same commit"
    return f"{counted(update.commits, 'commit')} later"


def beginning(text: str, limit: int = 300) -> str:
    """The first words of a long text."""
    return text if len(text) <= limit else f"{text[:limit].rpartition(' ')[0] or text[:limit]} …"


def lasting(seconds: float) -> str:
    """`41 s`, `1 min 12 s`, `2 h 14 min`, `3 days`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole < 600 and whole % 60 else "")
    if whole < 48 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} days"


def ago(then: datetime, now: datetime) -> str:
    """`just now`, `4 min ago`, `3 h ago`, `2 days ago`."""
    seconds = (now - then).total_seconds()
    if seconds < 60:
        return "just now"
    if seconds < 3600:
        return f"{int(seconds // 60)} min ago"
    if seconds < 48 * 3600:
        return f"{int(seconds // 3600)} h ago"
    return f"{int(seconds // 86400)} days ago"


def usual(seconds: float | None) -> str | None:
    """`about 40 s`: rounded, since it is a median of a few starts."""
    if seconds is None:
        return None
    if seconds < 57.5:
        return f"about {max(5, 5 * round(seconds / 5))} s"
    return f"about {max(1, round(seconds / 60))} min"


def progress(elapsed: int | None, usual_seconds: float | None) -> int | None:
    """Percent of the usual time, at most 95; None without history (decision 19)."""
    if elapsed is None or not usual_seconds:
        return None
    return min(95, int(100 * elapsed / usual_seconds))


def sentence(instance: Instance, *, local: bool) -> str | None:
    """What is the case while an instance is stopping or unknown (decision 14)."""
    if instance.status is Status.STOPPING:
        return "Deleting your data." if instance.desired is Desired.DELETED else "Pausing, data is kept."
    if instance.status is Status.UNKNOWN:
        what = "We do not know yet whether it still runs" if local else "We cannot reach the cluster"
        state = "running" if instance.ready_at else "starting"
        return f"{what}; last seen {state} at {instance.last_seen:%H:%M} UTC." if instance.last_seen else f"{what}."
    return None


def because(instance: Instance, outlook: Outlook | None, now: datetime) -> str | None:
    """Why it pauses soon, once its owner is warned: `nothing has happened for 50 min`."""
    if outlook is None or not outlook.is_warned(now):
        return None
    if outlook.reason == "culled_age":
        return f"it has run for {spans.words(now - (instance.ready_at or now))}, as long as a session may"
    used = instance.last_activity or instance.ready_at or now
    return f"nothing has happened for {spans.words(now - used)}"


def day(moment: datetime, now: datetime) -> str:
    """When a start was: `today, 09:42`, `21 November, 16:02`."""
    if now - moment < timedelta(hours=24) and now.day == moment.day:
        return f"today, {moment:%H:%M}"
    return f"{moment.day} {moment:%B}, {moment:%H:%M}"


def fetched_too(found: Repository) -> str:
    """`with large files and submodules`; nothing for most."""
    parts = [name for name, wanted in (("large files", found.lfs), ("submodules", found.submodules)) if wanted]
    return f"with {' and '.join(parts)}" if parts else ""


def repository(url: str) -> str:
    """`gitlab.org/ada/climate`: an address without what is the same for all."""
    return url.partition("://")[2].removesuffix(".git") or url


def mounts(configuration: Configuration, repositories: Sequence[Repository], storages: Sequence[Storage] = ()) -> str:
    """`all 2 repositories`, `1 of 2 repositories, 1 storage`, `no repositories`."""
    said = [_of(len(configuration.chosen(tuple(repositories))), len(repositories), "repository")]
    if storages:
        said.append(_of(len(configuration.mounts(storages)), len(storages), "storage"))
    return ", ".join(said)


def _of(chosen: int, count: int, noun: str) -> str:
    if not chosen:
        return f"no {counted(0, noun).partition(' ')[2]}"
    if chosen < count:
        return f"{chosen} of {counted(count, noun)}"
    return f"all {counted(count, noun)}" if count > 1 else f"1 {noun}"
