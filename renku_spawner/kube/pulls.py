"""Images that do not arrive: what the kubelet says, and which reason it is.

The kubelet's own reasons say little, so the message decides; where a registry can be
asked, its answer is better (decision in the closed table).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from . import messages
from .asked import Asked
from .objects import Container, Raw, count, words
from .verdict import AT_ONCE, Failure

RETRIED = {"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable"}
FINAL = {
    "InvalidImageName": "image_invalid",
    "ErrImageNeverPull": "image_never_pull",
    "SignatureValidationFailed": "image_rejected",
    "ImageInspectError": "image_rejected",
}
_SECOND = 2
_WITHOUT_EVENTS = 60.0  # the second try comes after 10 s; without events nobody can count


def failure(container: Container, events: Sequence[Raw], asked: Asked) -> Failure | None:
    """Why the container's image does not arrive; None when it is no matter of images."""
    if container.waiting in FINAL:
        values = {"image": asked.image, "message": words(container.message, container.waiting)}
        return Failure(code=FINAL[container.waiting], values=values)
    if container.waiting not in RETRIED:
        return None
    values = {"image": asked.image, "message": words(container.message, container.waiting)}
    found = messages.explain(messages.PULL, container.message, asked, values=values)
    after = _patience(container, events)
    if found is None or after == AT_ONCE:
        return found and replace(found, after=AT_ONCE, progress="", quiet=0.0)
    return replace(found, after=after)


def code(message: str) -> str:
    """Return the reason for which a download failed."""
    row = messages.find(messages.PULL, message)
    return row.code if row else "image_pull_failed"


def _patience(container: Container, events: Sequence[Raw]) -> float | None:
    """A pull is tried again by itself; the second failure is final."""
    if count(events, "Failed", container=container.name, begins="Failed to pull image") >= _SECOND:
        return AT_ONCE
    return None if events else _WITHOUT_EVENTS


def under_way(container: str, events: Sequence[Raw]) -> bool:
    """Whether its image is being downloaded: more begun than ended."""
    begun = count(events, "Pulling", container=container)
    pulled = count(events, "Pulled", container=container, begins="Successfully pulled")
    return begun > pulled + count(events, "Failed", container=container, begins="Failed to pull image")
