"""Record activity of running sessions, warn owners of idle ones and pause them.

The rules themselves are in `domain.idle`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Protocol

from pydantic import Field

from ..context.app_context import AppContext, read_transaction, write_transaction
from ..domain.access import Person
from ..domain.errors import InvalidInputError, RenkuError, UnavailableError
from ..domain.idle import (
    SERVER_REPORT_INTERVAL,
    ActivitySourceStatus,
    PlannedPause,
    can_be_paused,
    list_activity_signals,
    plan_pause,
)
from ..domain.instances import Instance, InstanceStatus, mark_stopping
from ..domain.reasons import build_launch_refusal, format_reason
from ..domain.text import format_duration
from ..lifecycle.transitions import apply_transition, publish_instance_change
from .instances import get_own_instance

_IDLE_PAGE_SIZE, _MAX_IDLE_PAGES = 200, 50  # instances per page, and pages per job run
_MAX_CONCURRENT_PAUSES = 8
_MAX_REPORTED_COUNT = 100_000
_IDLE_RECHECK_INTERVAL = timedelta(minutes=5)  # while activity is unknown
log = logging.getLogger("renku_spawner")

InstanceOutlook = tuple[Instance, PlannedPause | None]


class IdleActions(Protocol):
    """The hub's side of the job; pauses take the same path as a click."""

    def get_last_activity(self, instance: Instance) -> datetime | None:
        """Return the hub's last recorded activity of the instance, or None if there is none."""

    async def load_processor_usage(self) -> Mapping[tuple[str, str], float] | None:
        """Return the CPU cores in use by (user, session), as far as they are known, or None while nothing runs.

        Raises UnavailableError if the usage cannot be read.
        """

    async def pause_instance(self, instance: Instance) -> None:
        """Carry out a stop that is stored already. Raises RenkuError; the reconciler then repeats the stop."""


def predict_pause(context: AppContext, instance: Instance) -> PlannedPause | None:
    """Return the pause that is due without further activity, or None for never or if that is unknown now."""
    now = context.now()
    return plan_pause(instance, context.policy, context.activity_sources.get_status(now), now)


def has_pause_warning(context: AppContext, instance: Instance) -> bool:
    pause = predict_pause(context, instance)
    return pause is not None and pause.is_warning_due(context.now())


async def process_idle_instances(context: AppContext, now: datetime, act: IdleActions) -> None:
    """Warn about or pause all instances that are due at *now*. Raises UnavailableError."""
    sources = context.activity_sources.get_status(now)
    for _ in range(_MAX_IDLE_PAGES if sources.since else 0):
        page = await read_transaction(context, lambda tx: tx.idle_checks.list_due(now, _IDLE_PAGE_SIZE))
        await _process_idle_page(context, now, act, page, sources)
        if len(page) < _IDLE_PAGE_SIZE:
            return
        await asyncio.sleep(0)


async def _process_idle_page(
    context: AppContext, now: datetime, act: IdleActions, page: Sequence[Instance], heard: ActivitySourceStatus
) -> None:
    await asyncio.sleep(0)  # yield to the event loop between reading, planning and writing
    outlooks = [_refresh_outlook(context, instance, act, heard, now) for instance in page]
    if outlooks:
        checks = [(instance, _get_next_idle_check(context, instance, pause, now)) for instance, pause in outlooks]
        await asyncio.sleep(0)
        await write_transaction(context, lambda tx: tx.idle_checks.schedule_next_checks(checks))
    to_pause = []
    for instance, pause in outlooks:
        if pause and pause.is_due(now):
            to_pause.append((instance, pause))
        elif pause and pause.is_warning_due(now):
            publish_instance_change(context, instance)
    await _pause_instances(context, to_pause, act, heard, now)


def _refresh_outlook(
    context: AppContext, instance: Instance, act: IdleActions, heard: ActivitySourceStatus, now: datetime
) -> InstanceOutlook:
    """Ask the hub for the last activity before warning the owner: the stored value is some minutes old."""
    pause = plan_pause(instance, context.policy, heard, now)
    if pause is not None and pause.is_warning_due(now):
        used = act.get_last_activity(instance)
        if used and (instance.last_activity is None or used > instance.last_activity):
            instance = replace(instance, last_activity=used)
            pause = plan_pause(instance, context.policy, heard, now)
    return instance, pause


def _get_next_idle_check(
    context: AppContext, instance: Instance, found: PlannedPause | None, now: datetime
) -> datetime | None:
    if found is not None:
        return next((at for at in (found.warned_from, found.at) if at > now), now + _IDLE_RECHECK_INTERVAL)
    is_up = instance.status in (InstanceStatus.RUNNING, InstanceStatus.UNKNOWN)
    return now + _IDLE_RECHECK_INTERVAL if is_up and can_be_paused(instance, context.policy) else None


async def _pause_instances(
    context: AppContext,
    due: Sequence[tuple[Instance, PlannedPause]],
    act: IdleActions,
    heard: ActivitySourceStatus,
    now: datetime,
) -> None:
    room = asyncio.Semaphore(_MAX_CONCURRENT_PAUSES)

    async def pause_one(instance: Instance, found: PlannedPause) -> None:
        async with room:
            try:
                current = await _mark_idle_pause(context, instance, found, heard, now)
                if current is not None:
                    await act.pause_instance(current)
            except RenkuError as problem:
                log.warning("Failed to pause idle session %s of %s: %s", instance.session, instance.username, problem)

    await asyncio.gather(*(pause_one(*outlook) for outlook in due))


async def _mark_idle_pause(
    context: AppContext, instance: Instance, found: PlannedPause, heard: ActivitySourceStatus, now: datetime
) -> Instance | None:
    """Store the stop and return the instance, or return None if there was activity in the meantime."""

    def is_still_due(old: Instance) -> bool:
        again = plan_pause(old, context.policy, heard, now)
        return old.run == instance.run and again is not None and again.is_due(now)

    message, advice = format_reason(found.reason, **_get_pause_reason_values(instance, found, heard, now))

    def change(old: Instance) -> Instance:
        if not is_still_due(old):
            return old
        return mark_stopping(old, ended_reason=found.reason, now=now, message=message, advice=advice)

    stopped = await apply_transition(context, instance.username, instance.session, change)
    if stopped is None or stopped.status is not InstanceStatus.STOPPING or stopped.ended_reason != found.reason:
        return None
    log.info("Pausing %s of %s: %s", instance.session, instance.username, stopped.message)
    return stopped


def _get_pause_reason_values(
    instance: Instance, found: PlannedPause, heard: ActivitySourceStatus, now: datetime
) -> dict[str, str]:
    since = (instance.ready_at if found.reason == "culled_age" else instance.last_activity) or now
    return {"span": format_duration(now - since), "signals": ", ".join(list_activity_signals(instance, heard))}


_DEFAULT_AWAKE_SECONDS, _MIN_REPORT_INTERVAL_SECONDS = 3600, 30
_MAX_ACTIVITY_UPDATES = 200  # per transaction


async def keep_instance_awake(
    context: AppContext, person: Person, session_id: str, *, seconds: int | None = None, until: datetime | None = None
) -> Instance:
    """Postpone the idle pause of the user's own session, *until* a time or by *seconds*.

    The default is one hour; 0 seconds cancels it.

    Raises:
        NotFoundError: there is none.
        LaunchRefusedError: `not_running`, or `keep_awake_off` if the admins have disabled it.
        InvalidInputError: *until* is in the past, or later than the admins allow.
    """
    await get_own_instance(context, person, session_id)
    end = None if seconds == 0 and until is None else _resolve_awake_until(context, seconds, until)

    def change(old: Instance) -> Instance:
        if old.status is not InstanceStatus.RUNNING:
            raise build_launch_refusal("not_running")
        return old if old.awake_until == end else replace(old, awake_until=end, due_at=context.now())

    changed = await apply_transition(context, person.name, session_id, change)
    assert changed is not None
    return changed


def _resolve_awake_until(context: AppContext, seconds: int | None, until: datetime | None) -> datetime:
    most, now = context.policy.idle.awake_max, context.now()
    if not most:
        raise build_launch_refusal("keep_awake_off")
    until = until or now + timedelta(seconds=min(_DEFAULT_AWAKE_SECONDS, most) if seconds is None else seconds)
    if not now < until <= now + timedelta(seconds=most, minutes=1):
        message = f"Choose a time in the future, at most {format_duration(timedelta(seconds=most))} from now."
        raise InvalidInputError(message, fields={"until": message})
    return until


@dataclass(frozen=True, kw_only=True)
class ActivityReport:
    """A report of a session's own server: numbers of its kernels and terminals, and of those that are busy.

    `disk_used` is the size of the working directory in bytes, None if it was not counted.
    """

    kernels: Annotated[int, Field(ge=0, le=_MAX_REPORTED_COUNT)] = 0
    terminals: Annotated[int, Field(ge=0, le=_MAX_REPORTED_COUNT)] = 0
    busy: Annotated[int, Field(ge=0, le=2 * _MAX_REPORTED_COUNT)] = 0
    disk_used: Annotated[int, Field(ge=0, le=2**62)] | None = None


async def record_activity_report(context: AppContext, instance: Instance, report: ActivityReport) -> None:
    """Store a report of a session's server.

    Busy kernels or terminals count as activity. A server that stops reporting later has an unknown activity. A server
    may
    report before the hub knows that it is ready.
    """
    if not instance.is_active:
        return
    now = context.now()
    await write_transaction(
        context, lambda tx: tx.idle_checks.record_report(instance.session, instance.username, now, report.disk_used)
    )
    if report.busy and instance.status is InstanceStatus.RUNNING:
        await record_activity(context, instance, now)


def get_next_report_seconds(context: AppContext, instance: Instance) -> int:
    """Return the number of seconds until the server should report next; it is shorter before a pause."""
    pause, usual = predict_pause(context, instance), int(SERVER_REPORT_INTERVAL.total_seconds())
    if pause is None:
        return usual
    remaining = int((pause.warned_from - context.now()).total_seconds())
    return min(usual, max(_MIN_REPORT_INTERVAL_SECONDS, remaining))


async def record_activity(context: AppContext, instance: Instance, last_activity: datetime) -> None:
    """Record activity of the owner or of a program of theirs, at most once a minute, so that not each request writes.

    Pages that show a pause warning are notified.
    """
    before = instance.last_activity
    if before is None or last_activity - before >= timedelta(minutes=1):
        warned = has_pause_warning(context, instance)
        await write_transaction(
            context, lambda tx: tx.instances.update_last_activity(instance.session, instance.username, last_activity)
        )
        if warned:
            publish_instance_change(context, instance)


async def record_activity_of_instances(context: AppContext, keys: Sequence[tuple[str, str]], at: datetime) -> None:
    """Record activity at the time *at* of those instances, by (user, session), that run."""
    for start in range(0, len(keys), _MAX_ACTIVITY_UPDATES):
        await _record_activity_batch(context, keys[start : start + _MAX_ACTIVITY_UPDATES], at)
        await asyncio.sleep(0)


async def _record_activity_batch(context: AppContext, keys: Sequence[tuple[str, str]], at: datetime) -> None:
    await write_transaction(context, lambda tx: tx.idle_checks.record_use(keys, at))


PROCESSOR_POLL_INTERVAL = timedelta(seconds=55)  # the job that runs each minute is sometimes a little early
PROCESSOR_RETRY_INTERVAL = timedelta(minutes=10)  # after a failed query

ProcessorUsageKey = tuple[str, str]  # user and session


async def record_processor_activity(
    context: AppContext, now: datetime, ask: Callable[[], Awaitable[Mapping[ProcessorUsageKey, float] | None]]
) -> None:
    """Record activity of sessions that use more CPU cores than `IdleRules.processor`.

    If the usage cannot be read, there is no such signal. Raises UnavailableError if the database does not answer.
    """
    signal, threshold = context.activity_sources.processors, context.policy.idle.processor
    if not threshold or not signal.is_query_due(
        now, PROCESSOR_RETRY_INTERVAL if signal.silent else PROCESSOR_POLL_INTERVAL
    ):
        return
    try:
        cores = await ask()
    except UnavailableError as problem:
        if not signal.silent:
            log.warning("Failed to read CPU use of sessions, ignoring it as activity: %s", problem)
        signal.asked_at, signal.silent, signal.tells, signal.busy = now, True, False, frozenset()
        return
    if cores is None:
        return
    before = signal.busy
    signal.asked_at, signal.silent, signal.tells = now, False, bool(cores)
    signal.busy = frozenset(key for key, used in cores.items() if used > threshold)
    await record_activity_of_instances(context, sorted(signal.busy), now)
    for username, session in signal.busy - before:  # remove the pause warning from open pages
        context.event_bus.publish(username, session)
