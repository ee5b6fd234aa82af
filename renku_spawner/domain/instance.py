"""One user's run of a session: what is stored of it, and the steps it may take.

The status that its owner sees is derived from what is stored and never stored
itself. Each step takes an instance and returns the next one; the store puts it in
place only if nobody else was faster (compare-and-set on `generation`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from .reasons import merge_notices
from .status import ACTIVE, STAGES, Desired, Observed, Status, status_of

EXPIRED = "deleted_expired"  # why data go that were not used for long; stands there from when they shall go


@dataclass(frozen=True, kw_only=True)
class Instance:
    """What is stored of one (session, user); times are aware and in UTC.

    `slot` is `<project>/<environment>` while active, so that SQL itself allows one
    active instance per environment, project and user (decision 1). `claim` names the
    volume (a folder locally), `run` the present or last start, `notices` are
    `{code, title, text}` that hold for that run, `spent` are the seconds that the start
    under way has been in the stages that it has left, `turn` is its place in the line of
    those that wait (see `line`), None when it does not. The rounds look at it at `due_at`;
    `idle_pause` are the seconds that its environment says (see `idle`); what its own server
    last reported it did at `reported_at`, of the `disk_used` (bytes) at `disk_used_at`.
    `without_storages` are directories of those that the present run, or else the next one,
    leaves out; `failed_storages` are those without which the next one might succeed.
    """

    id: str
    session: str
    username: str
    project: str
    environment: str
    slot: str | None = None
    desired: Desired = Desired.STOPPED
    observed: Observed = Observed.ABSENT
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
    kept_from: datetime | None = None  # this and what follows: see `expiry`
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
    def status(self) -> Status:
        """What its owner sees."""
        return status_of(self.desired, self.observed, failed=bool(self.reason), kept=bool(self.claim))

    @property
    def active(self) -> bool:
        return self.status in ACTIVE

    @property
    def stage(self) -> str | None:
        """The step of a start in words; None when no start is under way."""
        return STAGES.get(self.observed) if self.status is Status.LAUNCHING else None

    @property
    def disk_lost(self) -> bool:
        """Whether the last start found no disk with the work that there was."""
        return self.status is Status.FAILED and self.reason == "volume_lost"

    def elapsed(self, now: datetime) -> int | None:
        """Whole seconds since the start was asked for, or since it runs; never negative."""
        since = self.ready_at if self.status is Status.RUNNING else self.requested_at
        return None if since is None else max(0, int((now - since).total_seconds()))


def begun(instance: Instance, *, run: str, claim: str, now: datetime, one_active: bool, **started: Any) -> Instance:
    """A start is asked for: the intent, stored before anything outside is called.

    *started* are `revision`, `fingerprint`, `resource_class`, `url`, `notices`, `deadline` and `idle_pause`. Of one
    that has waited in line its time there is kept, and its clock begins now.
    """
    waited = stages(instance, now) if instance.turn is not None else None
    return replace(
        instance,
        slot=f"{instance.project}/{instance.environment}" if one_active else None,
        desired=Desired.RUNNING,
        observed=Observed.CREATING,
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


def queued(instance: Instance, *, run: str, turn: int, now: datetime, one_active: bool, **started: Any) -> Instance:
    """A start is asked for and waits until its *turn* comes; it has no volume yet, unless there was one."""
    begins = begun(instance, run=run, claim="", now=now, one_active=one_active, **started)
    return replace(begins, observed=Observed.QUEUED, claim=instance.claim, turn=turn)


def staged(instance: Instance, observed: Observed, *, now: datetime, **seen: Any) -> Instance:
    """A start has come further; *seen* are other fields known now (`url`, `notices`).

    Whatever is seen of an instance that is not active any more comes too late.
    """
    if not instance.active:
        return instance
    return replace(instance, observed=observed, stage_at=now, last_seen=now, spent=stages(instance, now), **seen)


def stages(instance: Instance, now: datetime) -> Mapping[str, float] | None:
    """Seconds that its start has been in each stage until *now*; of one that runs or stops, those that are known."""
    if instance.stage is None or instance.stage_at is None:
        return instance.spent
    spent, seconds = instance.spent or {}, max(0.0, (now - instance.stage_at).total_seconds())
    return {**spent, instance.observed.value: round(spent.get(instance.observed.value, 0.0) + seconds, 3)}


def ready(instance: Instance, *, url: str, now: datetime) -> Instance:
    """It answers over HTTP; one that shall stop is not called back by that."""
    if instance.desired is not Desired.RUNNING:
        return instance
    return replace(
        instance,
        observed=Observed.READY,
        url=url,
        ready_at=now,
        last_seen=now,
        last_activity=now,
        spent=None,
        due_at=now,
    )


def sighted(instance: Instance, *, seen: bool, now: datetime, notices: tuple[Mapping[str, str], ...]) -> Instance:
    """What runs was looked at: it is well and *notices* hold of it, or it cannot be seen now."""
    if instance.desired is not Desired.RUNNING or instance.observed not in (Observed.READY, Observed.UNKNOWN):
        return instance
    if not seen:
        return instance if instance.observed is Observed.UNKNOWN else replace(instance, observed=Observed.UNKNOWN)
    if instance.observed is Observed.READY and instance.notices == notices:
        return instance
    return replace(instance, observed=Observed.READY, notices=notices, last_seen=now)


def moved(instance: Instance, *, url: str) -> Instance:
    """What runs has another address than before; a run that is being stopped or has ended keeps what it had."""
    runs = instance.desired is Desired.RUNNING and instance.observed in (Observed.READY, Observed.UNKNOWN)
    return replace(instance, url=url) if runs and instance.url != url else instance


def stopping(instance: Instance, *, ended_reason: str, now: datetime, **said: Any) -> Instance:
    """It shall stop; the volume stays. One that is not active has nothing to stop, nor has one that waits in
    line. *said* are `message`, `advice`
    and when the rounds see to it (`due_at`)."""
    if not instance.active:
        return instance
    if instance.turn is not None:
        return replace(stopped(instance, now=now), ended_reason=ended_reason)
    return replace(
        instance, desired=Desired.STOPPED, observed=Observed.TERMINATING, ended_reason=ended_reason, stage_at=now,
        notices=merge_notices(instance.notices), spent=stages(instance, now), **{"due_at": None, **said},
    )  # fmt: skip


def stopped(instance: Instance, *, now: datetime) -> Instance:
    """Nothing of it runs any more; data that shall go are still to be deleted."""
    desired = Desired.DELETED if instance.desired is Desired.DELETED else Desired.STOPPED
    return replace(
        instance, slot=None, desired=desired, observed=Observed.ABSENT, url=None, deadline=None, paused_at=now,
        notices=(), spent=None, turn=None, due_at=None, awake_until=None, without_storages=(),
    )  # fmt: skip


def failed(
    instance: Instance, *, reason: str, message: str, advice: str, now: datetime, storages: tuple[str, ...] = ()
) -> Instance:
    """It ended by itself or never came up; stays failed until somebody acts (decision 14).

    *storages* are directories of those that it failed for.
    """
    ended, without = stopped(instance, now=now), instance.without_storages
    facts = merge_notices(instance.notices)  # a repository or storage that was missing may be why
    return replace(
        ended, reason=reason, message=message, advice=advice, ended_reason=reason,
        failed_storages=tuple(dict.fromkeys([*without, *storages])) if storages else (), notices=facts,
    )  # fmt: skip


def given_up(instance: Instance) -> Instance:
    """Its owner was told that the disk is gone: what the next start finds holds nobody's work."""
    return replace(instance, last_activity=None) if instance.disk_lost else instance


def forgotten(instance: Instance, *, now: datetime, ended_reason: str | None = None) -> Instance:
    """Its data are deleted; what remains is an inactive session."""
    ended = stopped(instance, now=now)
    why = EXPIRED if instance.ended_reason == EXPIRED else "deleted_by_user"
    return replace(
        ended, desired=Desired.STOPPED, claim=None, reason=None, message=None, advice=None, notices=(), paused_at=None,
        last_activity=None, ended_reason=ended_reason or why, disk_used=None, disk_used_at=None, failed_storages=(),
    )  # fmt: skip
