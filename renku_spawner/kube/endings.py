"""Pods that end or are taken away: who did it and why."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..domain import quantity
from .objects import Raw, condition, dig, matching, text, words
from .verdict import Failure

_BY_REASON = {
    "DeadlineExceeded": "deadline_exceeded",
    "Preempting": "preempted",
    "Preempted": "preempted",
    "NodeLost": "node_lost",
    "NodeShutdown": "node_shutdown",
    "Shutdown": "node_shutdown",
    "Terminated": "node_shutdown",
    "OutOfcpu": "unschedulable_resources",
    "OutOfmemory": "unschedulable_resources",
    "OutOfpods": "unschedulable_resources",
    "NodeAffinity": "unschedulable_other",
    "UnexpectedAdmissionError": "unschedulable_other",
}
_BY_DISRUPTION = {
    "PreemptionByScheduler": "preempted",
    "DeletionByTaintManager": "node_lost",
    "DeletionByPodGC": "node_lost",
    "EvictionByEvictionAPI": "node_drained",
    "TerminationByKubelet": "node_shutdown",
}
_BY_EVENT = {
    "Preempted": "preempted",
    "TaintManagerEviction": "node_lost",
    "Evicted": "evicted",
    "NodeShutdown": "node_shutdown",
}
# The kubelet's words for a container that wrote more than its share of the machine's own disk.
_OWN_DISK = (
    "ephemeral local storage usage exceeds",
    "Usage of EmptyDir volume",
    "exceeded its local ephemeral storage limit",
)
_LIMIT = re.compile(r'(?:limit "|limit of containers )([0-9]+(?:[kKMGTP]i?)?)')


def of_pod(pod: Raw) -> Failure | None:
    """Why the pod as a whole ends, whatever its containers say; None when nothing ends it."""
    reason, message = text(dig(pod, "status", "reason")), dig(pod, "status", "message")
    if reason == "Evicted":
        return _evicted(text(message))
    if reason in _BY_REASON:
        return Failure(code=_BY_REASON[reason], values={"message": words(message, reason)})
    disruption = condition(pod, "DisruptionTarget")
    by = text(disruption.get("reason"))
    if disruption.get("status") == "True" and by in _BY_DISRUPTION:
        return Failure(code=_BY_DISRUPTION[by], values={"message": words(disruption.get("message"), by)})
    if dig(pod, "status", "phase") == "Unknown":
        return Failure(code="node_lost")
    return Failure(code="pod_removed") if dig(pod, "metadata", "deletionTimestamp") else None


def _evicted(message: str) -> Failure:
    if not any(saying in message for saying in _OWN_DISK):
        return Failure(code="evicted", values={"message": words(message, "Evicted")})
    limit = _LIMIT.search(message)
    return Failure(code="ephemeral_storage_full", values={"limit": quantity.size(limit[1]) if limit else "its share"})


def of_nothing(events: Sequence[Raw], last: Raw | None = None) -> Failure:
    """Why a pod is gone, from what it was *last* or the events that outlive it for an hour."""
    said = of_pod(last) if last is not None else None
    if said is not None and said.code != "pod_removed":
        return said
    for reason, code in _BY_EVENT.items():
        for event in matching(events, reason):
            if code == "evicted":
                return _evicted(text(event.get("message")))
            return Failure(code=code, values={"message": words(event.get("message"), reason)})
    return Failure(code="pod_removed")


def unexplained(pod: Raw) -> Failure | None:
    """A pod that has ended for a reason that nobody has foreseen: told as it is."""
    phase = text(dig(pod, "status", "phase"))
    if phase not in ("Failed", "Succeeded"):
        return None
    said = words(dig(pod, "status", "message")) or words(dig(pod, "status", "reason"), phase)
    return Failure(code="create_error", values={"message": said})
