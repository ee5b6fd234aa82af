"""What the operator's pages show."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from ..domain import letter, quantity
from ..domain.instance import Instance, Status
from ..domain.inventory import Kind, Orphan
from ..domain.operating import InstanceFilter, InstanceRow, NodeOverview
from ..domain.reasons import REASONS
from ..services.operating import ClaimRow, Claims
from ..services.orphans import MOST, Orphans
from . import words
from .forms_admin import ALL, STATUSES, WORDS
from .urls import Urls, query
from .views_frame import Frame, View

_TABS = (
    ("", "Instances", "fa-server"),
    ("nodes", "Nodes", "fa-network-wired"),
    ("orphans", "Orphans", "fa-link-slash"),
    ("claims", "Claims", "fa-hard-drive"),
    ("failures", "Failures", "fa-triangle-exclamation"),
    ("launches", "Launches", "fa-stopwatch"),
    ("audit", "Audit", "fa-clipboard-list"),
)
_TITLES = {
    Kind.POD: ("Pods without a record", "Nobody is served by them; removing one ends what runs in it."),
    Kind.CLAIM: ("Claims without a record", "Somebody's files may be in them: they are gone with the claim, for good."),
    Kind.FOLDER: ("Folders without a record", "Somebody's files may be in them: they are gone with the folder."),
    Kind.STORAGE: (
        "Storages without a pod",
        "Each has a claim and a Secret with credentials for a remote. Both go; nothing in the remote does.",
    ),
    Kind.RUN: ("Records without a pod", "On record as running, launching or pausing. Removing one makes it failed."),
    Kind.RECORD: (
        "Records without files",
        "On record as having files that are not there. Removing one makes it inactive: its next start gets an empty "
        "disk, and its owner is not asked.",
    ),
}


def tabs(current: str, urls: Urls) -> list[View]:
    return [
        {"text": text, "icon": icon, "url": urls.admin(name), "current": name == current} for name, text, icon in _TABS
    ]


def problems(refused_settings: str | None, reasons: Sequence[str | None]) -> list[View]:
    """What an admin has to mend; *reasons* say why neighbours cannot be asked."""
    found: list[View] = []
    if refused_settings:
        found.append(
            {"title": "Changed settings are not used.", "text": f"The hub keeps those that it has: {refused_settings}"}
        )
    found += [{"title": "No session can start.", "text": reason} for reason in reasons if reason]
    return found


def nodes(found: NodeOverview, frame: Frame) -> View:
    placed = [each for each in found.nodes if each.node]
    rows = [{"node": n.node, "word": n.node, "sessions": n.sessions, "stopping": n.stopping} for n in placed]
    whole = {
        "node": "", "word": ALL, "sessions": sum(n.sessions for n in found.nodes),
        "stopping": sum(n.stopping for n in found.nodes),
    }  # fmt: skip
    return {"rows": [*rows, whole], "unknown": found.unknown, "action": frame.urls.admin("nodes")}


# ---- instances -------------------------------------------------------------------------------------


def instances(
    rows: Sequence[InstanceRow], asked: InstanceFilter, following: str | None, after: str | None, frame: Frame
) -> View:
    filters = {name: str(value or "") for name, value in vars(asked).items()}
    return {
        "rows": [_instance(row, frame) for row in rows],
        "asked": filters,
        "statuses": [str(status) for status in STATUSES],
        "reasons": sorted(REASONS),
        "action": frame.urls.admin("pause"),
        "restore": frame.urls.admin("restore"),
        "back": query("", **filters, after=after).lstrip("?"),
        "next": frame.urls.admin(**filters, after=following) if following else None,
    }


def _instance(row: InstanceRow, frame: Frame) -> View:
    found = row.instance
    since = _since(found)
    return {
        "id": found.id,
        "session": found.session,
        "owner": found.username,
        "title": row.title,
        "project": row.project_path,
        "status": str(found.status),
        "why": _why(found),
        "reason": found.reason or found.ended_reason,
        "elapsed": max(0, int((frame.now - since).total_seconds())) if since else None,
        "since_at": words.iso(since),
        "class_name": found.resource_class,
        "disk": quantity.size(row.disk),
        "trash": letter.date(found.trashed_until) if found.trashed_until else None,
        "can_pause": found.active and found.status is not Status.STOPPING,
    }


def _since(found: Instance) -> datetime | None:
    """Return since when the instance has its status."""
    return {
        Status.RUNNING: found.ready_at,
        Status.LAUNCHING: found.requested_at,
        Status.STOPPING: found.stage_at,
        Status.UNKNOWN: found.last_seen,
    }.get(found.status, found.paused_at)


def _why(found: Instance) -> str:
    if found.message:
        return found.message
    if found.stage:
        return found.stage
    reason = REASONS.get(found.ended_reason or "")
    told = reason.text if reason and "{" not in reason.text else ""
    return told.replace("by you", "by its owner").replace("You cancelled", "Its owner cancelled")


# ---- orphans and claims ----------------------------------------------------------------------------


def orphans(found: Orphans, ticked: Collection[str], frame: Frame) -> View:
    kinds = [kind for kind in Kind if kind in found.counts]
    return {
        "unknown": found.unknown,
        "warning": found.warning if any(found.of(kind) for kind in (Kind.POD, Kind.CLAIM, Kind.STORAGE)) else None,
        "kinds": [_kind(kind, found, ticked, frame) for kind in kinds],
        "none": not any(found.counts.values()),
        "action": frame.urls.admin("orphans"),
    }


def _kind(kind: Kind, found: Orphans, ticked: Collection[str], frame: Frame) -> View:
    title, note = _TITLES[kind]
    rows = [_orphan(orphan, ticked, frame) for orphan in found.of(kind)]
    more = found.counts[kind] - len(rows)
    return {
        "value": str(kind),
        "title": title,
        "count": f"{found.counts[kind]} in all",
        "note": note,
        "word": WORDS[kind],
        "rows": rows,
        "offered": any(row["hindrance"] is None for row in rows),
        "more": f"{more} more come when these are gone: {MOST} are shown at a time." if more else None,
    }


def _orphan(orphan: Orphan, ticked: Collection[str], frame: Frame) -> View:
    return {
        "name": orphan.name,
        "owner": orphan.username,
        "title": orphan.title,
        "size": size(orphan.size),
        "since": words.ago(orphan.since, frame.now) if orphan.since else None,
        "since_at": words.iso(orphan.since),
        "hindrance": orphan.hindrance,
        "ticked": orphan.name in ticked,
    }


def claims(found: Claims, owner: str, frame: Frame) -> View:
    return {
        "unknown": found.unknown,
        "pods": found.pods,
        "rows": [_claim(each, frame) for each in found.rows],
        "asked": {"owner": owner},
        "count": words.counted(found.count, "claim" if found.pods else "folder"),
        "size": size(found.size),
        "action": frame.urls.admin("claims"),
        "next": frame.urls.admin("claims", owner=owner, after=found.next) if found.next else None,
    }


def _claim(each: ClaimRow, frame: Frame) -> View:
    thing, instance = each.thing, each.row.instance if each.row else None
    used = instance.last_activity if instance else None
    return {
        "name": thing.name,
        "owner": instance.username if instance else thing.username,
        "title": each.row.title if each.row else thing.title,
        "project": each.row.project_path if each.row else None,
        "status": str(instance.status) if instance else None,
        "size": size(thing.size),
        "made": words.ago(thing.made_at, frame.now) if thing.made_at else None,
        "made_at": words.iso(thing.made_at),
        "used": words.ago(used, frame.now) if used else None,
        "used_at": words.iso(used),
    }


def size(text: str) -> str | None:
    """A quantity in words; None of what is none, since clusters are not ours."""
    try:
        return quantity.size(text) if text else None
    except ValueError:
        return None
