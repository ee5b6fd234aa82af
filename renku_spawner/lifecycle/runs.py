"""Record the steps of a run: store the intent first, apply each step with optimistic locking, then publish it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from ..context.app_context import AppContext, read_transaction, retry_on_conflict
from ..context.start_queue import get_queued_start
from ..domain.errors import RenkuError, UnavailableError
from ..domain.ids import create_id
from ..domain.instances import (
    DesiredState,
    Instance,
    Launch,
    ObservedState,
    apply_new_url,
    apply_observation,
    count_stage_seconds,
    mark_data_deleted,
    mark_failed,
    mark_queued,
    mark_ready,
    mark_stage_reached,
    mark_starting,
    mark_stopped,
    mark_stopping,
)
from ..domain.notices import build_launch_notices
from ..domain.reasons import PAUSE_REASONS, build_session_not_found_error, format_reason
from ..domain.sessions import LaunchSpec
from ..domain.start_queue import get_next_queue_turn
from ..persistence.database import Transaction
from ..persistence.statements import UniqueConflict
from .limits import UserLimitReached, build_already_running_refusal, check_user_limits, lock_user_if_limited
from .transitions import (
    apply_run_transition,
    apply_transition,
    publish_instance_change,
    report_launch_ended,
    report_launch_ready,
    report_launch_started,
    save_instance_with_expiry,
)

_MAX_ACTIVE_INSTANCES_PER_PAGE = 200  # takes about 5 ms


async def load_instance(context: AppContext, username: str, session_id: str) -> Instance | None:
    """Return the stored instance, or None if there has never been one."""
    return await read_transaction(context, lambda tx: tx.instances.get(session_id, username))


async def iter_active_instances(context: AppContext) -> AsyncIterator[list[Instance]]:
    """Yield pages of all instances of all users that run, start or stop. There may be very many."""
    last: Instance | None = None
    while page := await read_transaction(context, partial(_list_active_page, last)):
        yield page
        last = page[-1]


def _list_active_page(last: Instance | None, tx: Transaction) -> list[Instance]:
    return tx.instances.list_active_after(last, _MAX_ACTIVE_INSTANCES_PER_PAGE)


async def request_start(context: AppContext, spec: LaunchSpec) -> Instance:
    """Store that a start is requested, before anything outside the hub is called.

    Raises:
        LaunchRefusedError: `already_running`, if another session of this environment was faster; `limit_user` or
            `limit_kept`, if other starts have reached the user's limit.
        UnavailableError: the instance was changed concurrently again and again.
    """
    run, now = create_id(), context.now()

    def work(tx: Transaction) -> Instance:
        lock_user_if_limited(tx, context.policy, spec.username)
        old = get_or_create_instance(tx, spec, now)
        if not old.is_active:  # a queued start is counted already
            check_user_limits(tx, context.policy, old)
        new = mark_starting(
            old, run=run, claim=create_id(), now=now, one_active=context.policy.one_active_per_environment,
            notices=build_launch_notices(spec), deadline=now + timedelta(seconds=context.policy.start_timeout),
            idle_pause=spec.run.idle_pause, **build_spec_columns(spec),
        )  # fmt: skip
        saved = save_instance_with_expiry(context, tx, old, new)
        tx.launches.add(_build_launch(saved))
        return saved

    publish_instance_change(context, instance := await run_start_transaction(context, work, spec))
    report_launch_started(context, instance)
    return instance


def get_or_create_instance(tx: Transaction, spec: LaunchSpec, now: datetime) -> Instance:
    """Return the stored instance that *spec* starts, created if needed. Raises NotFoundError without the session."""
    session = tx.sessions.get(spec.session)
    if session is None:
        raise build_session_not_found_error()
    return tx.instances.get_or_create(session, spec.username, now=now)


def build_spec_columns(spec: LaunchSpec) -> dict[str, Any]:
    """Return the fields of *spec* that are stored with its instance."""
    return {
        "revision": spec.revision,
        "fingerprint": spec.fingerprint,
        "resource_class": spec.resource_class.name,
        "url": None,
    }


async def run_start_transaction(
    context: AppContext, work: Callable[[Transaction], Instance], spec: LaunchSpec
) -> Instance:
    try:
        return await retry_on_conflict(context, work)
    except UserLimitReached as reached:
        raise await reached.read_refusal(context) from None
    except UniqueConflict:
        slot = f"{spec.project}/{spec.environment}"
        refusal = await read_transaction(context, lambda tx: _build_slot_refusal(tx, spec.username, slot))
        raise refusal from None


def _build_slot_refusal(tx: Transaction, username: str, slot: str) -> Exception:
    other = tx.instances.find_in_slot(username, slot)
    return build_already_running_refusal(tx, other) if other else UnavailableError("Please try again.")


def _build_launch(instance: Instance) -> Launch:
    return Launch(
        id=instance.run or "",
        session=instance.session,
        project=instance.project,
        username=instance.username,
        revision=instance.revision or "",
        resource_class=instance.resource_class or "",
        requested_at=instance.requested_at,  # type: ignore[arg-type]
    )


async def record_stage(
    context: AppContext, instance: Instance, observed: ObservedState, **seen: Any
) -> Instance | None:
    """Record that the launch reached a stage, which extends its deadline. Return None if it shall no longer run."""
    now = context.now()
    seen.setdefault("deadline", now + timedelta(seconds=context.policy.start_timeout))
    return await apply_run_transition(context, instance, lambda old: mark_stage_reached(old, observed, now=now, **seen))


async def record_ready(context: AppContext, instance: Instance, url: str) -> Instance | None:
    """Record that the server answers. Return None if it shall no longer run."""
    now = context.now()

    def record(tx: Transaction, old: Instance, _new: Instance) -> None:
        if old.run:
            tx.launches.update(old.run, outcome="running", ready_at=now, stages=count_stage_seconds(old, now))

    return await apply_run_transition(
        context, instance, lambda old: mark_ready(old, url=url, now=now), record, report_launch_ready
    )


async def record_observation(
    context: AppContext, instance: Instance, *, seen: bool, notices: tuple[Mapping[str, str], ...] | None = None
) -> None:
    """Record whether the running server was seen, if that changes anything; *notices* None keeps the stored ones."""
    now, kept = context.now(), instance.notices if notices is None else notices

    def change(old: Instance) -> Instance:
        return apply_observation(old, seen=seen, now=now, notices=kept)

    if change(instance) is not instance:
        await apply_transition(context, instance.username, instance.session, change)


async def record_new_url(context: AppContext, instance: Instance, url: str) -> Instance | None:
    """Record that this run is reachable at *url* now. Return None if it shall no longer run."""
    return await apply_run_transition(context, instance, lambda old: apply_new_url(old, url=url))


async def request_stop(context: AppContext, username: str, session_id: str, *, ended_reason: str) -> Instance | None:
    """Store that the instance shall stop, and return it; an earlier reason for the stop is kept.

    An instance that is not active or stops already is returned unchanged.
    """
    now = context.now()

    def change(old: Instance) -> Instance:
        if not old.is_active or old.desired is not DesiredState.RUNNING:
            return old
        launching = old.observed is not ObservedState.READY and ended_reason == "stopped_by_user"
        return mark_stopping(old, ended_reason="cancelled" if launching else ended_reason, now=now)

    return await apply_ending_transition(context, username, session_id, change)


async def record_stopped(context: AppContext, username: str, session_id: str, *, log: str = "") -> Instance | None:
    """Record that nothing of the instance runs any more."""
    now = context.now()

    def change(old: Instance) -> Instance:
        return mark_stopped(old, now=now) if old.is_active else old

    return await apply_ending_transition(context, username, session_id, change, log)


async def record_failure(
    context: AppContext,
    username: str,
    session_id: str,
    *,
    reason: str,
    log: str = "",
    values: Mapping[str, object] = {},
    storages: tuple[str, ...] = (),
    message: str | None = None,
) -> Instance | None:
    """Record that the instance ended by itself or never became ready; the reason is kept until its owner acts.

    A requested stop is never a failure, however the program ended. A shutdown from inside the session is a pause.
    *storages* are the directories of the storages that failed; *message* replaces the text of the reason.
    """
    now = context.now()
    text, advice = format_reason(reason, **values) if message is None else (message, "")

    def change(old: Instance) -> Instance:
        if not old.is_active:
            return old
        if old.desired is not DesiredState.RUNNING:
            return mark_stopped(old, now=now)
        if reason in PAUSE_REASONS:
            return mark_stopped(mark_stopping(old, ended_reason=reason, now=now), now=now)
        return mark_failed(old, reason=reason, message=text, advice=advice, now=now, storages=storages)

    return await apply_ending_transition(context, username, session_id, change, log)


async def request_deletion(context: AppContext, username: str, session_id: str) -> Instance | None:
    """Store that the data shall be deleted, as its owner confirmed. Do nothing if there is no data."""

    def change(old: Instance) -> Instance:
        return replace(old, desired=DesiredState.DELETED) if old.claim else old

    return await apply_transition(context, username, session_id, change)


async def record_data_deleted(context: AppContext, username: str, session_id: str) -> Instance | None:
    """Record that the data was deleted, unless the session was started in the meantime."""
    now = context.now()

    def change(old: Instance) -> Instance:
        return mark_data_deleted(old, now=now) if old.desired is DesiredState.DELETED else old

    return await apply_transition(context, username, session_id, change)


async def apply_ending_transition(
    context: AppContext, username: str, session_id: str, change: Callable[[Instance], Instance], log: str = ""
) -> Instance | None:
    """Apply a step that may end the run, record the outcome with its launch, and remove it from the start queue."""

    def record(tx: Transaction, old: Instance, new: Instance) -> None:
        if old.run and not new.is_active:
            if old.turn is not None:  # a queued start has no launch record yet
                tx.launches.add(_build_launch(old))
            tx.launches.update(
                old.run, **_build_outcome_columns(context, new, log), **_build_stage_columns(old, context.now())
            )

    def after(context: AppContext, old: Instance, new: Instance) -> None:
        if not new.is_active:
            report_launch_ended(context, old, new)

    saved = await apply_transition(context, username, session_id, change, record, after)
    context.start_queue.remove(username, session_id)
    return saved


def _build_stage_columns(old: Instance, now: datetime) -> dict[str, Any]:
    """Return the stage durations, or nothing for a run that was ready: they are stored already."""
    seconds = count_stage_seconds(old, now)
    return {} if seconds is None else {"stages": seconds}


def _build_outcome_columns(context: AppContext, instance: Instance, log: str) -> dict[str, Any]:
    outcome = "failed" if instance.reason else "cancelled" if instance.ended_reason == "cancelled" else "ended"
    return {
        "outcome": outcome,
        "reason": instance.ended_reason,
        "message": instance.message,
        "log": log,
        "ended_at": context.now(),
    }


async def enqueue_start(context: AppContext, spec: LaunchSpec) -> Instance:
    """Add a start to the queue; a start that is queued already, or under way, stays as it is.

    Raises:
        LaunchRefusedError: `already_running`, if another session of this environment was faster; `limit_user` or
            `limit_kept`, if other starts have reached the user's limit.
        UnavailableError: the instance was changed concurrently again and again.
    """
    run, now = create_id(), context.now()

    def work(tx: Transaction) -> Instance:
        lock_user_if_limited(tx, context.policy, spec.username)
        old = get_or_create_instance(tx, spec, now)
        if old.is_active:
            return old
        check_user_limits(tx, context.policy, old)
        new = mark_queued(
            old, run=run, now=now, one_active=context.policy.one_active_per_environment,
            turn=get_next_queue_turn(tx.start_queue.get_first_turn(), tx.start_queue.get_last_turn(spec.username)),
            notices=build_launch_notices(spec), **build_spec_columns(spec),
        )  # fmt: skip
        return tx.instances.save(old, new)

    instance = await run_start_transaction(context, work, spec)
    context.start_queue.enqueue(instance)
    publish_instance_change(context, instance)
    return instance


async def refuse_queued_start(context: AppContext, waited: Instance, refusal: RenkuError) -> None:
    """Fail a queued start that may not start any more, with the refusal as its message.

    A start that has left the queue stays unchanged.
    """
    now = context.now()

    def change(old: Instance) -> Instance:
        if old.turn is None or old.run != waited.run:
            return old
        return mark_failed(old, reason=refusal.code, message=refusal.message, advice="", now=now)

    await apply_ending_transition(context, waited.username, waited.session, change)


async def restore_start_queue(context: AppContext) -> None:
    """Load the start queue from the database when the hub starts."""

    def work(tx: Transaction) -> tuple[list[Instance], list[Instance]]:
        return tx.start_queue.list_queued(), tx.start_queue.list_starting()

    queued, starting = await read_transaction(context, work)
    context.start_queue.load(
        filter(None, map(get_queued_start, queued)), [(instance.username, instance.session) for instance in starting]
    )
