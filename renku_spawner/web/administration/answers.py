"""Convert administration data to answers of the API."""

from __future__ import annotations

from ...domain.administration import AuditEvent, EnvironmentLaunchStatistics, FailureCount, InstanceRow, NodeOverview
from ...usecases.administration import ClaimsPage, ClaimWithOwner
from ...usecases.orphans import OrphansReport
from .schemas import (
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
)

_ADMIN_INSTANCE_ANSWER_FIELDS = (
    "username", "session", "project", "environment", "stage", "message", "resource_class", "ready_at", "paused_at",
    "last_activity", "last_seen",
)  # fmt: skip


def to_admin_instance_answer(row: InstanceRow) -> AdminInstanceAnswer:
    instance = row.instance
    return AdminInstanceAnswer(
        title=row.title,
        project_path=row.project_path,
        disk=row.disk,
        status=str(instance.status),
        reason=instance.reason or instance.ended_reason,
        started_at=instance.requested_at,
        **{name: getattr(instance, name) for name in _ADMIN_INSTANCE_ANSWER_FIELDS},
    )


def to_node_list(found: NodeOverview) -> NodeList:
    return NodeList(items=[NodeAnswer.model_validate(node) for node in found.nodes], unknown=found.unknown)


def to_orphans_answer(found: OrphansReport) -> OrphansAnswer:
    return OrphansAnswer(
        items=[OrphanAnswer.model_validate(orphan) for orphan in found.found],
        counts={str(kind): count for kind, count in found.counts.items()},
        unknown=found.unknown,
        warning=found.warning,
    )


def to_claim_list(found: ClaimsPage, following: str | None) -> ClaimList:
    items = [_to_claim_answer(row) for row in found.rows]
    return ClaimList(items=items, next=following, count=found.count, size=found.size or None, unknown=found.unknown)


def _to_claim_answer(each: ClaimWithOwner) -> ClaimAnswer:
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


def to_failure_answer(found: FailureCount) -> FailureAnswer:
    return FailureAnswer.model_validate(found)


def to_environment_starts_answer(found: EnvironmentLaunchStatistics) -> EnvironmentStartsAnswer:
    return EnvironmentStartsAnswer.model_validate(found)


def to_audit_answer(found: AuditEvent) -> AuditAnswer:
    return AuditAnswer.model_validate(found)
