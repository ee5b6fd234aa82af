"""Restore an instance's data from the trash, or record that its volume is lost.

Expiry dates are computed in `domain.expiry`.
"""

from __future__ import annotations

from contextlib import suppress

from ..context.app_context import AppContext, write_transaction
from ..domain.access import Person
from ..domain.expiry import mark_restored
from ..domain.instances import Instance, mark_data_deleted, mark_lost_disk_accepted
from ..observability.metrics import record_expiry_step
from ..persistence.database import Transaction
from ..persistence.statements import ConcurrentUpdate
from .transitions import apply_transition


async def acknowledge_lost_volume(context: AppContext, person: Person, session_id: str) -> None:
    """Record that the owner knows that the volume is lost. Do nothing if it is not lost."""

    def work(tx: Transaction) -> None:
        old = tx.instances.get(session_id, person.name)
        if old is not None and old.is_disk_lost:
            tx.instances.save(old, mark_lost_disk_accepted(old))

    with suppress(ConcurrentUpdate):  # a second click stored it already
        await write_transaction(context, work)


async def restore_trashed_data(context: AppContext, username: str, session_id: str) -> Instance | None:
    """Move the data out of the trash: the session is paused again, with a new full expiry period.

    Data that is not in the trash stays unchanged.
    """
    now, rules = context.now(), context.policy.expiry

    def changed(_context: AppContext, _old: Instance, _new: Instance) -> None:
        record_expiry_step("brought_back")

    return await apply_transition(
        context, username, session_id, lambda old: mark_restored(old, rules, now), after=changed
    )


async def record_volume_loss(context: AppContext, username: str, session_id: str) -> None:
    """Mark an inactive session as without data, after its volume was deleted outside of the hub."""
    now = context.now()

    def change(old: Instance) -> Instance:
        return old if old.is_active else mark_data_deleted(old, now=now, ended_reason="volume_lost")

    await apply_transition(context, username, session_id, change)
