"""Delete old records: past launches, audit events, and data about images that are no longer used.

Data of paused sessions is deleted by `jobs.expiry`.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from ..context.app_context import AppContext, read_transaction, write_transaction
from ..persistence.database import Transaction


async def delete_old_records(context: AppContext, kept: timedelta) -> int:
    """Delete records older than *kept* and storage credentials of deleted users; return the number of deleted rows."""
    before, deleted = context.now() - kept, await _delete_credentials_of_deleted_users(context)
    while count := await write_transaction(context, lambda tx: _delete_record_batch(tx, before)):
        deleted += count  # in batches, so that the database is not locked for long
        await asyncio.sleep(0)
    return deleted


async def _delete_credentials_of_deleted_users(context: AppContext) -> int:
    """Delete storage credentials whose owner is no longer a user of the hub: a re-created name is another user."""
    gone = context.find_missing_users(await read_transaction(context, lambda tx: tx.storages.list_credentials_owners()))
    return await write_transaction(context, lambda tx: tx.storages.delete_credentials_of_users(gone)) if gone else 0


def _delete_record_batch(tx: Transaction, before: datetime) -> int:
    """Delete one batch of old records. Images come first, so that package lists of deleted images go with them."""
    return sum(store.prune(before) for store in (tx.launches, tx.audit, tx.images, tx.ci_images, tx.software))
