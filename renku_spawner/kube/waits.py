"""Pods that wait for a machine or a disk: what for, and how long that may last."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .asked import Asked
from .objects import Raw, condition, dig, matching, text, words
from .verdict import HEALS_OFTEN, Failure, Notice

_CLAIM_GONE = re.compile(r'persistentvolumeclaim "[^"]*" not found|could not find v1\.PersistentVolumeClaim')
_CLAIM_WAITS = re.compile(r'unbound immediate PersistentVolumeClaims|persistentvolumeclaim "[^"]*" is being deleted')
_RESOURCES = re.compile(r"Insufficient (cpu|memory|ephemeral-storage|pods)|Too many pods")
_OBJECT_GONE = re.compile(r'(secret|configmap) "[^"]*" not found|references non-existent (secret|config) key')
_SHORTLY = 10.0  # a claim or Secret that is made beside the pod comes within moments
_DATA = 60.0  # a storage that somebody far away may be slow with; its session can go on without it


def machine(pod: Raw, events: Sequence[Raw], asked: Asked) -> Failure | None:
    """Why the scheduler finds no place; None when it did, or has said nothing yet. Of a claim
    that it waits for, the claim's own events know more."""
    scheduled = condition(pod, "PodScheduled")
    message = text(scheduled.get("message"))
    if scheduled.get("status") != "False" or not message:
        return None
    if _CLAIM_GONE.search(message):
        return _data(message, asked, after=3 * _SHORTLY) or Failure(code="volume_lost", after=_SHORTLY)
    code = _unschedulable(message, asked)
    said = _claim(events, asked) if code == "volume_pending" else None
    return said or Failure(code=code, values={"message": words(message)}, after=HEALS_OFTEN)


def _unschedulable(message: str, asked: Asked) -> str:
    if _CLAIM_WAITS.search(message):
        return "volume_pending"
    if f"Insufficient {asked.gpu}" in message or re.search(r"Insufficient \S*gpu", message):
        return "unschedulable_gpu"
    return "unschedulable_resources" if _RESOURCES.search(message) else "unschedulable_other"


def disk(events: Sequence[Raw], asked: Asked) -> Failure | None:
    """Why a volume is not there, as events tell while containers wait for it; also events of the claim."""
    if said := _claim(events, asked):
        return said
    for event in matching(events, "FailedMount"):
        message = text(event.get("message"))
        return _data(message, asked) or _not_mounted(message, asked)
    for event in matching(events, "FailedAttachVolume"):
        return _data(text(event.get("message")), asked) or Failure(code="volume_attach", after=HEALS_OFTEN)
    return None


def _data(message: str, asked: Asked, *, about: str = "", after: float | None = None) -> Failure | None:
    """That a storage cannot be mounted, if it is one that a message names, or is *about*."""
    directory = asked.storage_in(about or message)
    said = {"storages": directory, "message": words(message)}
    return Failure(code="data_mount_failed", values=said, after=after or _DATA) if directory else None


def resize(events: Sequence[Raw]) -> Notice | None:
    """A disk that could not be enlarged, as the kubelet or the claim's events tell; it is there as it was."""
    for reason in ("VolumeResizeFailed", "FileSystemResizeFailed"):
        for event in matching(events, reason):
            return Notice(code="volume_resize", values={"message": words(event.get("message"))})
    return None


def _claim(events: Sequence[Raw], asked: Asked) -> Failure | None:
    """Why there is no disk for a claim, in the words of whoever should make it."""
    for reason in ("ProvisioningFailed", "FailedBinding"):
        for event in matching(events, reason):
            if data := _data(text(event.get("message")), asked, about=text(dig(event, "involvedObject", "name"))):
                return data
            return Failure(code="volume_pending", values={"message": words(event.get("message"))}, after=HEALS_OFTEN)
    return None


def _not_mounted(message: str, asked: Asked) -> Failure | None:
    if not _OBJECT_GONE.search(message):
        return Failure(code="volume_mount", values={"message": words(message)}, after=HEALS_OFTEN)
    if any(name in message for name in asked.making):
        return None
    late = any(name in message for name in asked.ours)
    after = 3 * _SHORTLY if late else _SHORTLY
    return Failure(code="config_error", values={"message": words(message)}, after=after)
