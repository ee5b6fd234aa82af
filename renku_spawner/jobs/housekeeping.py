"""Delete old records: past launches, audit events, and data about images that are no longer used.

Data of paused sessions is deleted by `jobs.expiry`.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta

from ..context.app_context import AppContext, read_transaction, write_transaction
from ..domain.errors import UnavailableError
from ..observability.metrics import record_task_failure, record_task_success
from ..persistence.database import Transaction

_HOUSEKEEPING_INTERVAL_SECONDS = 3600
log = logging.getLogger("renku_spawner")


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


async def run_housekeeping_job(
    context: AppContext, kept: timedelta, *, pause: float = _HOUSEKEEPING_INTERVAL_SECONDS
) -> None:
    """Run `delete_old_records` every *pause* seconds; log failures and continue."""
    while True:
        try:
            await delete_old_records(context, kept)
            record_task_success("tidying")
        except UnavailableError:
            record_task_failure("tidying")
            log.warning("Failed to delete old records: the database was busy")
        except Exception:
            record_task_failure("tidying")
            log.exception("Failed to delete old records")
        await asyncio.sleep(pause)
