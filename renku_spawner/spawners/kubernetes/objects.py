"""Read fields of Kubernetes objects, any of which may be absent or null; no function here raises for that."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

KubernetesObject = Mapping[str, Any]
_MAX_MESSAGE_CHARACTERS = 300


def get_nested(found: Any, *keys: str) -> Any:
    """Return the value at the path *keys*, or None if it does not exist."""
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def list_objects(found: Any) -> list[KubernetesObject]:
    """Return the mappings in a list; empty if *found* is not a list."""
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list | tuple) else []


def to_text(found: Any) -> str:
    return found if isinstance(found, str) else ""


def to_int(found: Any) -> int:
    return found if isinstance(found, int) else 0


def parse_api_time(found: Any) -> datetime | None:
    """Parse a timestamp of the API (RFC 3339, with or without fractions of a second); None if it is invalid."""
    try:
        time = datetime.fromisoformat(to_text(found))
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


_RUNTIME_PREFIX_PATTERN = re.compile(
    r"^(Back-off pulling image \"[^\"]*\": )?(ErrImagePull: )?(rpc error: code = \w+ desc = )?"
    r"((failed to pull and unpack image|failed to resolve reference) \"[^\"]*\": )*"
)


def shorten_message(message: Any, otherwise: str = "") -> str:
    """Shorten *message* to one line for users, without the prefixes of the container runtime."""
    shortened = "".join(
        character if character.isprintable() else " " for character in _RUNTIME_PREFIX_PATTERN.sub("", to_text(message))
    )
    shortened = " ".join(shortened.partition(" preemption: ")[0].split()) or otherwise
    return shortened if len(shortened) <= _MAX_MESSAGE_CHARACTERS else shortened[: _MAX_MESSAGE_CHARACTERS - 1] + "…"


@dataclass(frozen=True, kw_only=True)
class ContainerTermination:
    """The exit of a container, and when that container was started."""

    exit_code: int
    reason: str
    message: str
    started: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class ContainerStatus:
    """A container's status.

    `waiting` and `message` say why it does not run. `ends` counts its terminations; `end` is the last one.
    """

    name: str
    waiting: str
    message: str
    running: bool
    ready: bool
    restarts: int
    ends: int
    ended: bool
    end: ContainerTermination | None


def list_container_statuses(pod: Any, kind: str) -> list[ContainerStatus]:
    """List `containerStatuses` or `initContainerStatuses` (*kind*); empty before the kubelet's first report."""
    return [_parse_container_status(raw) for raw in list_objects(get_nested(pod, "status", kind))]


def _parse_container_status(raw: KubernetesObject) -> ContainerStatus:
    now, before = (
        _parse_termination(get_nested(raw, "state", "terminated")),
        _parse_termination(get_nested(raw, "lastState", "terminated")),
    )
    running = isinstance(get_nested(raw, "state", "running"), Mapping)
    restarts = to_int(get_nested(raw, "restartCount"))
    return ContainerStatus(
        name=to_text(get_nested(raw, "name")),
        waiting=to_text(get_nested(raw, "state", "waiting", "reason")),
        message=to_text(get_nested(raw, "state", "waiting", "message")),
        running=running,
        ready=get_nested(raw, "ready") is True,
        restarts=restarts,
        ends=restarts + (not running and (now or before) is not None),
        ended=now is not None,
        end=now or before,
    )


def _parse_termination(raw: Any) -> ContainerTermination | None:
    if not isinstance(raw, Mapping):
        return None
    exit_code = raw.get("exitCode")
    return ContainerTermination(
        exit_code=exit_code if isinstance(exit_code, int) else 0 if raw.get("reason") == "Completed" else 1,
        reason=to_text(raw.get("reason")),
        message=to_text(raw.get("message")),
        started=parse_api_time(raw.get("startedAt")),
    )


def find_condition(pod: Any, kind: str) -> KubernetesObject:
    """Return the pod's condition of type *kind*; empty if there is none."""
    matches = [c for c in list_objects(get_nested(pod, "status", "conditions")) if c.get("type") == kind]
    return matches[0] if matches else {}


def count_events(events: Iterable[KubernetesObject], reason: str, *, container: str = "", begins: str = "") -> int:
    """Count how often an event occurred; kubelet events have a count, scheduler events a series."""
    return sum(
        to_int(event.get("count")) or to_int(get_nested(event, "series", "count")) or 1
        for event in filter_events(events, reason, container=container, begins=begins)
    )


def filter_events(
    events: Iterable[KubernetesObject], reason: str, *, container: str = "", begins: str = ""
) -> list[KubernetesObject]:
    """Filter events by reason, container and the beginning of the message."""
    return [
        event
        for event in list_objects(list(events))
        if event.get("reason") == reason
        and to_text(event.get("message")).startswith(begins)
        and (
            not container
            or f"{{{container}}}" in (to_text(get_nested(event, "involvedObject", "fieldPath")) or f"{{{container}}}")
        )
    ]


def get_event_time(event: KubernetesObject) -> datetime | None:
    """Return when an event last occurred; kubelet and scheduler use different fields, and some events have none."""
    return (
        parse_api_time(get_nested(event, "series", "lastObservedTime"))
        or parse_api_time(event.get("lastTimestamp"))
        or parse_api_time(event.get("eventTime"))
        or parse_api_time(get_nested(event, "metadata", "creationTimestamp"))
    )
