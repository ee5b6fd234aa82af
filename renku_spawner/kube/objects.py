"""Reading what the API gives: any field may be absent or null, and none of that may raise."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Raw = Mapping[str, Any]
_LIMIT = 300


def dig(found: Any, *keys: str) -> Any:
    """What stands at the end of *keys*; None if there is no such thing."""
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def items(found: Any) -> list[Raw]:
    """The objects of a list, if it is one."""
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list | tuple) else []


def text(found: Any) -> str:
    return found if isinstance(found, str) else ""


def number(found: Any) -> int:
    return found if isinstance(found, int) else 0


def when(found: Any) -> datetime | None:
    """A time of the API (RFC 3339, with or without fractions of a second)."""
    try:
        time = datetime.fromisoformat(text(found))
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


_FRAME = re.compile(
    r"^(Back-off pulling image \"[^\"]*\": )?(ErrImagePull: )?(rpc error: code = \w+ desc = )?"
    r"((failed to pull and unpack image|failed to resolve reference) \"[^\"]*\": )*"
)


def words(message: Any, otherwise: str = "") -> str:
    """*message* for a person: one short line, without what the layers below wrapped around it."""
    kept = "".join(letter if letter.isprintable() else " " for letter in _FRAME.sub("", text(message)))
    kept = " ".join(kept.partition(" preemption: ")[0].split()) or otherwise
    return kept if len(kept) <= _LIMIT else kept[: _LIMIT - 1] + "…"


@dataclass(frozen=True, kw_only=True)
class End:
    """How a container ended, and since when it had run."""

    exit_code: int
    reason: str
    message: str
    started: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Container:
    """One container's status. `waiting` and `message` say why it does not run; `ends`
    counts how often it ended; `end` is the last one, present or past."""

    name: str
    waiting: str
    message: str
    running: bool
    ready: bool
    restarts: int
    ends: int
    ended: bool
    end: End | None


def containers(pod: Any, kind: str) -> list[Container]:
    """Statuses of *kind* `containerStatuses` or `initContainerStatuses`; empty before the kubelet's first word."""
    return [_container(raw) for raw in items(dig(pod, "status", kind))]


def _container(raw: Raw) -> Container:
    now, before = _end(dig(raw, "state", "terminated")), _end(dig(raw, "lastState", "terminated"))
    running = isinstance(dig(raw, "state", "running"), Mapping)
    restarts = number(dig(raw, "restartCount"))
    return Container(
        name=text(dig(raw, "name")),
        waiting=text(dig(raw, "state", "waiting", "reason")),
        message=text(dig(raw, "state", "waiting", "message")),
        running=running,
        ready=dig(raw, "ready") is True,
        restarts=restarts,
        ends=restarts + (not running and (now or before) is not None),
        ended=now is not None,
        end=now or before,
    )


def _end(raw: Any) -> End | None:
    if not isinstance(raw, Mapping):
        return None
    exit_code = raw.get("exitCode")
    return End(
        exit_code=exit_code if isinstance(exit_code, int) else 0 if raw.get("reason") == "Completed" else 1,
        reason=text(raw.get("reason")),
        message=text(raw.get("message")),
        started=when(raw.get("startedAt")),
    )


def condition(pod: Any, kind: str) -> Raw:
    """The condition of that type; empty if it is not there."""
    found = [c for c in items(dig(pod, "status", "conditions")) if c.get("type") == kind]
    return found[0] if found else {}


def count(events: Iterable[Raw], reason: str, *, container: str = "", begins: str = "") -> int:
    """How often an event happened; events are counted up (kubelet) or have a series (scheduler)."""
    return sum(
        number(event.get("count")) or number(dig(event, "series", "count")) or 1
        for event in matching(events, reason, container=container, begins=begins)
    )


def matching(events: Iterable[Raw], reason: str, *, container: str = "", begins: str = "") -> list[Raw]:
    """Events of that reason, about that container, with a message that begins so."""
    return [
        event
        for event in items(list(events))
        if event.get("reason") == reason
        and text(event.get("message")).startswith(begins)
        and (
            not container
            or f"{{{container}}}" in (text(dig(event, "involvedObject", "fieldPath")) or f"{{{container}}}")
        )
    ]


def last_time(event: Raw) -> datetime | None:
    """When an event last happened: the kubelet says it otherwise than the scheduler, and some do not say it."""
    return (
        when(dig(event, "series", "lastObservedTime"))
        or when(event.get("lastTimestamp"))
        or when(event.get("eventTime"))
        or when(dig(event, "metadata", "creationTimestamp"))
    )
