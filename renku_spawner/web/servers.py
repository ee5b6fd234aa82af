"""The door to the hub's servers: the only place that touches its users and spawners.

Starts (`starts`) and pauses are idempotent and allowed in every state; while the hub checks
a server after a restart they do not go through its own endpoints, which then refuse.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from .. import beside
from ..domain.errors import Invalid, not_found
from ..domain.instance import Instance
from ..domain.reasons import sentence
from ..services import runs
from ..services.orphans import Ground
from ..services.parts import Parts
from .stops import STOP_PATIENCE, settled

_CANCEL_PATIENCE = 0.4  # seconds for a start to end its steps; a pause answers within one (decision 18)


async def pause(handler: Any, user: Any, parts: Parts, session_id: str, *, ended_reason: str) -> None:
    """Stop a session at whatever step it is; its files stay."""
    if not await is_stopped(handler, user, parts, session_id, ended_reason=ended_reason):
        rest = settled(user, parts, session_id)
        await asyncio.wait({rest}, timeout=STOP_PATIENCE)
        if rest.done():
            await rest


async def is_stopped(handler: Any, user: Any, parts: Parts, session_id: str, *, ended_reason: str) -> bool:
    """Whether the hub, told that it shall stop, knows of a server that does."""
    await runs.stop(parts, user.name, session_id, ended_reason=ended_reason)
    spawner = user.spawners.get(session_id)
    if spawner is None or not spawner.active:
        return False
    if spawner.pending == "check":
        beside.begin(_stop_after_check(handler, user, spawner), f"The stop of {spawner._log_name}")
    elif spawner.pending != "stop":
        await _cancel_start(spawner)
        await _stop(handler, user, session_id)
    return True


async def _cancel_start(spawner: Any) -> None:
    await asyncio.sleep(0)  # a start that has just been asked for begins: the hub would leave its coroutine behind
    future = spawner._spawn_future
    if future is not None and not future.done():
        future.cancel()
        await asyncio.wait({future}, timeout=_CANCEL_PATIENCE)


async def _stop(handler: Any, user: Any, session_id: str) -> None:
    spawner = user.spawners.get(session_id)
    if spawner is None:
        return
    spawner._spawn_pending = False  # of the start that was cancelled
    if not spawner._stop_pending and spawner.server is not None:
        await handler.stop_single_user(user, session_id)


async def _stop_after_check(handler: Any, user: Any, spawner: Any) -> None:
    while spawner._check_pending:
        await asyncio.sleep(0.1)
    if spawner.ready:
        await handler.stop_single_user(user, spawner.name)


def ground(user: Any) -> Ground:
    """What sessions of everybody run on: any spawner knows it, so that of whoever asks does."""
    return cast(Ground, user.spawner)


def user_of(handler: Any, name: str) -> Any:
    """The hub's user of that name. Raises NotFound, also if the hub knows them no more."""
    user = handler.find_user(name)
    if user is None:
        raise not_found()
    return user


async def require_disk(user: Any, instance: Instance, disk: str) -> None:
    """A disk cannot be made smaller than it is. Raises Invalid, `disk_shrink` (H64)."""
    spawner = user.get_or_create_spawner(instance.session, instance.session)
    if size := await spawner.too_large(instance, disk):
        sentence_ = sentence("disk_shrink", size=size)
        raise Invalid(sentence_, code="disk_shrink", fields={"disk": sentence_})


async def log(user: Any, instance: Instance) -> str:
    """The end of what an active instance has printed so far; empty where the hub knows of none."""
    spawner = user.spawners.get(instance.session)
    return str(await spawner.end_of_log(instance)) if spawner is not None else ""
