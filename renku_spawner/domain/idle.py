"""Decide when an idle or long-running session is warned about and paused, from recorded activity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from .instances import Instance, InstanceStatus
from .policy import HubPolicy
from .resource_classes import ResourceClass

SERVER_REPORT_INTERVAL = timedelta(seconds=300)  # between two reports of a session's own server
SERVER_SILENCE_TIMEOUT = (
    3 * SERVER_REPORT_INTERVAL
)  # after that, the activity of a server that used to report is unknown


@dataclass(frozen=True, kw_only=True)
class ActivitySourceStatus:
    """The activity sources of this hub.

    `since` is when all of them began to report without a gap, None while one of them does not; `signals` are
    the kinds of activity that they report now, for all users.
    """

    since: datetime | None = None
    signals: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PlannedPause:
    """A pause that is due *at* a moment unless something changes, with a warning shown from `warned_from` on.

    `reason` is `culled_idle`, or `culled_age`, which no activity postpones.
    """

    at: datetime
    warned_from: datetime
    reason: str = "culled_idle"

    @property
    def can_be_postponed(self) -> bool:
        """True if the owner can postpone it by keeping the session awake."""
        return self.reason == "culled_idle"

    def is_warning_due(self, now: datetime) -> bool:
        return now >= self.warned_from

    def is_due(self, now: datetime) -> bool:
        return now >= self.at


def get_idle_timeout(instance: Instance, policy: HubPolicy) -> timedelta | None:
    """Return the idle time after which the instance is paused; None if it never is.

    The environment's setting comes first, then that of the resource class, then that of the hub.
    """
    settings = (instance.idle_pause, _get_class_idle_pause(policy.classes, instance.resource_class), policy.idle.pause)
    seconds = next(each for each in settings if each is not None)
    return timedelta(seconds=seconds) if seconds else None


def _get_class_idle_pause(classes: Sequence[ResourceClass], name: str | None) -> int | None:
    return next((each.idle_pause for each in classes if each.name == name), None)


def plan_pause(
    instance: Instance, policy: HubPolicy, heard: ActivitySourceStatus, now: datetime
) -> PlannedPause | None:
    """Return the next pause; None if the instance does not run, is never paused, or its activity is unknown."""
    if instance.status is not InstanceStatus.RUNNING or heard.since is None:
        return None
    warning = timedelta(seconds=policy.idle.warning)
    # A warning counts only while the hub runs and sees the session.
    warned_from = max(heard.since, instance.last_seen or heard.since)
    pauses = [PlannedPause(at=max(at, warned_from + warning), warned_from=max(at - warning, warned_from), reason=reason)
              for reason, at in _list_pause_times(instance, policy, now)]  # fmt: skip
    return min(pauses, key=lambda pause: pause.at, default=None)


def _list_pause_times(instance: Instance, policy: HubPolicy, now: datetime) -> list[tuple[str, datetime]]:
    moments, started, idle = [], instance.ready_at, get_idle_timeout(instance, policy)
    used = instance.last_activity or started
    if idle is not None and used is not None and not is_server_silent(instance, now):
        at = used + idle
        moments.append(("culled_idle", max(at, instance.awake_until) if instance.awake_until else at))
    if policy.idle.run_max and started is not None:
        moments.append(("culled_age", started + timedelta(seconds=policy.idle.run_max)))
    return moments


def can_be_paused(instance: Instance, policy: HubPolicy) -> bool:
    """Return whether the instance would ever be paused while it runs."""
    return bool(get_idle_timeout(instance, policy) or policy.idle.run_max)


def is_server_silent(instance: Instance, now: datetime) -> bool:
    """Return whether its own server has reported before, but does not any more."""
    return instance.reported_at is not None and now - instance.reported_at > SERVER_SILENCE_TIMEOUT


def list_activity_signals(instance: Instance, heard: ActivitySourceStatus) -> tuple[str, ...]:
    """Return the kinds of activity that would have kept the instance awake, in words."""
    signals = (*heard.signals, *(["kernels and terminals"] if instance.reported_at else []))
    return signals or ("reports of its server",)
