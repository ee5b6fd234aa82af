"""The door to the hub's servers: the only place that touches its users and spawners.

Start and pause are idempotent and allowed in every state; while the hub checks a
server after a restart they do not go through its own endpoints, which then refuse.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from time import monotonic
from typing import Any, cast

from jupyterhub.spawner import SpawnException
from tornado.web import HTTPError

from .. import beside, metrics
from ..domain.errors import Invalid, Refused, Unavailable, not_found
from ..domain.instance import Instance
from ..domain.reasons import sentence
from ..domain.session import SessionSpec
from ..gate import require_room
from ..services import runs
from ..services.orphans import Ground
from ..services.parts import Parts
from .stops import STOP_PATIENCE, has_failed, settled, until_deleted, until_stopped

_GATE_PATIENCE = 10.0  # seconds for the gate's answer, as long as the hub's own endpoints wait
_CANCEL_PATIENCE = 0.4  # seconds for a start to end its steps; a pause answers within one (decision 18)


async def start(handler: Any, user: Any, spec: SessionSpec, resource_class: str | None = None) -> bool:
    """Start or resume a session that `instances.prepare` has let through.

    Returns:
        Whether the start is under way (202); False if it runs already (200).

    Raises:
        Refused: by the gate in the spawner, which decides at the last moment, or `limit_servers`;
            `cancelled`, if it was paused before it was on record.
        Conflict: `stopping`, while it still stops or is deleted.
        Unavailable: `hub_busy`.
    """
    await until_deleted(user, spec.session)
    with metrics.refusals():
        await require_room(handler, user, spec.session)
    spawner = user.get_or_create_spawner(spec.session, spec.display_name, replace_failed=True)
    if spawner.pending == "stop" or await has_failed(spawner):
        await until_stopped(spawner)
        spawner = user.get_or_create_spawner(spec.session, spec.display_name, replace_failed=True)
    if spawner.ready:
        return False
    if spawner.pending in ("check", "stop"):
        return True
    options = {"resource_class": resource_class} if resource_class else {}
    # No await between the look at `pending` and this: a second process would start (recipe 11).
    await _answered(spawner, _until_decided(spawner) if spawner.pending else _spawn(handler, user, spec, options))
    return True


async def _spawn(handler: Any, user: Any, spec: SessionSpec, options: dict[str, str]) -> None:
    spawner = user.spawners[spec.session]
    spawner.begun = False
    try:
        await handler.spawn_single_user(user, spec.session, spec.display_name, options=options)
    except RuntimeError as error:
        if "pending" not in str(error):  # two starts met, and the other one goes on
            raise
    await _until_decided(spawner)


async def _answered(spawner: Any, start: Awaitable[None]) -> None:
    """Each click that meets the same start is answered alike."""
    try:
        await start
    except SpawnException as failure:
        _raise_refusal(failure)
    except HTTPError as error:
        raise _busy(error) from None
    except asyncio.CancelledError:
        if _is_cancelled():
            raise
        if not spawner.begun:  # somebody paused it meanwhile
            raise Refused(sentence("cancelled"), code="cancelled") from None


async def _until_decided(spawner: Any) -> None:
    """On a busy hub the gate takes longer than the look at the start: what it refuses answers this request still."""
    start, end = spawner._spawn_future, monotonic() + _GATE_PATIENCE
    while start is not None and not (start.done() or spawner.begun) and monotonic() < end:
        await asyncio.wait({start}, timeout=0.05)
    if start is not None and start.done():
        await start


def _is_cancelled() -> bool:
    """Whether this request itself shall end: it is not ended by the end of the start that it waits for."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _raise_refusal(failure: SpawnException) -> None:
    """A refusal answers the request; a start that failed at once is told by the status, as one that fails later."""
    refusal = getattr(failure, "refusal", None)
    if refusal is not None:
        raise refusal from None


def _busy(error: HTTPError) -> Exception:
    """The hub's limits on starts at a time come before any code of ours."""
    if error.status_code != 429:
        return error
    headers = getattr(error, "headers", None) or {}
    metrics.refused("hub_busy")
    return Unavailable(sentence("hub_busy"), retry_after=int(headers.get("Retry-After", 10)), code="hub_busy")


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
