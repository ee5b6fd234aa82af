"""Start, stop and delete the hub's servers. Requests and background jobs both go through this module."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Protocol, cast

from jupyterhub.handlers import BaseHandler
from jupyterhub.spawner import SpawnException
from tornado.httputil import HTTPConnection, HTTPHeaders, HTTPServerRequest, RequestStartLine
from tornado.web import HTTPError

from ..config.renku import Renku
from ..context.app_context import AppContext
from ..domain.errors import (
    ConflictError,
    InvalidInputError,
    LaunchRefusedError,
    UnavailableError,
    build_not_found_error,
)
from ..domain.instances import DesiredState, Instance
from ..domain.reasons import format_reason_sentence
from ..domain.sessions import LaunchSpec
from ..lifecycle.decide import ServerState
from ..lifecycle.reconciler import SessionControl
from ..lifecycle.runs import enqueue_start, request_deletion, request_stop
from ..observability.metrics import count_launch_refusals, record_launch_refused
from ..usecases.orphans import ResourceInventory
from .admission import admit_server_start, require_named_server_room
from .jupyterhub import (
    HubApp,
    HubRequestHandler,
    HubUser,
    SessionServer,
    clear_pending_start,
    get_start_future,
    is_check_pending,
    is_stop_pending,
    set_token_user,
)

STOP_WAIT_SECONDS = 2.0  # a request waits this long for a stop or a deletion, so that it is answered within 3 s
_PAUSE_WAIT_SECONDS = 0.4  # a pause is on record before, so it is answered soon
_PENDING_STATES = {"spawn": ServerState.STARTING, "stop": ServerState.STOPPING}


def get_server_state(spawner: SessionServer | None) -> ServerState:
    """Return the state of the hub's server, NONE without a spawner."""
    if spawner is None:
        return ServerState.NONE
    if is_check_pending(spawner):  # also while the hub has not finished a start of its own
        return ServerState.CHECKING
    if spawner.pending:
        return _PENDING_STATES.get(spawner.pending, ServerState.READY)
    return ServerState.READY if spawner.ready else ServerState.NONE


class HubServerDirectory:
    """Implement `lifecycle.reconciler.ServerDirectory` with the hub's users and spawners."""

    def __init__(self, hub: HubApp) -> None:
        self._hub = hub

    def has_user(self, username: str) -> bool:
        return self._hub.users.get(username) is not None

    def get_state(self, username: str, session_id: str) -> ServerState:
        user = self._hub.users.get(username)
        return get_server_state(user.spawners.get(session_id) if user is not None else None)

    def list_states(self) -> Mapping[tuple[str, str], ServerState]:
        users = self._hub.users.values()
        return {(user.name, name): get_server_state(each) for user in users for name, each in user.spawners.items()}

    def get_or_create_server(self, username: str, session_id: str) -> SessionControl:
        user = self._hub.users.get(username)
        assert user is not None
        return user.get_or_create_spawner(session_id, session_id)


async def has_server_exited(spawner: SessionServer) -> bool:
    """Return True if a server has exited that the hub still takes for starting or running: it has not polled it yet."""
    if not spawner.ready and not (spawner.pending == "spawn" and spawner.launch_recorded):
        return False
    instance = await spawner.load_instance()
    return instance is not None and instance.reason is not None


async def wait_until_settled(user: HubUser, session_id: str, *, timeout: float = STOP_WAIT_SECONDS) -> None:
    """Wait for a running deletion, or a stop that the hub does not know, to finish.

    Raises:
        ConflictError: `stopping`, if it takes longer than *timeout* seconds.
        UnavailableError: `cluster_unavailable`, if the cluster does not answer.
    """
    task = Renku.instance().reconciler.tasks.get((user.name, session_id))
    if task is not None:
        await asyncio.wait({task}, timeout=timeout)
        if not task.done():
            raise build_stopping_error(user.spawners.get(session_id))


async def wait_until_stopped(spawner: SessionServer) -> None:
    """Wait for a running stop to finish.

    Raises:
        ConflictError: `stopping`, if it takes longer than `STOP_WAIT_SECONDS`.
        UnavailableError: `cluster_unavailable`, if the cluster does not answer.
    """
    end = monotonic() + STOP_WAIT_SECONDS
    while spawner.pending == "stop" or await has_server_exited(spawner):
        if monotonic() > end:
            raise build_stopping_error(spawner)
        await asyncio.sleep(0.05)


def build_stopping_error(spawner: SessionServer | None) -> ConflictError | UnavailableError:
    """Return the error for a request that meets a stop in progress."""
    if spawner is not None and not spawner.reachable:
        return UnavailableError(
            format_reason_sentence("cluster_unavailable"), retry_after=10, code="cluster_unavailable"
        )
    return ConflictError("Your session is still stopping; try again in a moment.", code="stopping")


async def pause_session_server(user: HubUser, context: AppContext, session_id: str, *, ended_reason: str) -> None:
    """Stop a session at any step of its launch or run; its files are kept.

    The stop is on record when this returns, and goes on in the background.
    """
    await request_stop(context, user.name, session_id, ended_reason=ended_reason)
    await _cancel_unrecorded_start(user, session_id)
    task = Renku.instance().reconciler.start(user.name, session_id)
    await asyncio.wait({task}, timeout=_PAUSE_WAIT_SECONDS)
    if task.done():
        await task


async def _cancel_unrecorded_start(user: HubUser, session_id: str) -> None:
    """Cancel a start that the hub has begun and that is not on record yet, so that the row does not tell of it."""
    spawner = user.spawners.get(session_id)
    if spawner is not None and get_server_state(spawner) is ServerState.STARTING:
        await stop_server(spawner)


async def stop_server(spawner: SessionServer) -> None:
    """Stop the hub's server, and cancel a start of it; during the hub's check do nothing, since the check ends it."""
    state = get_server_state(spawner)
    if state is ServerState.STARTING:
        await _cancel_pending_start(spawner)
        clear_pending_start(spawner)
    elif state is not ServerState.READY:
        return
    if not is_stop_pending(spawner) and spawner.server is not None:
        hub = cast(HubApp, Renku.instance().parent)
        await SystemRequestHandler(hub, spawner.user).stop_single_user(spawner.user, spawner.name)


_CANCEL_TIMEOUT_SECONDS = 0.4  # for a cancelled start to end its steps, so that a pause answers within 1 s


async def _cancel_pending_start(spawner: SessionServer) -> None:
    await asyncio.sleep(0)  # let a start that was just requested begin: the hub would never await its coroutine
    future = get_start_future(spawner)
    if future is not None and not future.done():
        future.cancel()
        await asyncio.wait({future}, timeout=_CANCEL_TIMEOUT_SECONDS)


def get_resource_inventory(user: HubUser) -> ResourceInventory:
    """Return the inventory of all users' resources. Every spawner has it, so the requesting user's own is used."""
    return cast(ResourceInventory, user.spawner)


def get_hub_user(handler: HubRequestHandler, name: str) -> HubUser:
    """Return the hub's user called *name*. Raises NotFoundError, also if the user was deleted."""
    user = handler.find_user(name)
    if user is None:
        raise build_not_found_error()
    return user


async def require_disk_not_smaller(user: HubUser, instance: Instance, disk: str) -> None:
    """Raise InvalidInputError, `disk_shrink`, if the instance's disk is larger than *disk*: a PVC cannot shrink."""
    spawner = user.get_or_create_spawner(instance.session, instance.session)
    if size := await spawner.get_oversized_volume_size(instance, disk):
        sentence_ = format_reason_sentence("disk_shrink", size=size)
        raise InvalidInputError(sentence_, code="disk_shrink", fields={"disk": sentence_})


async def read_instance_log(user: HubUser, instance: Instance) -> str:
    """Return the last lines that an active instance has printed; empty if the hub knows no server for it."""
    spawner = user.spawners.get(instance.session)
    return str(await spawner.read_log_tail(instance)) if spawner is not None else ""


class IdleJobAdapter:
    """Implement `usecases.idle.IdleActions` with the hub's users and spawners."""

    def __init__(self, hub: Any, renku: Renku) -> None:
        self._hub, self._renku = hub, renku

    def get_last_activity(self, instance: Instance) -> datetime | None:
        """Return the last activity that the hub's proxy or the server itself has reported."""
        user = self._hub.users.get(instance.username)
        row = user.orm_spawners.get(instance.session) if user else None
        return row.last_activity.replace(tzinfo=UTC) if row is not None and row.last_activity else None

    async def load_processor_usage(self) -> Mapping[tuple[str, str], float] | None:
        """Return CPU usage by user and session, or None without an active session. Any spawner can measure it."""
        spawners = (spawner for user in self._hub.users.values() for spawner in user.spawners.values())
        ground = next((each for each in spawners if each.active and not each.is_plain_server), None)
        return await ground.load_processor_usage() if ground is not None else None

    async def pause_instance(self, instance: Instance) -> None:
        user = self._hub.users.get(instance.username)
        if user is not None:
            reason = instance.ended_reason or ""
            await pause_session_server(user, self._renku.context, instance.session, ended_reason=reason)


async def delete_session_server(user: HubUser, context: AppContext, session_id: str) -> bool:
    """Stop a session if it runs, then delete its data for good. The owner has confirmed the deletion.

    Returns:
        True if the data is gone. False if that takes longer than a request should: the intent is on record by then, so
        the deletion continues, also after a restart of the hub.

    Raises:
        ConflictError: `stopping`, if there is nothing to delete yet.
        UnavailableError: `cluster_unavailable`, if the cluster does not answer; the deletion continues.
    """
    await request_stop(context, user.name, session_id, ended_reason="stopped_by_user")
    await _cancel_unrecorded_start(user, session_id)
    # A launch that was cancelled may have created the data after this request began.
    marked = await request_deletion(context, user.name, session_id)
    task = Renku.instance().reconciler.start(user.name, session_id)
    await asyncio.wait({task}, timeout=STOP_WAIT_SECONDS)
    if task.done():
        await task
        return True
    error = build_stopping_error(user.spawners.get(session_id))
    if isinstance(error, UnavailableError) or marked is None or marked.desired is not DesiredState.DELETED:
        raise error
    return False


async def delete_expired_data(user: HubUser, session_id: str) -> None:
    """Delete expired data of a paused instance that is marked for deletion; never stop a server for it.

    Raises:
        ConflictError: `running`, if the hub knows of a server after all; `stopping`, if it takes too long.
        UnavailableError: `cluster_unavailable`, if the cluster does not answer.
    """
    spawner = user.spawners.get(session_id)
    if get_server_state(spawner) is not ServerState.NONE:
        raise ConflictError("It is in use.", code="running")
    task = Renku.instance().reconciler.start(user.name, session_id)
    await asyncio.wait({task}, timeout=STOP_WAIT_SECONDS)
    if not task.done():
        raise build_stopping_error(spawner)
    await task


class _NullConnection(HTTPConnection):
    """A connection without a peer, for a request that no client has sent."""

    def set_close_callback(self, callback: Callable[[], None]) -> None:
        """Ignore *callback*: this connection is never closed."""


class SystemRequestHandler(BaseHandler):
    """Spawn servers like the hub's own handlers, on behalf of the hub's *user* and without a logged-in request.

    The start queue limits how many servers start at once, not the hub's own limits: see `context.start_queue`.
    A log-in that is due for renewal is treated like that of a program with a token of the user: renewed if that works
    without the user, otherwise used as it is, or, with `Authenticator.auth_refresh_strict`, refused with 403.
    """

    concurrent_spawn_limit = 0
    active_server_limit = 0
    slow_spawn_timeout = 0
    slow_stop_timeout = 0.3  # the reconciler waits for the end of the stop
    current_user = None

    def __init__(self, hub: HubApp, user: HubUser) -> None:
        line, headers = RequestStartLine("POST", "/", "HTTP/1.1"), HTTPHeaders({"Host": "127.0.0.1"})
        request = HTTPServerRequest(start_line=line, headers=headers, connection=_NullConnection())
        super().__init__(hub.tornado_application, request)
        set_token_user(self, user)


class StartRequestHandler(HubRequestHandler, Protocol):
    """A request handler of `web` that starts servers."""

    @property
    def context(self) -> AppContext: ...


_ADMISSION_TIMEOUT_SECONDS = 10.0  # for the admission of a start; the hub's own endpoints wait as long
_HUB_BUSY_RETRY_SECONDS = 30  # `Retry-After` when the start queue is full


async def start_session_server(
    handler: StartRequestHandler, user: HubUser, spec: LaunchSpec, resource_class: str | None = None, *, seen: str = ""
) -> bool:
    """Start or resume a session that `usecases.instances.prepare_launch_spec` has accepted, or queue its start.

    The admission in the spawner compares *seen*, the launch version shown to the user, once more, also for a queued
    start when it is its turn.

    Returns:
        True if the start is in progress (202), False if the session runs already (200).

    Raises:
        LaunchRefusedError: by the admission in the spawner, which decides last, or `limit_servers`;
            `cancelled`, if the session was paused before its start was on record.
        ConflictError: `stopping`, while the session still stops or is deleted.
        UnavailableError: `hub_busy`, if the start queue is full.
    """
    await wait_until_settled(user, spec.session)
    with count_launch_refusals():
        await require_named_server_room(handler, user, spec.session)
    spawner = user.get_or_create_spawner(spec.session, spec.display_name, replace_failed=True)
    if spawner.pending == "stop" or await has_server_exited(spawner):
        await wait_until_stopped(spawner)
        spawner = user.get_or_create_spawner(spec.session, spec.display_name, replace_failed=True)
    if spawner.ready:
        return False
    if spawner.pending in ("check", "stop") or handler.context.start_queue.is_queued(user.name, spec.session):
        return True
    options = {"resource_class": resource_class} if resource_class else {}
    # No await between reading `pending` and this call: a second server process would start.
    await _start_or_enqueue(handler, user, spec, options, seen)
    return True


async def _start_or_enqueue(
    handler: StartRequestHandler, user: HubUser, spec: LaunchSpec, options: dict[str, str], seen: str
) -> None:
    spawner = user.spawners[spec.session]
    if spawner.pending:
        await _await_start(spawner, _wait_until_admitted(spawner))
        return
    spawner.launch_version_seen, spawner.prepared_spec = seen, spec
    try:
        if handler.context.start_queue.can_start_now():
            with handler.context.start_queue.reserve_capacity(user.name, spec.session):
                await _await_start(spawner, _spawn_server(handler, user, spec, options))
        else:
            await _enqueue_start(handler, user, spec, options)
    finally:
        spawner.prepared_spec = None  # also when the hub refused the start before its admission


async def _enqueue_start(
    handler: StartRequestHandler, user: HubUser, spec: LaunchSpec, options: dict[str, str]
) -> None:
    """Check the start and queue it. A start that can be refused now is refused now, not when it is its turn."""
    context = handler.context
    with count_launch_refusals():
        if context.start_queue.is_full:
            raise UnavailableError(
                format_reason_sentence("hub_busy"), retry_after=_HUB_BUSY_RETRY_SECONDS, code="hub_busy"
            )
        seen = user.spawners[spec.session].launch_version_seen
        admitted = await admit_server_start(
            user, spec.session, options, by=handler.current_user, seen=seen, prepared=spec
        )
    await enqueue_start(context, admitted)


async def _spawn_server(handler: StartRequestHandler, user: HubUser, spec: LaunchSpec, options: dict[str, str]) -> None:
    spawner = user.spawners[spec.session]
    spawner.launch_recorded = False
    try:
        await handler.spawn_single_user(user, spec.session, spec.display_name, options=options)
    except RuntimeError as error:
        if "pending" not in str(error):  # else another start of the same server is running, which is awaited below
            raise
    await _wait_until_admitted(spawner)


async def _await_start(spawner: SessionServer, start: Awaitable[None]) -> None:
    """Await *start* and convert its failures, so that all requests that meet one start get the same answer."""
    try:
        await start
    except SpawnException as failure:
        _raise_refusal(failure)
    except HTTPError as error:
        raise _to_hub_busy_error(error) from None
    except asyncio.CancelledError:
        if _is_request_cancelled():
            raise
        if not spawner.launch_recorded:  # a pause has cancelled it
            raise LaunchRefusedError(format_reason_sentence("cancelled"), code="cancelled") from None


async def _wait_until_admitted(spawner: SessionServer) -> None:
    """Wait until the start is admitted, so that a refusal answers this request even on a busy hub.

    `spawn_single_user` returns after `slow_spawn_timeout`, and admission can take longer than that.
    """
    start, end = get_start_future(spawner), monotonic() + _ADMISSION_TIMEOUT_SECONDS
    while start is not None and not (start.done() or spawner.launch_recorded) and monotonic() < end:
        await asyncio.wait({start}, timeout=0.05)
    if start is not None and start.done():
        await start


def _is_request_cancelled() -> bool:
    """Return True if this request itself was cancelled, not only the start that it waits for."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _raise_refusal(failure: SpawnException) -> None:
    """Raise the refusal of a start, if there is one. Other failures are reported by the instance's status."""
    refusal = getattr(failure, "refusal", None)
    if refusal is not None:
        raise refusal from None


def _to_hub_busy_error(error: HTTPError) -> Exception:
    """Convert the hub's own 429: its `concurrent_spawn_limit` and `active_server_limit` apply before Renku's queue."""
    if error.status_code != 429:
        return error
    headers = getattr(error, "headers", None) or {}
    record_launch_refused("hub_busy")
    return UnavailableError(
        format_reason_sentence("hub_busy"), retry_after=int(headers.get("Retry-After", 10)), code="hub_busy"
    )


@asynccontextmanager
async def cancel_hub_start(spawner: SessionServer) -> AsyncIterator[None]:
    """Cancel the hub's own start of a server that has exited, while the block records the exit.

    Otherwise the hub would poll the server for `Spawner.http_timeout` and count a failure of its own, or take the
    exited server for running and the next start for this one.
    """
    start = get_start_future(spawner)
    under_way = start is not None and not start.done()
    if start is not None and under_way:
        start.cancel()
    yield
    if under_way:
        await spawner.user.settings["proxy"].delete_user(spawner.user, spawner.name)
        await spawner.user.stop(spawner.name)
