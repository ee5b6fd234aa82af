"""Ends that are under way: whoever asks for something else waits for them, for a moment."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

from .. import beside
from ..domain.errors import Conflict, Unavailable
from ..domain.reasons import sentence
from ..services import runs
from ..services.parts import Parts

STOP_PATIENCE = 2.0  # seconds for what must have ended before something else happens; all is answered in three
_settling: dict[tuple[str, str], asyncio.Task[None]] = {}  # by user and session, while they are under way
deletions: dict[tuple[str, str], asyncio.Task[None]] = {}  # likewise


def settled(user: Any, parts: Parts, session_id: str) -> asyncio.Task[None]:
    """The end of what our record says runs and the hub does not know of; once for however many ask for it.

    A cluster that does not answer is waited for without end: whoever asks may not have the time.
    """
    key = (user.name, session_id)
    if key not in _settling:
        _settling[key] = task = beside.begin(_settle(user, parts, session_id), f"The end of {session_id}")
        task.add_done_callback(lambda _: _settling.pop(key, None))
    return _settling[key]


async def _settle(user: Any, parts: Parts, session_id: str) -> None:
    instance = await runs.recorded(parts, user.name, session_id)
    if instance is not None and instance.active:
        await user.get_or_create_spawner(session_id, session_id).stop(now=True)


async def has_failed(spawner: Any) -> bool:
    """Whether what the hub takes for running, or for starting still, has ended by itself: it is about to notice."""
    if not spawner.ready and not (spawner.pending == "spawn" and spawner.begun):
        return False
    instance = await spawner.recorded()
    return instance is not None and instance.reason is not None


async def until_deleted(user: Any, session_id: str) -> None:
    """Wait for a deletion that is under way. Raises Conflict if it takes too long, Unavailable without a cluster."""
    task = deletions.get((user.name, session_id))
    if task is not None:
        await asyncio.wait({task}, timeout=STOP_PATIENCE)
        if not task.done():
            raise still_stopping(user.spawners.get(session_id))


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
