"""Waiting for a busy database without stopping the hub (decisions 27 and 44)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import TypeVar

from .. import metrics
from ..domain.errors import Unavailable
from .faults import Busy

T = TypeVar("T")
PATIENCE = 3.0  # seconds in all
BUSY = "The database is busy. Nothing was changed; please try again."


async def patiently(unit: Callable[[], T], *, seconds: float = PATIENCE, in_thread: bool = False) -> T:
    """What *unit*, one whole transaction, returns; run again while the database is busy.

    *in_thread* is for a long one, which would stop the event loop.

    Raises:
        Unavailable: it was busy for *seconds*; nothing of *unit* is stored.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        try:
            return await asyncio.to_thread(unit) if in_thread else unit()
        except Busy as busy:
            if loop.time() >= deadline:
                metrics.database_busy.inc()
                raise Unavailable(BUSY, retry_after=1) from busy
        metrics.database_retries.inc()
        await asyncio.sleep(random.uniform(0.02, 0.1))
