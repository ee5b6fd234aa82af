"""What a start and its end say to the metrics and to whoever hears the hub's events, once they are stored."""

from __future__ import annotations

from typing import Any

from .. import metrics
from ..domain.instance import Instance, stages
from .parts import Parts


def begun(parts: Parts, instance: Instance) -> None:
    _tell(parts, "started", instance)


def ready(parts: Parts, before: Instance, instance: Instance) -> None:
    now = instance.ready_at or parts.now()
    seconds = (now - (instance.requested_at or now)).total_seconds()
    spent = stages(before, now) or {}
    metrics.came_up(seconds, spent)
    _tell(parts, "ready", instance, seconds=seconds, stages=dict(spent))


def ended(parts: Parts, before: Instance, instance: Instance) -> None:
    """An end before it was ready is how the start came out."""
    reason, failed = instance.ended_reason, instance.reason is not None
    if before.ready_at is not None:
        metrics.ended(reason)
    else:
        metrics.gave_up("failed" if failed else "cancelled", reason)
    outcome = "failed" if failed else "cancelled" if before.ready_at is None else "ended"
    _tell(parts, "ended", instance, outcome=outcome, reason=reason, group=metrics.group_of(reason))


def _tell(parts: Parts, action: str, instance: Instance, **more: Any) -> None:
    """Only names, ids and codes: what a program or a registry has written may hold anything."""
    said = {
        "action": action,
        "launch": instance.run,
        "username": instance.username,
        "session": instance.session,
        "project": instance.project,
        "environment": instance.environment,
        "revision": instance.revision,
        "resource_class": instance.resource_class,
        **more,
    }
    parts.emit("launch", {name: value for name, value in said.items() if value is not None})
