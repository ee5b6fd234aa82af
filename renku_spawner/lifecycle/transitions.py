"""Apply a state transition with optimistic locking, retry it on conflict, and publish it.

Transitions are also reported to the metrics and the event log. The pure steps themselves are in `domain.instances`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from ..context.app_context import AppContext, retry_on_conflict
from ..domain.expiry import apply_expiry_dates
from ..domain.instances import DesiredState, Instance, count_stage_seconds
from ..observability.metrics import get_reason_group, record_launch_aborted, record_launch_ready, record_session_end
from ..persistence.database import Transaction

T = TypeVar("T")
AfterTransition = Callable[[AppContext, Instance, Instance], None]


def _write_nothing(_tx: Transaction, _old: Instance, _new: Instance) -> None:
    """The default for *beside*: write nothing else in the transaction."""


def _do_nothing_after(_context: AppContext, _old: Instance, _new: Instance) -> None:
    """The default for *after*: only publish the change."""


async def apply_run_transition(
    context: AppContext,
    instance: Instance,
    to: Callable[[Instance], Instance],
    beside: Callable[[Transaction, Instance, Instance], None] = _write_nothing,
    after: AfterTransition = _do_nothing_after,
) -> Instance | None:
    """Apply a step to this very run. Return None if another run or a stop came in between."""

    def guarded(old: Instance) -> Instance:
        return to(old) if old.run == instance.run and old.desired is DesiredState.RUNNING else old

    saved = await apply_transition(context, instance.username, instance.session, guarded, beside, after)
    current = saved is not None and saved.run == instance.run and saved.desired is DesiredState.RUNNING
    return saved if current else None


async def apply_transition(
    context: AppContext,
    username: str,
    session_id: str,
    to: Callable[[Instance], Instance],
    beside: Callable[[Transaction, Instance, Instance], None] = _write_nothing,
    after: AfterTransition = _do_nothing_after,
) -> Instance | None:
    """Apply a step to the stored instance, and return the result.

    *beside* writes more in the same transaction. *after* is called once it is committed, and not at all if the step
    changed nothing.
    """

    def work(tx: Transaction) -> tuple[Instance | None, Instance | None]:
        old = tx.instances.get(session_id, username)
        new = to(old) if old else None
        if old is None or new is None or new is old:
            return old, old
        saved = save_instance_with_expiry(context, tx, old, new)
        beside(tx, old, saved)
        return old, saved

    before, saved = await retry_on_conflict(context, work)
    if before is not None and saved is not None and before is not saved:
        after(context, before, saved)
    publish_instance_change(context, saved)
    return saved


def save_instance_with_expiry(context: AppContext, tx: Transaction, old: Instance, new: Instance) -> Instance:
    """Replace *old* by *new*, with the dates on which its data expires. Raises ConcurrentUpdate, UniqueConflict."""
    return tx.instances.save(old, apply_expiry_dates(new, context.policy.expiry, context.now()))


def publish_instance_change(context: AppContext, instance: Instance | None) -> None:
    if instance is not None:
        context.event_bus.publish(instance.username, instance.session)


async def add_notice(context: AppContext, instance: Instance, notice: Mapping[str, str]) -> None:
    """Add *notice* to this very run, unless it has one with that code."""

    def change(old: Instance) -> Instance:
        has_notice = any(present["code"] == notice["code"] for present in old.notices)
        return old if has_notice else replace(old, notices=(*old.notices, notice))

    await apply_run_transition(context, instance, change)


async def remove_notice(context: AppContext, instance: Instance, code: str) -> None:
    """Remove the notice with that code from this very run."""

    def change(old: Instance) -> Instance:
        kept = tuple(notice for notice in old.notices if notice["code"] != code)
        return old if kept == old.notices else replace(old, notices=kept)

    await apply_run_transition(context, instance, change)


def report_launch_started(context: AppContext, instance: Instance) -> None:
    _emit_launch_event(context, "started", instance)


def report_launch_ready(context: AppContext, before: Instance, instance: Instance) -> None:
    now = instance.ready_at or context.now()
    seconds = (now - (instance.requested_at or now)).total_seconds()
    spent = count_stage_seconds(before, now) or {}
    record_launch_ready(seconds, spent)
    _emit_launch_event(context, "ready", instance, seconds=seconds, stages=dict(spent))


def report_launch_ended(context: AppContext, before: Instance, instance: Instance) -> None:
    """Report the end of a run; an end before it was ready is the outcome of its launch."""
    reason, failed = instance.ended_reason, instance.reason is not None
    if before.ready_at is not None:
        record_session_end(reason)
    else:
        record_launch_aborted("failed" if failed else "cancelled", reason)
    outcome = "failed" if failed else "cancelled" if before.ready_at is None else "ended"
    _emit_launch_event(context, "ended", instance, outcome=outcome, reason=reason, group=get_reason_group(reason))


def _emit_launch_event(context: AppContext, action: str, instance: Instance, **more: Any) -> None:
    """Emit names, ids and codes only: messages of programs and registries may contain secrets."""
    fields = {
        "action": action,
        "launch": instance.run,
        "username": instance.username,
        "session": instance.session,
        "project": instance.project,
        "environment": instance.environment,
        "revision": instance.revision,
        "resource_class": instance.resource_class,
        **more,
    }
    context.emit_event("launch", {name: value for name, value in fields.items() if value is not None})
