"""Bring an instance's row, its pod or process, and JupyterHub's server together, one step at a time.

`lifecycle.decide` has the table of steps. Two callers ask for them: JupyterHub's poll of a server that it knows
(`reconcile_polled_server`), and `Reconciler`, for requests, for the start of the hub and for what polls do not see.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ..context.app_context import AppContext, read_transaction
from ..domain.errors import UnavailableError
from ..domain.instances import DesiredState, Instance
from .decide import ActualState, RecordedState, ServerState, Step, decide, get_recorded_state
from .runs import (
    iter_active_instances,
    load_instance,
    record_data_deleted,
    record_failure,
    record_observation,
    record_stopped,
    request_stop,
)

_POLL_RETRY_SECONDS, _LATE_POLL_RETRY_SECONDS = 1.0, 5.0  # while JupyterHub checks a server after a restart
_LATE_POLL_TRIES = 60
_MIN_RETRY_SECONDS, _MAX_RETRY_SECONDS = 0.05, 0.2  # between two steps of one instance, while JupyterHub stops it
_PAUSE_SECONDS = 0.02  # between two instances, so that requests are answered meanwhile
_STEP_TIMEOUT_SECONDS = 30.0  # for one instance, before the job goes on to the next
_WANTED_STATES = (RecordedState.QUEUED, RecordedState.LAUNCHING, RecordedState.RUNNING)
_INACTIVE_STATES = (RecordedState.NONE, RecordedState.AT_REST, RecordedState.DELETED, RecordedState.QUEUED)
log = logging.getLogger("renku_spawner")

InstanceKey = tuple[str, str]  # user name and session


@dataclass(frozen=True, kw_only=True)
class Observation:
    """The pod or process as the spawner sees it now.

    `url` is its address, None if that is not known. `notices` are those that apply to the run now, None if they did
    not change.
    """

    actual: ActualState
    exit_code: int = 0
    url: str | None = None
    notices: tuple[Mapping[str, str], ...] | None = None


class SessionControl(Protocol):
    """A session's server: JupyterHub's half, and the pod or process that it stands for.

    `spawners.base.SessionSpawner` implements it.
    """

    @property
    def server_state(self) -> ServerState:
        """The state of JupyterHub's half."""

    async def observe_session(self, instance: Instance) -> Observation:
        """Look at the pod or process, and write nothing."""

    async def restore_api_token(self, instance: Instance) -> None:
        """Restore the session's API token after a restart of the hub."""

    async def is_responding(self) -> bool:
        """Return True if the session's program responds over HTTP."""

    async def resume_launch(self, instance: Instance) -> bool:
        """Run the remaining steps of a launch; return True if the session is ready then."""

    async def update_address(self, instance: Instance, url: str) -> None:
        """Record a new address, and move the route."""

    async def record_activity(self, instance: Instance) -> None:
        """Record the last activity that JupyterHub knows of."""

    async def record_end(self, instance: Instance, exit_code: int) -> None:
        """Record why the session ended by itself, and clean up."""

    async def read_log_tail(self, instance: Instance) -> str:
        """Return the end of the session's log, redacted."""

    async def stop_session(self, instance: Instance, *, now: bool = False) -> None:
        """Stop the pod or process; keep its volume."""

    def clean_up_ended_session(self, instance: Instance) -> None:
        """Clean up after a session that has ended."""

    async def delete_volume(self, instance: Instance) -> None:
        """Delete the volume. Raises UnavailableError."""

    async def stop_server(self) -> None:
        """Ask JupyterHub to stop its server, and cancel a start of it."""

    def remove_server(self) -> None:
        """Remove JupyterHub's row of a server that does not run."""

    def revoke_session_tokens(self) -> None:
        """Revoke all API tokens of the session's server."""


async def reconcile_polled_server(context: AppContext, server: SessionControl, key: InstanceKey) -> int | None:
    """Answer JupyterHub's poll of a server: None while it runs, otherwise its exit status.

    After a restart of the hub, wait until the state is known: JupyterHub probes a server that is said to run for some
    seconds, and stops it if it does not respond.

    Raises:
        UnavailableError: the database is busy.
        CancelledError: the hub ends. With any status it would stop what the next hub goes on with.
    """
    tries = 0
    while True:
        instance = await load_instance(context, *key)
        recorded = get_recorded_state(instance)
        if instance is None or recorded in _INACTIVE_STATES:
            return 0
        is_checking = server.server_state is ServerState.CHECKING
        if is_checking and tries == 0:
            await server.restore_api_token(instance)
        seen = await server.observe_session(instance)
        step = decide(recorded, seen.actual, server.server_state)
        await _record_observed(context, server, instance, seen, step)
        if step is Step.RESUME_LAUNCH:
            return None if await server.resume_launch(instance) else 0
        if seen.actual is ActualState.ENDED:
            return seen.exit_code
        if not is_checking or (step is Step.CONFIRM_RUNNING and await server.is_responding()):
            return None
        if step is Step.STOP_SERVER:
            return 0
        tries += 1
        await asyncio.sleep(_POLL_RETRY_SECONDS if tries < _LATE_POLL_TRIES else _LATE_POLL_RETRY_SECONDS)


async def _record_observed(
    context: AppContext, server: SessionControl, instance: Instance, seen: Observation, step: Step
) -> None:
    """Perform those steps that only record what was seen."""
    match step:
        case Step.RECORD_SEEN | Step.CONFIRM_RUNNING:
            if seen.url is not None and seen.url != instance.url:
                await server.update_address(instance, seen.url)
            await record_observation(context, instance, seen=True, notices=seen.notices)
            await server.record_activity(instance)
        case Step.RECORD_UNKNOWN:
            await record_observation(context, instance, seen=False)
        case Step.RECORD_END:
            await server.record_end(instance, seen.exit_code)
        case Step.RECORD_STOPPED:
            await request_stop(context, instance.username, instance.session, ended_reason="stopped_by_user")
            await record_stopped(context, instance.username, instance.session)
            server.clean_up_ended_session(instance)


async def wait_for_launch_or_stop(context: AppContext, instance: Instance, launch: asyncio.Future[str]) -> str | None:
    """Return the URL that *launch* ends with, or None once its owner wants the session stopped, which cancels it.

    Raises:
        CancelledError: the hub ends. That says nothing about the session, which goes on with the next hub.
    """
    try:
        with context.event_bus.subscribe(instance.username) as news:
            while not launch.done():
                waiting = asyncio.ensure_future(news.wait_for_changes(timeout=1))
                both: set[asyncio.Future[Any]] = {launch, waiting}
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                if not launch.done() and not await is_launch_wanted(context, instance):
                    launch.cancel()
                    await asyncio.wait({launch}, timeout=5)
                    return None
        return await launch
    finally:
        launch.cancel()


async def is_launch_wanted(context: AppContext, instance: Instance) -> bool:
    """Return whether this very run shall go on; as long as the database is too busy to say, it shall."""
    try:
        now = await load_instance(context, instance.username, instance.session)
    except UnavailableError:
        return True
    return now is not None and now.desired is DesiredState.RUNNING and now.run == instance.run


class ServerDirectory(Protocol):
    """The hub's servers of sessions; `hub.adapter` implements it."""

    def has_user(self, username: str) -> bool:
        """Return True if the hub has that user."""

    def get_state(self, username: str, session_id: str) -> ServerState:
        """Return the state of the hub's server, NONE if the hub knows no such server."""

    def list_states(self) -> Mapping[InstanceKey, ServerState]:
        """Return the states of all servers that the hub knows, without a query for each."""

    def get_or_create_server(self, username: str, session_id: str) -> SessionControl:
        """Return the server, created in the hub if needed."""


class Reconciler:
    """Take the steps of instances that JupyterHub does not poll, or that shall stop or lose their data."""

    def __init__(self, context: AppContext, servers: ServerDirectory) -> None:
        self._context, self._servers = context, servers
        self.tasks: dict[InstanceKey, asyncio.Task[None]] = {}  # while they run

    def start(self, username: str, session_id: str, *, is_overlooked: bool = False) -> asyncio.Task[None]:
        """Stop the session, and delete its data, as far as its row says so; concurrent callers share one task.

        With *is_overlooked*, also fail a session that is to run and that the hub does not know.
        The task waits without limit for a cluster that does not respond, so a request must not wait for its end.
        """
        key = (username, session_id)
        if key not in self.tasks or self.tasks[key].done():
            self.tasks[key] = task = asyncio.ensure_future(self._run_until_settled(key, is_overlooked))
            task.add_done_callback(lambda done: self._finish_task(key, done))
        return self.tasks[key]

    def _finish_task(self, key: InstanceKey, task: asyncio.Task[None]) -> None:
        if self.tasks.get(key) is task:
            del self.tasks[key]
        if not task.cancelled() and (error := task.exception()):  # the request that started it may be gone by now
            log.warning("Failed to reconcile %s:%s, retrying later: %s", *key, error)

    async def _run_until_settled(self, key: InstanceKey, is_overlooked: bool) -> None:
        pause = _MIN_RETRY_SECONDS
        while await self.reconcile(*key, is_overlooked=is_overlooked) is not Step.NOTHING:
            await asyncio.sleep(pause)
            pause = min(2 * pause, _MAX_RETRY_SECONDS)

    async def reconcile(self, username: str, session_id: str, *, is_overlooked: bool = False) -> Step:
        """Take one step of an instance, and return it.

        It is NOTHING for a session that is to run, unless it *is_overlooked* and the hub does not know it: JupyterHub's
        poll looks after the others.

        Raises:
            UnavailableError: the cluster or the database does not respond.
        """
        instance = await load_instance(self._context, username, session_id)
        if instance is None:
            return Step.NOTHING
        if not self._servers.has_user(username):  # operators find what is left
            await record_failure(self._context, username, session_id, reason="lost")
            return Step.NOTHING
        recorded, state = get_recorded_state(instance), self._servers.get_state(username, session_id)
        is_ending = recorded in (RecordedState.STOPPING, RecordedState.DELETED)
        if recorded in _WANTED_STATES and not (is_overlooked and state is ServerState.NONE):
            return Step.NOTHING
        step = decide(recorded, ActualState.UNKNOWN, state)
        if step is Step.WAIT:
            return Step.WAIT if is_ending else Step.NOTHING
        if step is not Step.NOTHING:
            await self._perform(step, self._servers.get_or_create_server(username, session_id), instance)
        return step

    async def _perform(self, step: Step, server: SessionControl, instance: Instance) -> None:
        context, key = self._context, (instance.username, instance.session)
        if step is Step.STOP_SERVER:
            await server.stop_server()
            return
        log_tail = await server.read_log_tail(instance) if step is Step.STOP_SESSION else ""
        await server.stop_session(instance, now=True)
        if step is Step.STOP_SESSION:
            await record_stopped(context, *key, log=log_tail)
        elif step is Step.FAIL_LOST:
            await record_failure(context, *key, reason="lost")
        else:
            await server.delete_volume(instance)
            await record_data_deleted(context, *key)
        if server.server_state is ServerState.NONE:
            server.revoke_session_tokens()
            if step is Step.DELETE_DATA:
                server.remove_server()

    async def reconcile_deletions(self) -> None:
        """Reconcile all instances whose data shall be deleted."""
        for instance in await read_transaction(self._context, lambda tx: tx.instances.list_pending_deletion()):
            await self._reconcile_within(instance)

    async def reconcile_overlooked(self) -> None:
        """Reconcile all active instances that the hub neither polls nor stops.

        There can be many if the hub's database was lost, so requests are served between two of them.
        """
        states = self._servers.list_states()  # `reconcile` reads the state of the few that are left once more
        async for page in iter_active_instances(self._context):
            for instance in page:
                state = states.get((instance.username, instance.session), ServerState.NONE)
                if _is_overlooked(instance, state):
                    await self._reconcile_within(instance, is_overlooked=True)
                    await asyncio.sleep(_PAUSE_SECONDS)
            await asyncio.sleep(0)

    async def _reconcile_within(self, instance: Instance, *, is_overlooked: bool = False) -> None:
        """Reconcile one instance, and go on after a while if the cluster does not respond."""
        task = self.start(instance.username, instance.session, is_overlooked=is_overlooked)
        await asyncio.wait({task}, timeout=_STEP_TIMEOUT_SECONDS)


def _is_overlooked(instance: Instance, state: ServerState) -> bool:
    """Return True if the hub neither polls the instance nor stops it at this moment."""
    if state is ServerState.READY:
        return instance.desired is not DesiredState.RUNNING
    return state is ServerState.NONE and instance.turn is None
