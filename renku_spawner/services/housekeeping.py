"""What is thrown away after a while: records of past starts, of what was refused, and of images that nobody uses."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta

from .. import metrics
from ..domain.errors import Unavailable
from ..store.database import Transaction
from .parts import Parts, read, write

_PAUSE = 3600  # seconds
log = logging.getLogger("renku_spawner")


async def tidy(parts: Parts, kept: timedelta) -> int:
    """Delete records that are older than *kept* (decision 25), and what people keep who are gone; returns how many."""
    before, deleted = parts.now() - kept, await _forget_gone(parts)
    while some := await write(parts, lambda tx: _some(tx, before)):
        deleted += some  # a thousand at a time: nobody else waits for long
        await asyncio.sleep(0)
    return deleted


async def _forget_gone(parts: Parts) -> int:
    """Credentials for storages go with their owner; a name that comes again is somebody else anyway (decision 23)."""
    gone = parts.gone(await read(parts, lambda tx: tx.storages.keepers()))
    return await write(parts, lambda tx: tx.storages.forget_people(gone)) if gone else 0


def _some(tx: Transaction, before: datetime) -> int:
    """Images first: of those that are gone, what is installed in them is of no use either."""
    return sum(store.prune(before) for store in (tx.launches, tx.audit, tx.images, tx.builds, tx.software))


async def forever(parts: Parts, kept: timedelta, *, pause: float = _PAUSE) -> None:
    """Tidy up every *pause* seconds; whatever goes wrong is tried again next time."""
    while True:
        try:
            await tidy(parts, kept)
            metrics.done("tidying")
        except Unavailable:
            metrics.failed("tidying")
            log.warning("Old records were not deleted: the database was busy")
        except Exception:
            metrics.failed("tidying")
            log.exception("Old records were not deleted")
        await asyncio.sleep(pause)
