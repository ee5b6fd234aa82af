"""Pods that wait for a machine or a disk: for which, in the words of `messages`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from . import messages
from .asked import Asked
from .objects import Raw, condition, dig, last_time, matching, text, words
from .verdict import Failure, Notice

_MOUNTED = ("Pulling", "Pulled", "Created", "Started")  # the kubelet does these when all volumes are there


def machine(pod: Raw, events: Sequence[Raw], asked: Asked) -> Failure | None:
    """Return why the scheduler finds no node; None when it did, or has said nothing yet. Of a claim
    that it waits for, the claim's own events know more."""
    scheduled = condition(pod, "PodScheduled")
    message = text(scheduled.get("message"))
    if scheduled.get("status") != "False" or not message:
        return None
    found = messages.explain(messages.SCHEDULER, message, asked)
    if found is not None and found.code == "volume_pending":
        return _claim(events, asked) or found
    coming = _coming(pod, events) if found is not None and not found.progress else None
    if found is None or coming is None:
        return found
    return replace(found, progress=coming.progress, quiet=coming.waited)


def _coming(pod: Raw, events: Sequence[Raw]) -> messages.Message | None:
    """Return how room is being made for a pod that finds none."""
    if is_scaling_up(events):
        return messages.find("TriggeredScaleUp", "")
    nominated = text(dig(pod, "status", "nominatedNodeName"))
    return messages.find(messages.NOMINATED, nominated) if nominated else None


def is_scaling_up(events: Sequence[Raw]) -> bool:
    """Return whether the cluster's autoscaler is adding a node for the pod: the last of its words counts."""
    said = [*matching(events, "TriggeredScaleUp"), *matching(events, "NotTriggerScaleUp")]
    said.sort(key=lambda event: time.timestamp() if (time := last_time(event)) else 0.0)
    return bool(said) and said[-1].get("reason") == "TriggeredScaleUp"


def disk(events: Sequence[Raw], asked: Asked) -> Failure | None:
    """Return why a volume or the pod's sandbox is not there, as events tell while containers wait for it; also
    events of the claim. Events outlive what they tell of, so those of before the first download are over."""
    if said := _claim(events, asked):
        return said
    if any(matching(events, reason) for reason in _MOUNTED):
        return None
    for reason in ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"):
        for event in matching(events, reason):
            return messages.explain(reason, text(event.get("message")), asked)
    return None


def resize(events: Sequence[Raw]) -> Notice | None:
    """Return that a disk could not be enlarged, as the kubelet or the claim's events tell; it is there as it was."""
    for reason in ("VolumeResizeFailed", "FileSystemResizeFailed"):
        for event in matching(events, reason):
            return Notice(code="volume_resize", values={"message": words(event.get("message"))})
    return None


def _claim(events: Sequence[Raw], asked: Asked) -> Failure | None:
    """Return why there is no disk for a claim, in the words of its provisioner."""
    made = {text(dig(event, "involvedObject", "name")) for event in matching(events, "ProvisioningSucceeded")}
    for reason in ("ProvisioningFailed", "FailedBinding"):
        for event in matching(events, reason):
            claim = text(dig(event, "involvedObject", "name"))
            if not claim or claim not in made:
                return messages.explain(reason, text(event.get("message")), asked, about=claim)
    return None
