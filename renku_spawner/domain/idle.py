"""When a session that nobody uses is paused: what is stored and heard of it goes in, a moment comes out.

All signals of use move one time forward, `Instance.last_activity`. What is not known is no idleness: while nobody can
tell, nothing is paused, and when everybody can be heard again there is time for a warning first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from .instance import Instance, Status
from .policy import Policy
from .resources import ResourceClass

REPORTS = timedelta(seconds=300)  # between two reports of a session's own server
SILENCE = 3 * REPORTS  # of a server that has reported before: now nobody knows what it does


@dataclass(frozen=True, kw_only=True)
class Heard:
    """Since when everything that tells of use has reached this hub without a gap, None while it does not, and
    what tells of everybody's use now."""

    since: datetime | None = None
    signals: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """At which moment it is paused if nothing happens, warned of from when on, and why: `culled_idle`, or
    `culled_age`, which no use moves."""

    at: datetime
    warned_from: datetime
    reason: str = "culled_idle"

    @property
    def can_be_put_off(self) -> bool:
        """Whether its owner can keep it awake."""
        return self.reason == "culled_idle"

    def is_warned(self, now: datetime) -> bool:
        return now >= self.warned_from

    def is_due(self, now: datetime) -> bool:
        return now >= self.at


def limit(instance: Instance, policy: Policy) -> timedelta | None:
    """After how long without use it is paused, None is never: its environment says it, else its class, else the hub."""
    said = (instance.idle_pause, _of_class(policy.classes, instance.resource_class), policy.idle.pause)
    seconds = next(each for each in said if each is not None)
    return timedelta(seconds=seconds) if seconds else None


def _of_class(classes: Sequence[ResourceClass], name: str | None) -> int | None:
    return next((each.idle_pause for each in classes if each.name == name), None)


def outlook(instance: Instance, policy: Policy, heard: Heard, now: datetime) -> Outlook | None:
    """When it pauses; None if it does not run, is never paused, or nobody can tell now."""
    if instance.status is not Status.RUNNING or heard.since is None:
        return None
    warning = timedelta(seconds=policy.idle.warning)
    # Nobody was warned while the hub was away, or while the session could not be seen.
    warned_from = max(heard.since, instance.last_seen or heard.since)
    found = [Outlook(at=max(at, warned_from + warning), warned_from=max(at - warning, warned_from), reason=reason)
             for reason, at in _moments(instance, policy, now)]  # fmt: skip
    return min(found, key=lambda each: each.at, default=None)


def _moments(instance: Instance, policy: Policy, now: datetime) -> list[tuple[str, datetime]]:
    moments, started, idle = [], instance.ready_at, limit(instance, policy)
    used = instance.last_activity or started
    if idle is not None and used is not None and not is_silent(instance, now):
        at = used + idle
        moments.append(("culled_idle", max(at, instance.awake_until) if instance.awake_until else at))
    if policy.idle.run_max and started is not None:
        moments.append(("culled_age", started + timedelta(seconds=policy.idle.run_max)))
    return moments


def ends(instance: Instance, policy: Policy) -> bool:
    """Whether it is paused at all some day while it runs."""
    return bool(limit(instance, policy) or policy.idle.run_max)


def is_silent(instance: Instance, now: datetime) -> bool:
    """Whether its own server, which has reported, does not any more."""
    return instance.reported_at is not None and now - instance.reported_at > SILENCE


def signals(instance: Instance, heard: Heard) -> tuple[str, ...]:
    """What would have told of use."""
    found = (*heard.signals, *(["kernels and terminals"] if instance.reported_at else []))
    return found or ("what its server tells",)
