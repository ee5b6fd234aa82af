"""What happens by itself when its time has come. Nothing of it is kept in memory: what is due is found by an index."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta

from .. import metrics
from . import idling, processor
from .expiry import Expiring
from .idling import Act
from .parts import Parts, write

_MISSED = 3  # rounds; when so many did not take place, nobody was heard and nobody was warned
_SOME = 1000  # instances of one statement
log = logging.getLogger("renku_spawner")


async def once(parts: Parts, now: datetime, act: Act, *, interval: float = 60.0) -> None:
    """One round at *now*, *interval* seconds after the last one. Raises Unavailable, if the database is away."""
    if not parts.hearing.begin_round(now, timedelta(seconds=_MISSED * interval)):
        await _look_at_all(parts, now)
    await processor.listen(parts, now, act.processors)
    await idling.look(parts, now, act)
    parts.hearing.end_round(now)


async def _look_at_all(parts: Parts, now: datetime) -> None:
    """Have everything that is active looked at: the rules may have changed, or the clock. Others come in between."""
    while await write(parts, lambda tx: tx.due.look_at_more(now, _SOME)) == _SOME:
        await asyncio.sleep(0)


async def forever(parts: Parts, act: Act, interval: float, expiring: Expiring) -> None:
    """A round every *interval* seconds; whatever goes wrong is tried again in the next one."""
    while True:
        expiring.begin()
        try:
            await once(parts, parts.now(), act, interval=interval)
            metrics.done("rounds")
        except Exception:
            metrics.failed("rounds")
            log.exception("What is due could not be looked at")
        await asyncio.sleep(interval)
