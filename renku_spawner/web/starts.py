"""Starts through the hub: at once while it has room, else in line for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from time import monotonic
from typing import Any

from jupyterhub.spawner import SpawnException
from tornado.web import HTTPError

from .. import metrics
from ..domain.errors import Refused, Unavailable
from ..domain.reasons import sentence
from ..domain.session import SessionSpec
from ..gate import admit, require_room
from ..services import queueing
from ..services.parts import Parts
from .stops import has_failed, until_deleted, until_stopped

_GATE_PATIENCE = 10.0  # seconds for the gate's answer, as long as the hub's own endpoints wait
_COME_AGAIN = 30  # seconds after which who may not even wait may ask again


async def start(
    handler: Any, user: Any, spec: SessionSpec, resource_class: str | None = None, *, seen: str = ""
) -> bool:
    """Start or resume a session that `instances.prepare` has let through, or put it in line.

    The gate in the spawner compares *seen* once more, also when its turn in line comes.

    Returns:
        Whether the start is under way (202); False if it runs already (200).

    Raises:
        Refused: by the gate in the spawner, which decides at the last moment, or `limit_servers`;
            `cancelled`, if it was paused before it was on record.
        Conflict: `stopping`, while it still stops or is deleted.
        Unavailable: `hub_busy`, when as many wait as may.
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
    if spawner.pending in ("check", "stop") or handler.parts.line.waits(user.name, spec.session):
        return True
    options = {"resource_class": resource_class} if resource_class else {}
    # No await between the look at `pending` and this: a second process would start (recipe 11).
    await _begun(handler, user, spec, options, seen)
    return True


async def _begun(handler: Any, user: Any, spec: SessionSpec, options: dict[str, str], seen: str) -> None:
    spawner = user.spawners[spec.session]
    if spawner.pending:
        await _answered(spawner, _until_decided(spawner))
        return
    spawner.launch_version_seen = seen
    if handler.parts.line.take():
        with handler.parts.line.held(user.name, spec.session):
            await _answered(spawner, _spawn(handler, user, spec, options))
    else:
        await _wait_in_line(handler, user, spec, options)


async def _wait_in_line(handler: Any, user: Any, spec: SessionSpec, options: dict[str, str]) -> None:
    """What cannot start is refused now and not when its turn comes, as far as that can be said now."""
    parts: Parts = handler.parts
    with metrics.refusals():
        if parts.line.full:
            raise Unavailable(sentence("hub_busy"), retry_after=_COME_AGAIN, code="hub_busy")
        seen = user.spawners[spec.session].launch_version_seen
        admitted = await admit(user, spec.session, options, by=handler.current_user, seen=seen)
    await queueing.wait(parts, admitted)


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
    """The hub's limits on starts at a time come before any code of ours, where they are asked at all."""
    if error.status_code != 429:
        return error
    headers = getattr(error, "headers", None) or {}
    metrics.refused("hub_busy")
    return Unavailable(sentence("hub_busy"), retry_after=int(headers.get("Retry-After", 10)), code="hub_busy")
