"""What operators look at, as the answers of the API."""

from __future__ import annotations

from ..domain.audit import Event
from ..domain.operating import EnvironmentStarts, FailureCount, InstanceRow, NodeOverview
from ..services.operating import ClaimRow, Claims
from ..services.orphans import Orphans
from .answer_models_admin import (
    AdminInstanceAnswer,
    AuditAnswer,
    ClaimAnswer,
    ClaimList,
    EnvironmentStartsAnswer,
    FailureAnswer,
    NodeAnswer,
    NodeList,
    OrphanAnswer,
    OrphansAnswer,
    SpreadAnswer,
)

_SAME = (
    "username", "session", "project", "environment", "stage", "message", "resource_class", "ready_at", "paused_at",
    "last_activity", "last_seen",
)  # fmt: skip


def instance(row: InstanceRow) -> AdminInstanceAnswer:
    found = row.instance
    return AdminInstanceAnswer(
        title=row.title,
        project_path=row.project_path,
        disk=row.disk,
        status=str(found.status),
        reason=found.reason or found.ended_reason,
        started_at=found.requested_at,
        **{name: getattr(found, name) for name in _SAME},
    )


def nodes(found: NodeOverview) -> NodeList:
    items = [NodeAnswer(node=each.node, sessions=each.sessions, stopping=each.stopping) for each in found.nodes]
    return NodeList(items=items, unknown=found.unknown)


def orphans(found: Orphans) -> OrphansAnswer:
    names = ("name", "username", "session", "title", "since", "hindrance")
    return OrphansAnswer(
        items=[
            OrphanAnswer(kind=str(o.kind), size=o.size or None, **{name: getattr(o, name) for name in names})
            for o in found.found
        ],
        counts={str(kind): count for kind, count in found.counts.items()},
        unknown=found.unknown,
        warning=found.warning,
    )


def claims(found: Claims, following: str | None) -> ClaimList:
    items = [_claim(each) for each in found.rows]
    return ClaimList(items=items, next=following, count=found.count, size=found.size or None, unknown=found.unknown)


def _claim(each: ClaimRow) -> ClaimAnswer:
    thing, row = each.thing, each.row
    return ClaimAnswer(
        name=thing.name,
        username=row.instance.username if row else thing.username,
        session=row.instance.session if row else thing.session,
        title=row.title if row else thing.title,
        size=thing.size or None,
        made_at=thing.made_at,
        last_activity=row.instance.last_activity if row else None,
        record=row is not None,
    )


def failure(found: FailureCount) -> FailureAnswer:
    return FailureAnswer(day=found.day, reason=found.reason or None, count=found.count)


def starts(found: EnvironmentStarts) -> EnvironmentStartsAnswer:
    return EnvironmentStartsAnswer(
        environment=found.environment,
        name=found.name,
        kind=found.kind,
        starts=found.starts,
        failed=found.failed,
        whole=SpreadAnswer(**vars(found.whole)) if found.whole else None,
        stages={stage: SpreadAnswer(**vars(each)) for stage, each in found.stages.items()},
    )


def event(found: Event) -> AuditAnswer:
    return AuditAnswer(**vars(found))
