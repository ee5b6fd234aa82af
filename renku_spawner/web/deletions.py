"""The door to the hub where data go for good: after their owner's confirmation, or when their time is over."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from ..domain.errors import Conflict
from ..domain.instance import Desired
from ..services import runs
from ..services.parts import Parts
from .servers import is_stopped
from .stops import deletions, settled, until_deleted


async def delete(handler: Any, user: Any, parts: Parts, session_id: str) -> bool:
    """Stop it if it runs, then delete its data for good; the owner has confirmed that.

    Returns:
        Whether the data is gone. False when that takes longer than a request should: the intent is on record by then,
        so that the deletion goes on, also over a restart of the hub.

    Raises:
        Conflict: `stopping`, when even the intent is not on record yet.
        Unavailable: `cluster_unavailable`, when the cluster does not answer; it goes on.
    """
    try:
        await _once(handler, user, session_id, _delete(handler, user, parts, session_id))
    except Conflict as conflict:
        instance = await runs.recorded(parts, user.name, session_id)
        if conflict.code != "stopping" or instance is None or instance.desired is not Desired.DELETED:
            raise
        return False
    return True


async def expire(handler: Any, user: Any, session_id: str) -> None:
    """Delete the data of one that is marked for it, because nobody came for them; nothing is stopped for that.

    Raises:
        Conflict: `running`, if the hub knows of a server after all; otherwise as `delete`.
    """
    spawner = user.spawners.get(session_id)
    if spawner is not None and (spawner.active or spawner.pending):
        raise Conflict("It is in use.", code="running")
    await _once(handler, user, session_id, _remove(user, session_id))


async def _once(handler: Any, user: Any, session_id: str, work: Coroutine[Any, Any, None]) -> None:
    """However many ask for it."""
    key = (user.name, session_id)
    if key in deletions:
        work.close()
    else:
        deletions[key] = task = asyncio.ensure_future(work)
        task.add_done_callback(lambda done: _deleted(handler, key, done))
    task = deletions[key]
    await until_deleted(user, session_id)
    await task


def _deleted(handler: Any, key: tuple[str, str], task: asyncio.Task[None]) -> None:
    deletions.pop(key, None)
    if not task.cancelled() and (error := task.exception()):  # whoever asked may have gone by now
        handler.log.warning("The data of %s:%s are not deleted: %s", *key, error)


async def _delete(handler: Any, user: Any, parts: Parts, session_id: str) -> None:
    # The intent comes first: a hub that ends in the middle of the stop goes on when it is back.
    await runs.stop(parts, user.name, session_id, ended_reason="stopped_by_user")
    await runs.delete(parts, user.name, session_id)
    for _ in ("as it is", "as the hub finds it in its check"):
        if not await is_stopped(handler, user, parts, session_id, ended_reason="stopped_by_user"):
            await settled(user, parts, session_id)  # however long that takes: a late end would undo what follows
        spawner = user.spawners.get(session_id)
        while spawner is not None and spawner.pending in ("stop", "check"):
            await asyncio.sleep(0.05)
    marked = await runs.delete(parts, user.name, session_id)
    if marked is not None and marked.desired is Desired.DELETED:
        await _remove(user, session_id)


async def _remove(user: Any, session_id: str) -> None:
    spawner = user.get_or_create_spawner(session_id, session_id)
    await spawner.delete_forever()
    user.db.delete(spawner.orm_spawner)
    user.spawners.pop(session_id, None)
    user.db.commit()
