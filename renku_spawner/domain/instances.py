"""A user's instance of a session: its stored state, its status and the pure functions that apply a state transition.

Loading and saving belongs in `persistence.instances`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from .errors import InvalidInputError
from .reasons import merge_notices


class InstanceStatus(StrEnum):
    INACTIVE = "inactive"
    LAUNCHING = "launching"
    RUNNING = "running"
    PAUSED = "paused"
    FAILED = "failed"
    STOPPING = "stopping"
    UNKNOWN = "unknown"


class DesiredState(StrEnum):
    RUNNING = "running"
    STOPPED = "stopped"
    DELETED = "deleted"


class ObservedState(StrEnum):
    """The state that was last observed; from `absent` to `ready` in the order of a start."""

    ABSENT = "absent"
    QUEUED = "queued"
    CREATING = "creating"
    SCHEDULING = "scheduling"
    PULLING = "pulling"
    PREPARING = "preparing"
    STARTING = "starting"
    WAITING = "waiting"
    READY = "ready"
    TERMINATING = "terminating"
    UNKNOWN = "unknown"


STAGE_LABELS = {
    ObservedState.QUEUED: "Queued",
    ObservedState.CREATING: "Getting ready",
    ObservedState.SCHEDULING: "Finding room on the cluster",
    ObservedState.PULLING: "Downloading the image",
    ObservedState.PREPARING: "Preparing files",
    ObservedState.STARTING: "Starting the server",
    ObservedState.WAITING: "Waiting until it answers",
}
ACTIVE_STATUSES = frozenset(
    {InstanceStatus.LAUNCHING, InstanceStatus.RUNNING, InstanceStatus.STOPPING, InstanceStatus.UNKNOWN}
)


def resolve_instance_status(
    desired: DesiredState, observed: ObservedState, *, failed: bool, kept: bool
) -> InstanceStatus:
    """Return the status of an instance; *failed*: the last start has a reason, *kept*: it has a disk."""
    if observed is ObservedState.UNKNOWN:
        return InstanceStatus.UNKNOWN
    if desired is DesiredState.RUNNING:
        return InstanceStatus.RUNNING if observed is ObservedState.READY else InstanceStatus.LAUNCHING
    if observed is not ObservedState.ABSENT:
        return InstanceStatus.STOPPING
    if failed:
        return InstanceStatus.FAILED
    return InstanceStatus.PAUSED if kept else InstanceStatus.INACTIVE


EXPIRED_DATA_REASON = "deleted_expired"  # ended_reason of unused data, set as soon as its deletion is due


@dataclass(frozen=True, kw_only=True)
class Instance:
    """The stored state of one (session, user); times are aware and in UTC.

    - `slot` is `<project>/<environment>` while active: a unique index on it allows one active instance per
      environment, project and user.
    - `claim` names the disk (a folder locally), `run` the present or last start.
    - `notices` are `{code, title, text}` that apply to that run.
    - `spent` are the seconds that the present start spent in its earlier stages.
    - `turn` is its number in the start queue (see `domain.start_queue`), None if it is not queued.
    - `due_at` is when the idle job next checks it; `idle_pause` is its environment's idle timeout in
      seconds (see `domain.idle`).
    - `reported_at` is when its own server last reported activity, and `disk_used_at` when that server last
      reported `disk_used` (bytes).
    - `without_storages` are directories of the storages that the present run, or else the next one, leaves
      out; `failed_storages` are those without which the next one might succeed.
    """

    id: str
    session: str
    username: str
    project: str
    environment: str
    slot: str | None = None
    desired: DesiredState = DesiredState.STOPPED
    observed: ObservedState = ObservedState.ABSENT
    generation: int = 0
    run: str | None = None
    claim: str | None = None
    revision: str | None = None
    fingerprint: str | None = None
    resource_class: str | None = None
    url: str | None = None
    reason: str | None = None
    message: str | None = None
    advice: str | None = None
    ended_reason: str | None = None
    notices: tuple[Mapping[str, str], ...] = ()
    requested_at: datetime | None = None
    stage_at: datetime | None = None
    deadline: datetime | None = None
    ready_at: datetime | None = None
    last_activity: datetime | None = None
    last_seen: datetime | None = None
    paused_at: datetime | None = None
    spent: Mapping[str, float] | None = None
    turn: int | None = None
    kept_from: datetime | None = None  # this and the next four: see `domain.expiry`
    deleted_on: datetime | None = None
    warned: int = 0
    trashed_until: datetime | None = None
    look_at: datetime | None = None
    due_at: datetime | None = None
    awake_until: datetime | None = None
    idle_pause: int | None = None
    reported_at: datetime | None = None
    disk_used: int | None = None
    disk_used_at: datetime | None = None
    without_storages: tuple[str, ...] = ()
    failed_storages: tuple[str, ...] = ()

    @property
    def status(self) -> InstanceStatus:
        """The status that its owner sees."""
        return resolve_instance_status(self.desired, self.observed, failed=bool(self.reason), kept=bool(self.claim))

    @property
    def is_active(self) -> bool:
        return self.status in ACTIVE_STATUSES

    @property
    def stage(self) -> str | None:
        """The step of a start in words; None if it is not starting."""
        return STAGE_LABELS.get(self.observed) if self.status is InstanceStatus.LAUNCHING else None

    @property
    def is_disk_lost(self) -> bool:
        """True if the last start did not find the disk with the owner's work."""
        return self.status is InstanceStatus.FAILED and self.reason == "volume_lost"

    def get_elapsed_seconds(self, now: datetime) -> int | None:
        """Return the whole seconds since it is ready, or else since the start was requested; never negative."""
        since = self.ready_at if self.status is InstanceStatus.RUNNING else self.requested_at
        return None if since is None else max(0, int((now - since).total_seconds()))


def mark_starting(
    instance: Instance, *, run: str, claim: str, now: datetime, one_active: bool, **started: Any
) -> Instance:
    """Record a requested start, before any call to the backend.

    *started* are `revision`, `fingerprint`, `resource_class`, `url`, `notices`, `deadline` and `idle_pause`.
    The time in the start queue is kept in `spent`; the start's own clock begins now.
    """
    waited = count_stage_seconds(instance, now) if instance.turn is not None else None
    return replace(
        instance,
        slot=f"{instance.project}/{instance.environment}" if one_active else None,
        desired=DesiredState.RUNNING,
        observed=ObservedState.CREATING,
        run=run,
        claim=instance.claim or claim,
        reason=None,
        message=None,
        advice=None,
        ended_reason=None,
        requested_at=now,
        stage_at=now,
        ready_at=None,
        last_seen=now,
        paused_at=None,
        spent=waited,
        turn=None,
        due_at=None,
        awake_until=None,
        reported_at=None,
        failed_storages=(),
        **{"notices": (), "deadline": None, **started},
    )


def mark_queued(
    instance: Instance, *, run: str, turn: int, now: datetime, one_active: bool, **started: Any
) -> Instance:
    """Record a start that is queued until its *turn*; it gets no disk yet, unless it has one."""
    queued = mark_starting(instance, run=run, claim="", now=now, one_active=one_active, **started)
    return replace(queued, observed=ObservedState.QUEUED, claim=instance.claim, turn=turn)


def mark_stage_reached(instance: Instance, observed: ObservedState, *, now: datetime, **seen: Any) -> Instance:
    """Record that a start reached a stage; *seen* are other fields known by now (`url`, `notices`).

    Late observations of an instance that is not active any more are ignored.
    """
    if not instance.is_active:
        return instance
    return replace(
        instance, observed=observed, stage_at=now, last_seen=now, spent=count_stage_seconds(instance, now), **seen
    )


def count_stage_seconds(instance: Instance, now: datetime) -> Mapping[str, float] | None:
    """Return the seconds that its start spent in each stage until *now*; of one not starting, those on record."""
    if instance.stage is None or instance.stage_at is None:
        return instance.spent
    spent, seconds = instance.spent or {}, max(0.0, (now - instance.stage_at).total_seconds())
    return {**spent, instance.observed.value: round(spent.get(instance.observed.value, 0.0) + seconds, 3)}


def mark_ready(instance: Instance, *, url: str, now: datetime) -> Instance:
    """Record that the server responds over HTTP; an instance that is to stop is not started again by that."""
    if instance.desired is not DesiredState.RUNNING:
        return instance
    return replace(
        instance,
        observed=ObservedState.READY,
        url=url,
        ready_at=now,
        last_seen=now,
        last_activity=now,
        spent=None,
        due_at=now,
    )


def apply_observation(
    instance: Instance, *, seen: bool, now: datetime, notices: tuple[Mapping[str, str], ...]
) -> Instance:
    """Record a check of a running instance: it is seen with these *notices*, or it cannot be seen now."""
    if instance.desired is not DesiredState.RUNNING or instance.observed not in (
        ObservedState.READY,
        ObservedState.UNKNOWN,
    ):
        return instance
    if not seen:
        return (
            instance
            if instance.observed is ObservedState.UNKNOWN
            else replace(instance, observed=ObservedState.UNKNOWN)
        )
    if instance.observed is ObservedState.READY and instance.notices == notices:
        return instance
    return replace(instance, observed=ObservedState.READY, notices=notices, last_seen=now)


def apply_new_url(instance: Instance, *, url: str) -> Instance:
    """Record the new address of a running instance; one that is stopping or stopped keeps the old address."""
    runs = instance.desired is DesiredState.RUNNING and instance.observed in (
        ObservedState.READY,
        ObservedState.UNKNOWN,
    )
    return replace(instance, url=url) if runs and instance.url != url else instance


def mark_stopping(instance: Instance, *, ended_reason: str, now: datetime, **said: Any) -> Instance:
    """Record that the instance is to stop; its disk stays.

    An inactive instance is unchanged, and a queued one is stopped at once. *said* are `message` and `advice`. The idle
    job no longer checks it.
    """
    if not instance.is_active:
        return instance
    if instance.turn is not None:
        return replace(mark_stopped(instance, now=now), ended_reason=ended_reason)
    return replace(
        instance,
        desired=DesiredState.STOPPED,
        observed=ObservedState.TERMINATING,
        ended_reason=ended_reason,
        stage_at=now,
        notices=merge_notices(instance.notices),
        spent=count_stage_seconds(instance, now),
        due_at=None,
        **said,
    )


def mark_stopped(instance: Instance, *, now: datetime) -> Instance:
    """Record that nothing of it runs any more; a pending deletion of its data stays pending."""
    desired = DesiredState.DELETED if instance.desired is DesiredState.DELETED else DesiredState.STOPPED
    return replace(
        instance, slot=None, desired=desired, observed=ObservedState.ABSENT, url=None, deadline=None, paused_at=now,
        notices=(), spent=None, turn=None, due_at=None, awake_until=None, without_storages=(),
    )  # fmt: skip


def mark_failed(
    instance: Instance, *, reason: str, message: str, advice: str, now: datetime, storages: tuple[str, ...] = ()
) -> Instance:
    """Record that it ended by itself or never got ready; it stays failed until a user acts.

    *storages* are directories of the storages that caused the failure.
    """
    ended, without = mark_stopped(instance, now=now), instance.without_storages
    facts = merge_notices(instance.notices)  # a repository or storage that was missing may be the cause
    return replace(
        ended, reason=reason, message=message, advice=advice, ended_reason=reason,
        failed_storages=tuple(dict.fromkeys([*without, *storages])) if storages else (), notices=facts,
    )  # fmt: skip


def mark_lost_disk_accepted(instance: Instance) -> Instance:
    """Record that its owner accepted the loss of the disk: the next start may create an empty one."""
    return replace(instance, last_activity=None) if instance.is_disk_lost else instance


def mark_data_deleted(instance: Instance, *, now: datetime, ended_reason: str | None = None) -> Instance:
    """Record that its data is deleted; an inactive session remains."""
    ended = mark_stopped(instance, now=now)
    why = EXPIRED_DATA_REASON if instance.ended_reason == EXPIRED_DATA_REASON else "deleted_by_user"
    return replace(
        ended,
        desired=DesiredState.STOPPED,
        claim=None,
        reason=None,
        message=None,
        advice=None,
        notices=(),
        paused_at=None,
        last_activity=None,
        ended_reason=ended_reason or why,
        disk_used=None,
        disk_used_at=None,
        failed_storages=(),
    )


@dataclass(frozen=True, kw_only=True)
class Launch:
    """The record of one start: what ran, when, how it ended and why.

    `outcome` is `launching`, `running`, `failed`, `cancelled` or `ended`; `log` is the end of the program's
    output, redacted; `stages` are the seconds spent in each stage that it reached, None if not recorded.
    """

    id: str
    session: str
    project: str
    username: str
    revision: str
    resource_class: str
    requested_at: datetime
    outcome: str = "launching"
    reason: str | None = None
    message: str | None = None
    log: str = ""
    ready_at: datetime | None = None
    ended_at: datetime | None = None
    stages: Mapping[str, float] | None = None


class InstanceSort(StrEnum):
    """Order of instances: last started, last used, by title, largest, or next to be deleted first."""

    STARTED = "started"
    USED = "used"
    NAME = "name"
    SIZE = "size"
    EXPIRY = "expiry"


@dataclass(frozen=True, kw_only=True)
class OwnedInstancesSummary:
    """Numbers of a user's instances.

    `active` run, start or stop; `kept` have data, of which `trashed` are in the trash. `disk_used` is the sum
    in bytes of those that reported it; `unmeasured` did not.
    """

    active: int = 0
    kept: int = 0
    trashed: int = 0
    disk_used: int = 0
    unmeasured: int = 0


def parse_instance_sort(said: str) -> InstanceSort:
    """Return the order of that name, the default for an empty one. Raises InvalidInputError."""
    if said and said not in set(InstanceSort):
        raise InvalidInputError(
            "There is no such order.", fields={"sort": f"One of {', '.join(InstanceSort)}, please."}
        )
    return InstanceSort(said or InstanceSort.STARTED)
