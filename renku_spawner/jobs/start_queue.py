"""Start queued sessions as the hub has capacity for them."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from time import monotonic

from tornado.web import HTTPError

from ..context.app_context import AppContext
from ..context.background_tasks import start_background_task
from ..context.start_queue import StartCapacity, StartQueue
from ..domain.errors import LaunchRefusedError, RenkuError, UnavailableError
from ..domain.instances import Instance
from ..domain.reasons import format_reason_sentence
from ..domain.start_queue import QueuedStart, QueueKey
from ..hub.adapter import SystemRequestHandler
from ..hub.authentication import build_log_in_again_error
from ..hub.jupyterhub import HubApp, get_start_future, get_start_signal
from ..lifecycle.runs import load_instance, refuse_queued_start, restore_start_queue
from ..spawners.errors import SessionSpawnError

_QUEUE_POLL_INTERVAL_SECONDS = 0.25  # while starts are queued: the hub does not announce every server that stops
_POSITION_UPDATE_INTERVAL_SECONDS = 0.5  # between two updates of the positions that pages show
_BATCH_INTERVAL_SECONDS = 0.1  # changes within this time are handled together
_START_RETRY_INTERVAL_SECONDS = 5.0  # after a start could not be checked, such as while GitLab does not answer
log = logging.getLogger("renku_spawner")


def build_start_capacity(hub: HubApp, longest: int) -> StartCapacity:
    """Build the capacity of a hub from its limits and its own counts; *longest* is the maximum length of the queue."""

    def starting() -> int:
        counts = hub.users.count_active_users()
        return int(counts["spawn_pending"] + counts["proxy_pending"])

    def under_way(key: QueueKey) -> bool:
        user = hub.users.get(key[0])
        spawner = user.spawners.get(key[1]) if user else None
        return spawner is not None and spawner.pending in ("spawn", "check")

    return StartCapacity(
        at_once=hub.concurrent_spawn_limit,
        at_most=hub.active_server_limit,
        longest=longest,
        starting=starting,
        active=lambda: int(hub.users.count_active_users()["active"]),
        under_way=under_way,
    )


async def run_start_queue_job(hub: HubApp, context: AppContext) -> None:
    """Restore the start queue from the database, then start queued sessions whenever the hub has capacity."""
    line, updated_at = context.start_queue, 0.0
    await restore_start_queue(context)
    await get_start_signal(hub)
    while True:
        for each in line.list_startable():
            start_background_task(_start_queued_instance(hub, context, each), f"Queued start of {each.session}")
        before = monotonic()
        await asyncio.sleep(_BATCH_INTERVAL_SECONDS)  # the started tasks reserve their capacity meanwhile
        line.pace.discount_delay(monotonic() - before - _BATCH_INTERVAL_SECONDS)
        if monotonic() > updated_at + _POSITION_UPDATE_INTERVAL_SECONDS:
            updated_at = monotonic()
            line.publish_positions(context.event_bus)
        await _wait_for_queue_change(line)


async def _wait_for_queue_change(line: StartQueue) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_QUEUE_POLL_INTERVAL_SECONDS if line.length else None):
            await line.stirred.wait()
    line.stirred.clear()


async def _start_queued_instance(hub: HubApp, context: AppContext, each: QueuedStart) -> None:
    """Start a queued session like a request would, without a logged-in user: admission checks its owner again."""
    with context.start_queue.reserve_capacity(*each.key):
        while (waited := await load_instance(context, *each.key)) is not None and waited.turn is not None:
            try:
                await _spawn_queued_server(hub, waited)
            except Exception as problem:
                if await _handle_start_failure(context, waited, problem):
                    return
            else:
                return


async def _handle_start_failure(context: AppContext, waited: Instance, problem: Exception) -> bool:
    """Record *problem* and return True, or wait and return False if the start should be tried again."""
    refusal = _get_start_refusal(problem)
    if isinstance(refusal, UnavailableError):
        await asyncio.sleep(
            min(max(refusal.retry_after, _START_RETRY_INTERVAL_SECONDS), 6 * _START_RETRY_INTERVAL_SECONDS)
        )
        return False
    if refusal is None and not isinstance(problem, SessionSpawnError):
        log.error("Queued start of %s:%s failed", waited.username, waited.session, exc_info=problem)
    await refuse_queued_start(
        context, waited, refusal or RenkuError(format_reason_sentence("start_error"), code="start_error")
    )
    return True


def _get_start_refusal(problem: Exception) -> RenkuError | None:
    """Return the refusal to show to the session's owner; None if *problem* is an internal error."""
    if isinstance(problem, RenkuError):
        return problem
    if isinstance(problem, SessionSpawnError):
        return problem.refusal
    # The hub raises these if it cannot refresh the owner's log-in.
    return build_log_in_again_error() if isinstance(problem, HTTPError) and problem.status_code in (400, 403) else None


async def _spawn_queued_server(hub: HubApp, waited: Instance) -> None:
    user = hub.users.get(waited.username)
    if user is None:
        raise LaunchRefusedError(format_reason_sentence("lost"), code="lost")
    spawner = user.get_or_create_spawner(waited.session, waited.session, replace_failed=True)
    if not (spawner.pending or spawner.ready):  # otherwise another request has started it first
        options = {"resource_class": waited.resource_class}
        await SystemRequestHandler(hub, user).spawn_single_user(user, waited.session, options=options)
    if (start := get_start_future(spawner)) is not None:
        await asyncio.wait({start})
        if not start.cancelled() and (problem := start.exception()):
            raise problem
