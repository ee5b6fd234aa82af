"""A look at the pod of a session that runs: how it is, and what its owner should be told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from .domain import quantity, reasons
from .domain.instance import Instance, Observed
from .domain.resources import ResourceClass
from .kube import status
from .kube.asked import Asked
from .kube.objects import Raw
from .kube.settings import PREFIX
from .kube.status import Seen
from .kube.watch import Watch

_RUNNING = {"restarted_oom", "restarted_crash", "restarts_soon", "node_silent"}  # what is told of a session that runs


def look(
    watch: Watch, key: str, instance: Instance, classes: Iterable[ResourceClass], *, hub_since: datetime | None = None
) -> Seen:
    """What the watch last heard of the pod, in the words of what was asked for when it started."""
    asked = replace(_asked(watch, key, instance, classes), hub_since=hub_since)
    return status.read(watch.pods.get(key), watch.events_of(key), asked, last=_last(watch, key, instance))


def _last(watch: Watch, key: str, instance: Instance) -> Raw | None:
    """The pod of this very run as it was last seen, if it was."""
    last = watch.last(key)
    labels = last["metadata"].get("labels") or {} if last else {}
    return last if labels.get(f"{PREFIX}launch") == instance.run else None


def _asked(watch: Watch, key: str, instance: Instance, classes: Iterable[ResourceClass]) -> Asked:
    """From the pod and the record: the session may have been edited since."""
    metadata = watch.pods.get(key, {}).get("metadata", {})
    chosen = next((c for c in classes if c.name == instance.resource_class), None)
    return Asked(
        image=(metadata.get("annotations") or {}).get(f"{PREFIX}image", ""),
        limit=quantity.size(chosen.memory) if chosen else "",
        was_ready=instance.observed in (Observed.READY, Observed.UNKNOWN),
        now=datetime.now(UTC),
    )


def notices(instance: Instance, seen: Seen) -> tuple[Mapping[str, str], ...]:
    """Return the facts of the start, and what is seen now."""
    now = [notice.told() for notice in seen.notices if notice.code in _RUNNING]
    return reasons.merge_notices(instance.notices, *now)
