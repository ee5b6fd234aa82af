"""Ends that are under way: whoever asks for something else waits for them, for a moment."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

from ..domain.errors import Conflict, Unavailable
from ..domain.reasons import sentence

STOP_PATIENCE = 2.0  # seconds for what must have ended before something else happens; all is answered in three


async def has_failed(spawner: Any) -> bool:
    """Whether what the hub takes for running, or for starting still, has ended by itself: it is about to notice."""
    if not spawner.ready and not (spawner.pending == "spawn" and spawner.begun):
        return False
    instance = await spawner.recorded()
    return instance is not None and instance.reason is not None


async def until_stopped(spawner: Any) -> None:
    """Wait for a stop that is under way, whoever began it. Raises Conflict if it takes too long."""
    end = monotonic() + STOP_PATIENCE
    while spawner.pending == "stop" or await has_failed(spawner):
        if monotonic() > end:
            raise still_stopping(spawner)
        await asyncio.sleep(0.05)


def still_stopping(spawner: Any) -> Conflict | Unavailable:
    """What whoever asks meanwhile is told."""
    if spawner is not None and not spawner.reachable:
        return Unavailable(sentence("cluster_unavailable"), retry_after=10, code="cluster_unavailable")
    return Conflict("Your session is still stopping; try again in a moment.", code="stopping")
