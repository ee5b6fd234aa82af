"""View models of the administration pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import TypedDict

from ...domain.administration import (
    AuditEvent,
    DurationSummary,
    EnvironmentLaunchStatistics,
    FailureCount,
    InstanceFilter,
    InstanceRow,
    NodeOverview,
    OrphanedResource,
    OrphanKind,
)
from ...domain.instances import STAGE_LABELS, Instance, InstanceStatus
from ...domain.notifications import format_date
from ...domain.quantities import format_size_quantity
from ...domain.reasons import REASONS_BY_CODE, format_reason
from ...persistence.administration import MAX_START_SAMPLES
from ...usecases.administration import FAILED_LAUNCHES_PERIOD_DAYS, ClaimsPage, ClaimWithOwner
from ...usecases.orphans import MAX_LISTED_ORPHANS, OrphansReport
from ..formatting import format_count, format_elapsed_time, format_iso_time, format_time_ago
from ..page_context import NoticeView, PageContext, TabView
from ..urls import UrlBuilder, add_query_parameters
from .forms import ALL_NODES_CONFIRMATION_WORD, LISTED_INSTANCE_STATUSES, ORPHAN_CONFIRMATION_WORDS

_ADMIN_TABS = (
    ("", "Sessions", "fa-server"),
    ("nodes", "Nodes", "fa-network-wired"),
    ("orphans", "Leftovers", "fa-link-slash"),
    ("claims", "Volumes", "fa-hard-drive"),
    ("failures", "Failures", "fa-triangle-exclamation"),
    ("launches", "Launches", "fa-stopwatch"),
    ("audit", "Audit", "fa-clipboard-list"),
)
_ORPHAN_KIND_TEXTS = {
    OrphanKind.POD: ("Pods without a record", "No session uses them. Removing one stops what runs in it."),
    OrphanKind.CLAIM: (
        "Claims without a record",
        "They may contain a user's files, which are deleted with the claim for good.",
    ),
    OrphanKind.FOLDER: (
        "Folders without a record",
        "They may contain a user's files, which are deleted with the folder.",
    ),
    OrphanKind.STORAGE: (
        "Storages without a pod",
        "Each has a claim and a Secret with credentials for a remote. Both are removed; files in the remote stay.",
    ),
    OrphanKind.RUN: (
        "Records without a pod",
        "On record as running, launching or pausing. Removing one makes it failed.",
    ),
    OrphanKind.RECORD: (
        "Records without files",
        "On record as having files that are not there. Removing one makes it inactive: its next start gets an empty "
        "disk, and its owner is not asked.",
    ),
}


def build_admin_tabs_view(current: str, urls: UrlBuilder) -> list[TabView]:
    return [
        {"text": text, "icon": icon, "url": urls.admin(name), "current": name == current}
        for name, text, icon in _ADMIN_TABS
    ]


def build_admin_problems_view(refused_settings: str | None, reasons: Sequence[str | None]) -> list[NoticeView]:
    """List the problems for an admin to fix; *reasons* say why dependencies are unreachable."""
    problems: list[NoticeView] = []
    if refused_settings:
        problems.append(
            {"title": "Changed settings are not used.", "text": f"The hub keeps those that it has: {refused_settings}"}
        )
    problems += [{"title": "No session can start.", "text": reason} for reason in reasons if reason]
    return problems


class AdminNodesView(TypedDict):
    rows: list[NodeRow]
    unknown: str | None
    action: str


class NodeRow(TypedDict):
    node: str
    word: str
    sessions: int
    stopping: int


def build_admin_nodes_view(found: NodeOverview, frame: PageContext) -> AdminNodesView:
    placed = [node for node in found.nodes if node.node]
    rows: list[NodeRow] = [
        {"node": n.node, "word": n.node, "sessions": n.sessions, "stopping": n.stopping} for n in placed
    ]
    hub_row: NodeRow = {
        "node": "", "word": ALL_NODES_CONFIRMATION_WORD, "sessions": sum(n.sessions for n in found.nodes),
        "stopping": sum(n.stopping for n in found.nodes),
    }  # fmt: skip
    return {"rows": [*rows, hub_row], "unknown": found.unknown, "action": frame.urls.admin("nodes")}


# Instances


class AdminInstancesView(TypedDict):
    rows: list[AdminInstanceRow]
    asked: InstanceFilterView
    statuses: list[str]
    reasons: list[str]
    action: str
    restore: str
    back: str
    next: str | None


class InstanceFilterView(TypedDict):
    status: str
    owner: str
    project: str
    reason: str


def build_admin_instances_view(
    rows: Sequence[InstanceRow], asked: InstanceFilter, following: str | None, after: str | None, frame: PageContext
) -> AdminInstancesView:
    filters: InstanceFilterView = {
        "status": str(asked.status or ""), "owner": asked.owner, "project": asked.project,
        "reason": asked.reason,
    }  # fmt: skip
    return {
        "rows": [_build_admin_instance_row(row, frame) for row in rows],
        "asked": filters,
        "statuses": [str(status) for status in LISTED_INSTANCE_STATUSES],
        "reasons": sorted(REASONS_BY_CODE),
        "action": frame.urls.admin("pause"),
        "restore": frame.urls.admin("restore"),
        "back": add_query_parameters("", **filters, after=after).lstrip("?"),
        "next": frame.urls.admin(**filters, after=following) if following else None,
    }


class AdminInstanceRow(TypedDict):
    id: str
    session: str
    owner: str
    title: str
    project: str | None
    status: InstanceStatus
    why: str
    reason: str | None
    elapsed: int | None
    since_at: str | None
    class_name: str | None
    disk: str
    trash: str | None
    can_pause: bool


def _build_admin_instance_row(row: InstanceRow, frame: PageContext) -> AdminInstanceRow:
    instance = row.instance
    since = _get_status_since(instance)
    return {
        "id": instance.id,
        "session": instance.session,
        "owner": instance.username,
        "title": row.title,
        "project": row.project_path,
        "status": instance.status,
        "why": _get_status_explanation(instance),
        "reason": instance.reason or instance.ended_reason,
        "elapsed": max(0, int((frame.now - since).total_seconds())) if since else None,
        "since_at": format_iso_time(since),
        "class_name": instance.resource_class,
        "disk": format_size_quantity(row.disk),
        "trash": format_date(instance.trashed_until) if instance.trashed_until else None,
        "can_pause": instance.is_active and instance.status is not InstanceStatus.STOPPING,
    }


def _get_status_since(found: Instance) -> datetime | None:
    """Return when the instance got its status."""
    return {
        InstanceStatus.RUNNING: found.ready_at,
        InstanceStatus.LAUNCHING: found.requested_at,
        InstanceStatus.STOPPING: found.stage_at,
        InstanceStatus.UNKNOWN: found.last_seen,
    }.get(found.status, found.paused_at)


def _get_status_explanation(found: Instance) -> str:
    if found.message:
        return found.message
    if found.stage:
        return found.stage
    reason = REASONS_BY_CODE.get(found.ended_reason or "")
    text = reason.text if reason and "{" not in reason.text else ""
    return text.replace("by you", "by its owner").replace("You cancelled", "Its owner cancelled")


# Orphans and claims


class OrphansView(TypedDict):
    unknown: str | None
    warning: str | None
    kinds: list[OrphanKindView]
    none: bool
    action: str


def build_orphans_view(found: OrphansReport, ticked: Collection[str], frame: PageContext) -> OrphansView:
    kinds = [kind for kind in OrphanKind if kind in found.counts]
    return {
        "unknown": found.unknown,
        "warning": found.warning
        if any(found.list_of_kind(kind) for kind in (OrphanKind.POD, OrphanKind.CLAIM, OrphanKind.STORAGE))
        else None,
        "kinds": [_build_orphan_kind_view(kind, found, ticked, frame) for kind in kinds],
        "none": not any(found.counts.values()),
        "action": frame.urls.admin("orphans"),
    }


class OrphanKindView(TypedDict):
    value: str
    title: str
    count: str
    note: str
    word: str
    rows: list[OrphanRow]
    offered: bool
    more: str | None


def _build_orphan_kind_view(
    kind: OrphanKind, found: OrphansReport, ticked: Collection[str], frame: PageContext
) -> OrphanKindView:
    title, note = _ORPHAN_KIND_TEXTS[kind]
    rows = [_build_orphan_row(orphan, ticked, frame) for orphan in found.list_of_kind(kind)]
    more = found.counts[kind] - len(rows)
    return {
        "value": str(kind),
        "title": title,
        "count": f"{found.counts[kind]} in all",
        "note": note,
        "word": ORPHAN_CONFIRMATION_WORDS[kind],
        "rows": rows,
        "offered": any(row["hindrance"] is None for row in rows),
        "more": f"{more} more come when these are gone: {MAX_LISTED_ORPHANS} are shown at a time." if more else None,
    }


class OrphanRow(TypedDict):
    name: str
    owner: str
    title: str
    size: str | None
    since: str | None
    since_at: str | None
    hindrance: str | None
    ticked: bool


def _build_orphan_row(orphan: OrphanedResource, ticked: Collection[str], frame: PageContext) -> OrphanRow:
    return {
        "name": orphan.name,
        "owner": orphan.username,
        "title": orphan.title,
        "size": format_reported_size(orphan.size),
        "since": format_time_ago(orphan.since, frame.now) if orphan.since else None,
        "since_at": format_iso_time(orphan.since),
        "hindrance": orphan.hindrance,
        "ticked": orphan.name in ticked,
    }


class ClaimsView(TypedDict):
    unknown: str | None
    pods: bool
    rows: list[ClaimRow]
    asked: OwnerFilterView
    count: str
    size: str | None
    action: str
    next: str | None


class OwnerFilterView(TypedDict):
    owner: str


def build_claims_view(found: ClaimsPage, owner: str, frame: PageContext) -> ClaimsView:
    return {
        "unknown": found.unknown,
        "pods": found.pods,
        "rows": [_build_claim_row(row, frame) for row in found.rows],
        "asked": {"owner": owner},
        "count": format_count(found.count, "claim" if found.pods else "folder"),
        "size": format_reported_size(found.size),
        "action": frame.urls.admin("claims"),
        "next": frame.urls.admin("claims", owner=owner, after=found.next) if found.next else None,
    }


class ClaimRow(TypedDict):
    name: str
    owner: str
    title: str
    project: str | None
    status: InstanceStatus | None
    size: str | None
    made: str | None
    made_at: str | None
    used: str | None
    used_at: str | None


def _build_claim_row(each: ClaimWithOwner, frame: PageContext) -> ClaimRow:
    thing, instance = each.thing, each.row.instance if each.row else None
    used = instance.last_activity if instance else None
    return {
        "name": thing.name,
        "owner": instance.username if instance else thing.username,
        "title": each.row.title if each.row else thing.title,
        "project": each.row.project_path if each.row else None,
        "status": instance.status if instance else None,
        "size": format_reported_size(thing.size),
        "made": format_time_ago(thing.made_at, frame.now) if thing.made_at else None,
        "made_at": format_iso_time(thing.made_at),
        "used": format_time_ago(used, frame.now) if used else None,
        "used_at": format_iso_time(used),
    }


def format_reported_size(text: str) -> str | None:
    """Format a quantity reported by the cluster; None if it is not a valid one."""
    try:
        return format_size_quantity(text) if text else None
    except ValueError:
        return None


class FailuresView(TypedDict):
    days: list[DayColumn]
    rows: list[FailureReasonRow]
    total: int
    most: int
    kept: int


class DayColumn(TypedDict):
    text: str
    at: str
    total: int


class FailureReasonRow(TypedDict):
    code: str
    text: str
    group: str
    total: int
    counts: list[int]
    url: str | None


def build_failures_view(found: Sequence[FailureCount], frame: PageContext) -> FailuresView:
    """Build the table of failed starts: reasons by frequency as rows, days that have any as columns, the last first."""
    counts = {(count.reason, count.day): count.count for count in found}
    totals, by_day = Counter[str](), Counter[date]()
    for count in found:
        totals[count.reason] += count.count
        by_day[count.day] += count.count
    days = sorted(by_day, reverse=True)
    return {
        "days": [{"text": f"{day.day} {day:%b}", "at": day.isoformat(), "total": by_day[day]} for day in days],
        "rows": [
            _build_failure_reason_row(code, total, [counts.get((code, day), 0) for day in days], frame)
            for code, total in totals.most_common()
        ],
        "total": totals.total(),
        "most": max(by_day.values(), default=0),
        "kept": FAILED_LAUNCHES_PERIOD_DAYS,
    }


def _build_failure_reason_row(code: str, total: int, counts: Sequence[int], frame: PageContext) -> FailureReasonRow:
    reason = REASONS_BY_CODE.get(code)
    return {
        "code": code or "none",
        "text": format_reason(code)[0].replace("….", "…") if reason else "",
        "group": str(reason.group) if reason else "",
        "total": total,
        "counts": list(counts),
        "url": frame.urls.admin(status="failed", reason=code) if code else None,
    }


class LaunchStatisticsView(TypedDict):
    stages: list[str]
    rows: list[LaunchStatisticsRow]
    samples: int
    next: str | None


class LaunchStatisticsRow(TypedDict):
    id: str
    name: str
    kind: str
    starts: int
    failed: int
    whole: DurationsView | None
    stages: list[DurationsView | None]


class DurationsView(TypedDict):
    median: str
    p95: str


def build_launch_statistics_view(
    found: Sequence[EnvironmentLaunchStatistics], following: str | None, frame: PageContext
) -> LaunchStatisticsView:
    return {
        "stages": list(STAGE_LABELS.values()),
        "rows": [_build_launch_statistics_row(row) for row in found],
        "samples": MAX_START_SAMPLES,
        "next": frame.urls.admin("launches", after=following) if following else None,
    }


def _build_launch_statistics_row(each: EnvironmentLaunchStatistics) -> LaunchStatisticsRow:
    return {
        "id": each.environment,
        "name": each.name,
        "kind": each.kind,
        "starts": each.starts,
        "failed": each.failed,
        "whole": _format_duration_summary(each.whole),
        "stages": [_format_duration_summary(each.stages.get(stage.value)) for stage in STAGE_LABELS],
    }


def _format_duration_summary(found: DurationSummary | None) -> DurationsView | None:
    return (
        {"median": _format_launch_duration(found.median), "p95": _format_launch_duration(found.p95)} if found else None
    )


def _format_launch_duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else format_elapsed_time(seconds)


class AuditView(TypedDict):
    rows: list[AuditRow]
    asked: AuditFilterView
    action: str
    next: str | None


class AuditFilterView(TypedDict):
    actor: str
    action: str


class AuditRow(TypedDict):
    when: str
    at: str | None
    actor: str
    action: str
    owner: str | None
    subject: str
    detail: str


def build_audit_view(
    events: Sequence[AuditEvent], actor: str, action: str, following: str | None, frame: PageContext
) -> AuditView:
    urls = frame.urls
    return {
        "rows": [
            {
                "when": f"{event.at:%Y-%m-%d %H:%M:%S}",
                "at": format_iso_time(event.at),
                "actor": event.actor,
                "action": event.action,
                "owner": event.username,
                "subject": event.subject,
                "detail": ", ".join(f"{value}" for value in event.detail.values()),
            }
            for event in events
        ],
        "asked": {"actor": actor, "action": action},
        "action": urls.admin("audit"),
        "next": urls.admin("audit", actor=actor, action=action, after=following) if following else None,
    }
