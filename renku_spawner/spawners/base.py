"""Base class of the session spawners: admission, recording of launches, recovery after a hub restart and error
reporting.

Code that starts or stops a session on its infrastructure belongs in a `SessionBackend`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC
from typing import Any
from urllib.parse import urlsplit

from jupyterhub.spawner import Spawner, SpawnException
from jupyterhub.utils import url_path_join
from tornado.web import HTTPError

from ..config.renku import Renku
from ..context.background_tasks import start_background_task
from ..domain.errors import UnavailableError
from ..domain.ids import is_valid_id
from ..domain.instances import DesiredState, Instance
from ..domain.reasons import format_reason_sentence
from ..domain.sessions import LaunchSpec
from ..hub.adapter import cancel_hub_start, get_server_state, stop_server
from ..hub.admission import admit_server_start
from ..hub.jupyterhub import get_log_name
from ..hub.tokens import TokenRevocationMixin
from ..lifecycle.decide import ServerState
from ..lifecycle.reconciler import is_launch_wanted, reconcile_polled_server, wait_for_launch_or_stop
from ..lifecycle.runs import (
    load_instance,
    record_data_deleted,
    record_failure,
    record_new_url,
    record_ready,
    record_stopped,
    request_start,
    request_stop,
)
from ..usecases.idle import record_activity
from .backend import SessionBackend
from .errors import LaunchFailed, SessionSpawnError, build_start_timeout_failure, raise_refusals_as_spawn_errors
from .readiness import is_server_responding

_STATE_RETRY_SECONDS = 1.0


class SessionSpawner(TokenRevocationMixin, SessionBackend, Spawner):
    """Start and stop sessions; a subclass implements `SessionBackend` for its infrastructure.

    The server's name is the session's id. Everything else is computed from the database and the
    settings at each start. `spec` is None for a plain server, where those are allowed.
    """

    outlives_hub = False  # True if sessions keep running when the hub stops or crashes
    spec: LaunchSpec | None = None
    launch_recorded: bool = False  # True once the current launch is recorded; it is no longer refused after that
    launch_version_seen: str = ""  # launch version that the user saw before the next start
    prepared_spec: LaunchSpec | None = None  # of the request that makes the next start
    reachable: bool = True  # False while the infrastructure does not respond
    user_options: dict[str, Any]
    api_token: str

    # Admission

    @property
    def renku(self) -> Renku:
        return Renku.instance()

    @property
    def is_plain_server(self) -> bool:
        """True for an ordinary named server that is not a session, also one created before Renku was installed."""
        return self.spec is None and not is_valid_id(self.name)

    async def apply_group_overrides(self) -> None:
        """Admit or refuse the launch.

        JupyterHub calls this hook first in every start, from any page or API, so no start can bypass the check.
        """
        if not (self.is_plain_server and self.renku.allow_plain_servers):
            options, self.user_options = self.user_options, {}
            try:
                self.spec = await self._admit_launch(options)
            # Discard the request's options. SQLite stays locked until the hub commits, so write now.
            finally:
                if self.orm_spawner.user_options:
                    self.orm_spawner.user_options = {}
        await super().apply_group_overrides()

    async def _admit_launch(self, options: Mapping[str, Any]) -> LaunchSpec:
        seen, self.launch_version_seen = self.launch_version_seen, ""  # valid for this start only
        prepared, self.prepared_spec = self.prepared_spec, None
        with raise_refusals_as_spawn_errors():
            by = getattr(self.handler, "current_user", None)
            return await admit_server_start(self.user, self.name, options, by=by, seen=seen, prepared=prepared)

    async def rename(self, old_name: str, new_name: str) -> None:
        """Refuse: the server's name is the session's id."""
        raise HTTPError(400, "A session's server cannot be renamed.")

    # Start

    def start(self) -> Any:
        """Start the launch.

        Set JupyterHub's `start_timeout` above the maximum, because our own deadline is extended by progress.
        """
        if self.is_plain_server:
            return super().start()
        self.start_timeout = self.renku.start_timeout_max + 60
        return asyncio.ensure_future(self._start_launch())

    async def _start_launch(self) -> str:
        assert self.spec is not None
        with raise_refusals_as_spawn_errors():
            instance = await request_start(self.renku.context, self.spec)
        self.launch_recorded = True
        return await self._complete_launch(self.spec, instance)

    async def _complete_launch(self, spec: LaunchSpec, instance: Instance) -> str:
        """Run the launch until the session is ready; on failure record reason and log, and stop what was started."""
        try:
            async with asyncio.timeout(self.renku.start_timeout_max):
                url = await self.start_session(spec, instance)
            if await record_ready(self.renku.context, instance, url) is None:
                raise LaunchFailed("cancelled")
            return url
        except LaunchFailed as failure:
            return await self._abort_launch(instance, failure)
        except TimeoutError:
            timeout_failure = build_start_timeout_failure(
                await self.load_instance(), limit=self.renku.start_timeout_max, image=spec.image
            )
            return await self._abort_launch(instance, timeout_failure)
        except Exception:
            self.log.exception("Start of %s failed unexpectedly", get_log_name(self))
            return await self._abort_launch(instance, LaunchFailed("start_error"))

    async def _abort_launch(self, instance: Instance, failure: LaunchFailed) -> str:
        failure = self.refine_failure(failure, log := await self.read_log_tail(instance))
        await self.stop_session(instance, now=True)
        await self._record_failure(failure, log)
        raise SessionSpawnError(format_reason_sentence(failure.reason, **failure.values), reason=failure.reason)

    async def _record_failure(self, failure: LaunchFailed, log: str) -> None:
        key, storages = (self.renku.context, self.user.name, self.name), failure.failed_storages
        await record_failure(*key, reason=failure.reason, log=log, values=failure.values, storages=storages)

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the launch stages for JupyterHub's own pending page."""
        with self.renku.context.event_bus.subscribe(self.user.name) as news:
            while True:
                instance = await self.load_instance()
                if instance is None or instance.stage is None:
                    return
                yield {"progress": 50, "message": instance.stage}
                await news.wait_for_changes(timeout=8)

    # State

    async def load_instance(self) -> Instance | None:
        return await load_instance(self.renku.context, self.user.name, self.name)

    @property
    def server_state(self) -> ServerState:
        """The state of JupyterHub's server."""
        return get_server_state(self)

    async def poll(self) -> int | None:
        """Return None while the session runs, otherwise its exit status.

        During JupyterHub's check after a restart, wait until the state is known.
        """
        if self.is_plain_server:
            return await super().poll()
        while True:
            try:
                return await reconcile_polled_server(self.renku.context, self, (self.user.name, self.name))
            except UnavailableError:
                if self.server_state is not ServerState.CHECKING:
                    return None  # an unknown state must not stop a user's session
                # Returning None here would make JupyterHub probe a server that is still starting, and stop it.
                await asyncio.sleep(_STATE_RETRY_SECONDS)

    async def record_activity(self, instance: Instance) -> None:
        """Record the last activity that the server or the proxy reported to the hub."""
        if last_activity := self.orm_spawner.last_activity:
            await record_activity(self.renku.context, instance, last_activity.replace(tzinfo=UTC))

    async def record_end(self, instance: Instance, exit_code: int) -> None:
        """Record why the session ended by itself, then clean up."""
        async with cancel_hub_start(self):
            log = await self.read_log_tail(instance)
            await self._record_failure(self.explain_exit(instance, exit_code, log), log)
            self.clean_up_ended_session(instance)

    async def is_responding(self) -> bool:
        """Return True if the session's program responds over HTTP.

        JupyterHub probes the address itself for `http_timeout` seconds after its check. A pod on a node that has just
        rebooted responds some seconds later at another address, and a busy program may need a minute.
        """
        address = url_path_join(await self.get_url(), self.server.base_url, "api")
        return await is_server_responding(address, self.renku.context.server_requests)

    async def resume_launch(self, instance: Instance) -> bool:
        """Run the remaining steps of a launch that a hub restart interrupted; return True if it is ready then.

        Return False if it failed, or if its owner stops it meanwhile.

        Raises:
            CancelledError: the hub ends; the next hub resumes the launch.
        """
        try:
            self.spec = await self._readmit_launch(instance)
            if self.spec is None:
                return False
            launch = asyncio.ensure_future(self._complete_launch(self.spec, instance))
            return await wait_for_launch_or_stop(self.renku.context, instance, launch) is not None
        except SpawnException:
            return False

    async def _readmit_launch(self, instance: Instance) -> LaunchSpec | None:
        """Return the launch spec of an interrupted launch, or None if the launch is stopped first.

        Raises SessionSpawnError if the launch is refused; the reason is recorded for its owner.
        """
        while await is_launch_wanted(self.renku.context, instance):
            try:
                return await self._admit_launch({"resource_class": instance.resource_class})
            except SessionSpawnError as refused:
                refusal = refused.refusal
                if not isinstance(refusal, UnavailableError):
                    await self.stop_session(instance, now=True)
                    await record_failure(
                        self.renku.context, self.user.name, self.name, reason=refused.code,
                        message=refusal.message if refusal else None,
                    )  # fmt: skip
                    raise
                await asyncio.sleep(max(_STATE_RETRY_SECONDS, min(refusal.retry_after, 30)))
        return None

    async def update_address(self, instance: Instance, url: str) -> None:
        """Record a new session URL, and update JupyterHub's server and the proxy route."""
        if await record_new_url(self.renku.context, instance, url) is None or self.server is None:
            return
        address = urlsplit(url)
        self.log.warning("Address of %s changed to %s", get_log_name(self), address.netloc)
        self.server.ip, self.server.port = address.hostname, address.port
        self.user.db.commit()
        if self.ready:  # otherwise JupyterHub adds the route when it has finished the start
            start_background_task(self._update_route(url), f"Updating the route to {get_log_name(self)}")

    async def _update_route(self, url: str) -> None:
        """Update the proxy route to *url*, retrying until the proxy accepts it or the address changes again."""
        while self.ready and self.server is not None and self.server.ip == urlsplit(url).hostname:
            try:
                await self.user.settings["proxy"].add_user(self.user, self.name)
                return
            except Exception as error:
                self.log.warning("Failed to update the route to %s, retrying: %s", get_log_name(self), error)
                await asyncio.sleep(_STATE_RETRY_SECONDS)

    async def get_url(self) -> str:
        """Return the session's URL from the instance record; never raises."""
        try:
            instance = await self.load_instance()
        except UnavailableError:
            instance = None
        return (instance and instance.url) or (self.server.url if self.server else "")

    # Stop and delete

    async def stop(self, now: bool = False) -> None:
        """Pause the session: stop what runs and keep the volume."""
        if self.is_plain_server:
            await super().stop(now)
            return
        context, name = self.renku.context, self.user.name
        instance = await request_stop(context, name, self.name, ended_reason="stopped_by_hub")
        if instance is not None:
            log = await self.read_log_tail(instance)
            await self.stop_session(instance, now=now)
            await record_stopped(context, name, self.name, log=log)

    async def stop_server(self) -> None:
        """Ask JupyterHub to stop its server, and cancel a start of it."""
        await stop_server(self)

    def remove_server(self) -> None:
        """Remove JupyterHub's row of this server, which does not run."""
        self.user.db.delete(self.orm_spawner)
        self.user.spawners.pop(self.name, None)
        self.user.db.commit()

    async def delete_forever(self) -> None:
        """Delete the volume if its owner has confirmed the deletion.

        JupyterHub also calls this when a server row is removed, which must not delete data.
        """
        instance = None if self.is_plain_server else await self.load_instance()
        if instance is None or instance.desired is not DesiredState.DELETED:
            return
        await self.stop_session(instance, now=True)
        await self.delete_volume(instance)
        await record_data_deleted(self.renku.context, self.user.name, self.name)
