"""Lets starts that wait begin, one after the other, as the hub has room for them."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from time import monotonic
from typing import Any

from tornado.web import HTTPError

from . import beside
from .domain.errors import Refused, RenkuError, Unavailable
from .domain.instance import Instance
from .domain.line import Key, Waiting
from .domain.reasons import sentence
from .failures import SessionSpawnError
from .services import queueing, runs
from .services.line import Line, Room
from .services.parts import Parts
from .web.nobody import Nobody
from .web.visitor import log_in_again

_TICK = 0.25  # seconds between two looks at the hub while somebody waits: not all that ends there is told
_TELL = 0.5  # seconds between two times that pages are told where they stand
_PACE = 0.1  # seconds in which changes are gathered
_AGAIN = 5.0  # seconds after which what nobody could say is asked again
log = logging.getLogger("renku_spawner")


def room(hub: Any, longest: int) -> Room:
    """What the hub of these settings allows, and what it counts itself."""

    def starting() -> int:
        counts = hub.users.count_active_users()
        return int(counts["spawn_pending"] + counts["proxy_pending"])

    def under_way(key: Key) -> bool:
        user = hub.users.get(key[0])
        spawner = user.spawners.get(key[1]) if user else None
        return spawner is not None and spawner.pending in ("spawn", "check")

    return Room(
        at_once=hub.concurrent_spawn_limit,
        at_most=hub.active_server_limit,
        longest=longest,
        starting=starting,
        active=lambda: int(hub.users.count_active_users()["active"]),
        under_way=under_way,
    )


async def forever(hub: Any, parts: Parts) -> None:
    """Take up the line where it was, then let those begin whose turn it is, whenever there is room."""
    line, told = parts.line, 0.0
    await queueing.take_up(parts)
    await hub._start_future
    while True:
        for each in line.next():
            beside.begin(_begin(hub, parts, each), f"The start of {each.session}")
        before = monotonic()
        await asyncio.sleep(_PACE)  # they hold their room by then
        line.pace.late(monotonic() - before - _PACE)
        if monotonic() > told + _TELL:
            told = monotonic()
            line.tell()
        await _until_stirred(line)


async def _until_stirred(line: Line) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_TICK if line.length else None):
            await line.stirred.wait()
    line.stirred.clear()


async def _begin(hub: Any, parts: Parts, each: Waiting) -> None:
    """Start what has waited as a click would have, but with nobody's login: the gate asks anew who its owner is."""
    with parts.line.held(*each.key):
        while (waited := await runs.recorded(parts, *each.key)) is not None and waited.turn is not None:
            try:
                await _spawn(hub, waited)
            except Exception as problem:
                if await _is_over(parts, waited, problem):
                    return
            else:
                return


async def _is_over(parts: Parts, waited: Instance, problem: Exception) -> bool:
    """Whether its turn has passed, with *problem* on record; what nobody can say now is asked again."""
    refusal = _refusal(problem)
    if isinstance(refusal, Unavailable):
        await asyncio.sleep(min(max(refusal.retry_after, _AGAIN), 6 * _AGAIN))
        return False
    if refusal is None and not isinstance(problem, SessionSpawnError):
        log.error("What waited in line did not start", exc_info=problem)
    await queueing.refuse(parts, waited, refusal or RenkuError(sentence("start_error"), code="start_error"))
    return True


def _refusal(problem: Exception) -> RenkuError | None:
    """What *problem* says to the session's owner; None for what is a fault of ours."""
    if isinstance(problem, RenkuError):
        return problem
    if isinstance(problem, SessionSpawnError):
        return problem.refusal
    # The hub's own look at their login ends so.
    return log_in_again() if isinstance(problem, HTTPError) and problem.status_code in (400, 403) else None


async def _spawn(hub: Any, waited: Instance) -> None:
    user = hub.users.get(waited.username)
    if user is None:
        raise Refused(sentence("lost"), code="lost")
    spawner = user.get_or_create_spawner(waited.session, waited.session, replace_failed=True)
    if not (spawner.pending or spawner.ready):  # else another way led there first
        options = {"resource_class": waited.resource_class}
        await Nobody(hub, user).spawn_single_user(user, waited.session, options=options)
    if (start := spawner._spawn_future) is not None:
        await asyncio.wait({start})
        if not start.cancelled() and (problem := start.exception()):
            raise problem
