"""Images that do not arrive: what the kubelet says, and which reason it is.

The kubelet's own reasons say little, so the message decides; where a registry can be
asked, its answer is better (decision in the closed table).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

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
# In this order, since the message for another platform also says "not found".
_SAYINGS = (
    ("image_platform_mismatch", r"no match(ing manifest)? for (platform|\w+/\w+)|exec format error"),
    ("image_denied", r"access denied|authorization failed|authentication required|\b40[13]\b|no basic auth"),
    ("registry_unreachable", r"i/o timeout|no such host|connection refused|connection reset|DeadlineExceeded|TLS hand"),
    ("image_not_found", r"not found|NotFound|MANIFEST_UNKNOWN|NAME_UNKNOWN|\b404\b"),
)
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
    return Failure(code=code(container.message), values=values, after=_patience(container, events))


def code(message: str) -> str:
    """The reason for which a download failed."""
    for reason, saying in _SAYINGS:
        if re.search(saying, message, re.IGNORECASE):
            return reason
    return "image_pull_failed"


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
