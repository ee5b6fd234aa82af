"""Start Renku with the hub: build the application context, start jobs, repair routes and settle lost instances."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any

import jupyterhub
from aiohttp import ClientError, ClientSession, ClientTimeout
from jinja2 import Environment
from jinja2.ext import Extension
from jupyterhub.app import JupyterHub
from jupyterhub.proxy import ConfigurableHTTPProxy
from jupyterhub.utils import url_path_join
from tornado.log import access_log, app_log, gen_log
from traitlets import TraitError

from .. import __version__
from ..config.mounted import watch_mounted_config
from ..config.renku import Renku
from ..context.app_context import AppContext
from ..domain.instances import Instance
from ..jobs.access import run_access_check_job
from ..jobs.dependency_health import update_dependency_metrics, watch_cluster_certificate
from ..jobs.expiry import ExpiryHubAdapter, ExpiryJob
from ..jobs.housekeeping import run_housekeeping_job
from ..jobs.idle import run_idle_and_expiry_job
from ..jobs.prepull import run_cluster_prepull_job
from ..jobs.start_queue import build_start_capacity, run_start_queue_job
from ..lifecycle.runs import iter_active_instances, record_failure
from ..observability.metrics import (
    BUILD_INFO,
    START_QUEUE_LENGTH,
    record_task_failure,
    record_task_success,
    register_scrape_callback,
)
from ..persistence.migrate import SchemaOutOfDate
from ..spawners.kubernetes.spawner import RenkuSpawner, create_detached_spawner
from ..spawners.local.process import find_process_by_pid_file, read_pid_file, stop_process
from ..usecases.audit import flush_repeated_audit_events
from ..usecases.environments import apply_configured_environments
from ..usecases.images import close_registry_checks, resolve_managed_environment_tags
from ..usecases.instances import list_instances_pending_deletion
from .adapter import IdleJobAdapter
from .admission import list_hub_handlers
from .configuration_checks import check_hub_configuration
from .jupyterhub import (
    HubApp,
    SessionServer,
    create_http_session,
    from_proxy_path,
    get_start_signal,
    restore_proxy_routes,
    to_proxy_path,
)
from .proxy import start_recording_proxy_activity

log = logging.getLogger("renku_spawner")
_SETTLE_PAUSE_SECONDS = 0.02  # between two instances, so that requests are answered meanwhile
_SERVER_CHECK_POLL_SECONDS = 1.0
_ROUTE_CHECK_INTERVAL_SECONDS = 2.0  # not shorter: the proxy logs each request
_STARTUP_RETRY_SECONDS, _MAX_STARTUP_TRIES = 30.0, 3


async def run_startup_jobs(hub: HubApp, renku: Renku) -> None:
    """Apply configured environments, settle lost instances, start jobs, then run housekeeping until the hub stops."""
    try:
        await _run_with_retries(
            "environments",
            "configure environments",
            partial(apply_configured_environments, renku.context, renku.configured),
        )
        await get_start_signal(hub)
        # Handlers added to the application take precedence over the hub's own.
        hub.tornado_application.add_handlers(".*", hub.add_url_prefix(hub.hub_prefix, list_hub_handlers()))
        renku.tasks.append(asyncio.ensure_future(_run_route_check_job(hub)))
        renku.tasks.append(asyncio.ensure_future(_run_activity_jobs(hub, renku)))
        await _run_with_retries(
            "images", "resolve image tags", partial(resolve_managed_environment_tags, renku.context)
        )
        for task, what, work in _STARTUP_TASKS:
            renku.tasks.append(asyncio.ensure_future(_run_with_retries(task, what, partial(work, hub, renku))))
        if renku.context.gitlab is not None:
            renku.tasks.append(asyncio.ensure_future(run_access_check_job(hub, renku.context, renku.access_check)))
        await run_housekeeping_job(renku.context, timedelta(days=renku.launches_kept_days))
    finally:  # also when the hub did not start
        await asyncio.shield(_close_context(renku.context))


async def _run_activity_jobs(hub: HubApp, renku: Renku) -> None:
    """Record activity of the proxy and run the idle and expiry jobs."""
    start_recording_proxy_activity(hub, renku)
    expiring = ExpiryJob(renku.context, ExpiryHubAdapter(hub, renku.context))
    try:
        await run_idle_and_expiry_job(renku.context, IdleJobAdapter(hub, renku), renku.rounds_interval, expiring)
    finally:
        expiring.stop()


async def _run_with_retries(task: str, what: str, work: Callable[[], Awaitable[None]]) -> None:
    """Run one startup task with up to `_MAX_STARTUP_TRIES` attempts; log failures, so that other tasks still run."""
    for tries in range(1, _MAX_STARTUP_TRIES + 1):
        try:
            await work()
        except Exception:
            record_task_failure(task)
            log.exception("Startup task %s failed (attempt %d of %d)", what, tries, _MAX_STARTUP_TRIES)
        else:
            record_task_success(task)
            return
        if tries < _MAX_STARTUP_TRIES:
            await asyncio.sleep(_STARTUP_RETRY_SECONDS)


async def _close_context(context: AppContext) -> None:
    """Close all clients of *context* one after the other, even if one of them fails."""
    opened = [
        context.session_file_offers,
        context.source,
        *context.notification_channels,
        context.gitlab_ci,
        context.git,
    ]
    closes: list[Callable[[], Awaitable[None]]] = [
        partial(flush_repeated_audit_events, context),
        partial(close_registry_checks, context),
    ]
    closes += [each.close for each in opened if each is not None]
    for close in closes:
        try:
            await close()
        except Exception:
            log.exception("Failed to close %s", close)
    if context.gitlab is not None:
        context.gitlab.close()


async def _run_route_check_job(hub: HubApp) -> None:
    """Add missing routes to the proxy within seconds.

    After a restart JupyterHub adds routes only when all servers are checked, and one that is still starting can take
    long, so this job adds routes of servers that are found running before that. A proxy that was replaced has lost all
    routes, which JupyterHub notices only every `last_activity_interval` seconds.
    """
    checking = _count_checking_servers(hub)
    # A session of its own, with the certificates of JupyterHub's client: that client is closed before this job ends.
    async with create_http_session() as client:
        sentinel = _ProxyRouteProbe(hub, client)
        while checking or sentinel.is_needed:
            await asyncio.sleep(_SERVER_CHECK_POLL_SECONDS if checking else _ROUTE_CHECK_INTERVAL_SECONDS)
            left = checking and _count_checking_servers(hub)
            try:
                if left != checking or await sentinel.is_route_missing():
                    await restore_proxy_routes(hub)
                record_task_success("routes")
            except Exception as error:
                record_task_failure("routes")
                log.warning("Failed to check routes of the proxy: %s: %s", type(error).__name__, error)
            checking = left


class _ProxyRouteProbe:
    """Cheap check whether the proxy has lost its routes: query a single route.

    It is needed only for a configurable-http-proxy that the hub does not start: JupyterHub itself watches one that it
    has started, and other proxies store their routes elsewhere.
    """

    def __init__(self, hub: HubApp, client: ClientSession) -> None:
        self._hub, self._client = hub, client
        self._spawner: SessionServer | None = None

    @property
    def is_needed(self) -> bool:
        proxy = self._hub.proxy
        return isinstance(proxy, ConfigurableHTTPProxy) and not proxy.should_start

    async def is_route_missing(self) -> bool:
        """Query the proxy. Return False also if it does not answer, since routes cannot be added then."""
        if not self.is_needed:
            return False
        spawner = self._find_ready_spawner()
        path = to_proxy_path(self._hub.proxy, spawner.proxy_spec) if spawner else ""
        try:
            status, body = await self._fetch_route(path)
        except (ClientError, OSError, TimeoutError, ValueError):
            return False
        if spawner is None:  # the query was for all routes: the hub's own and those of services
            proxy = self._hub.proxy
            routes = {from_proxy_path(proxy, path) for path, route in body.items() if "jupyterhub" in route}
            return status == 200 and self._hub.hub.routespec not in routes
        ready = spawner.ready and spawner.server is not None
        return ready and (status == 404 or (status == 200 and body.get("target") != spawner.server.host))

    async def _fetch_route(self, path: str) -> tuple[int, Mapping[str, Any]]:
        proxy = self._hub.proxy
        url, headers = url_path_join(proxy.api_url, "api/routes", path), {"Authorization": f"token {proxy.auth_token}"}
        async with self._client.get(
            url, headers=headers, timeout=ClientTimeout(total=_ROUTE_CHECK_INTERVAL_SECONDS)
        ) as answer:
            return answer.status, json.loads(await answer.read()) if answer.status == 200 else {}

    def _find_ready_spawner(self) -> SessionServer | None:
        """Return a spawner that has a route, always the same one as long as it is ready."""
        if self._spawner is None or not self._spawner.ready:
            spawners = (spawner for user in self._hub.users.values() for spawner in user.spawners.values())
            self._spawner = next((spawner for spawner in spawners if spawner.ready), None)
        return self._spawner


def _count_checking_servers(hub: HubApp) -> int:
    return sum(s.pending == "check" for user in hub.users.values() for s in user.spawners.values())


async def _settle_forgotten_instances(hub: HubApp, renku: Renku) -> None:
    """Mark instances as failed that are active on record but unknown to the hub, and stop what is left of them.

    There can be many if the hub's database was lost, so requests are served between two of them.
    """
    while not await _try_settle_all(hub, renku):
        await asyncio.sleep(_STARTUP_RETRY_SECONDS)


async def _try_settle_all(hub: HubApp, renku: Renku) -> bool:
    settled = True
    async for page in iter_active_instances(renku.context):
        active = {(user.name, name) for user in hub.users.values() for name, s in user.spawners.items() if s.active}
        for instance in page:
            if instance.turn is None and (instance.username, instance.session) not in active:
                settled = await _try_settle(hub, renku, instance) and settled
                await asyncio.sleep(_SETTLE_PAUSE_SECONDS)
        await asyncio.sleep(0)
    return settled


async def _try_settle(hub: HubApp, renku: Renku, instance: Instance) -> bool:
    try:
        await _settle_forgotten_instance(hub, renku, instance)
    except Exception as error:
        log.warning("Failed to settle lost instance %s:%s: %s", instance.username, instance.session, error)
        return False
    return True


async def _settle_forgotten_instance(hub: HubApp, renku: Renku, instance: Instance) -> None:
    user = hub.users.get(instance.username)
    spawner = user.spawners.get(instance.session) if user else None
    if spawner is not None and spawner.active:  # the user has started it meanwhile
        return
    if user is not None:
        spawner = user.spawners[instance.session]
        await spawner.stop_session(instance, now=True)
        spawner.revoke_session_tokens()
    await record_failure(renku.context, instance.username, instance.session, reason="lost")


async def _finish_pending_deletions(hub: HubApp, renku: Renku) -> None:
    """Finish confirmed deletions that the hub's exit has interrupted; retry until all succeed."""
    pending = await list_instances_pending_deletion(renku.context)
    while pending:
        pending = [instance for instance in pending if not await _try_delete_data(hub, instance)]
        if pending:
            await asyncio.sleep(_STARTUP_RETRY_SECONDS)


async def _try_delete_data(hub: HubApp, instance: Instance) -> bool:
    user = hub.users.get(instance.username)
    if user is None:
        return True
    try:
        spawner = user.spawners[instance.session]
        await spawner.delete_forever()
        spawner.revoke_session_tokens()
    except Exception as error:
        log.warning("Failed to delete data of %s:%s: %s", instance.username, instance.session, error)
        return False
    return True


_STARTUP_TASKS = (
    ("deletions", "finish deletions", _finish_pending_deletions),
    ("lost", "settle lost instances", _settle_forgotten_instances),
    ("prepulling", "pre-pull images", run_cluster_prepull_job),
)


async def stop_stale_proxy(hub: HubApp) -> None:
    """Stop the process named in the pid file of the hub's proxy, if it is a proxy, and remove the file.

    Does nothing for a proxy of another class or one that the hub does not start.
    """
    proxy: Any = getattr(hub, "proxy", None)
    file = Path(getattr(proxy, "pid_file", "") or os.devnull)
    process = find_process_by_pid_file(file, proxy.command) if getattr(proxy, "should_start", False) else None
    if process is None:
        return
    await stop_process(process)
    if read_pid_file(file) == process.pid:  # not the file of a newer proxy
        with suppress(OSError):
            file.unlink()


# `_xsrf=…` and `token=…` in URLs, also in URLs that are quoted inside another one (%3D, %253D), and in arguments that
# Tornado logs; `code` and `state` of a log-in only as query parameters.
_TOKEN_VALUE_PATTERN = re.compile(
    r"(?i)((?:_xsrf|token|[?&](?:code|state))(?:=|%3D|%253D))(?:[^&\s\"'<>(),;%]|%(?!26|2526)){1,4096}"
)


def filter_tokens(record: logging.LogRecord) -> bool:
    """Hide token values in a log record: Tornado logs the whole URL of a refused request."""
    try:
        message = record.getMessage()
    except (TypeError, ValueError):  # the arguments do not fit the message, which `logging` itself reports
        return True
    if (hidden := _TOKEN_VALUE_PATTERN.sub(r"\1[hidden]", message)) != message:
        record.msg, record.args = hidden, ()
    return True


def add_token_log_filter(hub: HubApp) -> None:
    """Add `filter_tokens` to the loggers of the hub and of Tornado, and to the hub's log handlers."""
    for place in (access_log, app_log, gen_log, hub.log, *hub.log.handlers):
        place.addFilter(filter_tokens)


def start_observability(hub: HubApp, renku: Renku) -> asyncio.Task[None]:
    """Filter tokens from logs, set up metrics, and return the task that checks the database.

    Metrics replace those of an earlier hub in the same process.
    """
    context = renku.context
    add_token_log_filter(hub)
    BUILD_INFO.clear()
    where = "local" if context.policy.local else "kubernetes"
    BUILD_INFO.labels(__version__, jupyterhub.__version__, where).set(1)
    register_scrape_callback("neighbours", lambda: update_dependency_metrics(renku.context, hub.spawner_class))
    return asyncio.ensure_future(context.database_health.run_check_job(context.db, context.now))


class Startup(Extension):
    """Jinja extension that starts Renku when the hub creates its template environments.

    The hub creates two of them; the second call of `start_renku` does nothing.
    """

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        if JupyterHub.initialized():
            _start_or_exit(JupyterHub.instance())


def _start_or_exit(hub: HubApp) -> None:
    """Start Renku, or exit with the error message alone: a traceback would hide it."""
    try:
        start_renku(hub)
    except (SchemaOutOfDate, TraitError, OSError, ValueError) as problem:
        hub.log.critical("Renku cannot start: %s", problem)
        hub.exit(1)


def start_renku(hub: HubApp) -> None:
    """Build the application context, check the settings against the hub's, and start all jobs.

    Raises:
        SettingError, SchemaOutOfDate, TraitError: the hub cannot start; the message says what to do.
    """
    if Renku.initialized():
        if Renku.instance().parent is hub:
            return
        Renku.clear_instance()
    renku = Renku.instance(parent=hub)
    check_hub_configuration(hub, renku)
    renku.tasks = [asyncio.ensure_future(stop_stale_proxy(hub)), asyncio.ensure_future(run_startup_jobs(hub, renku))]
    register_scrape_callback("line", lambda: START_QUEUE_LENGTH.set(renku.context.start_queue.length))
    renku.context.start_queue.room = build_start_capacity(hub, renku.queue_limit)
    renku.tasks.append(asyncio.ensure_future(run_start_queue_job(hub, renku.context)))
    renku.tasks.append(start_observability(hub, renku))
    renku.tasks.append(asyncio.ensure_future(_watch_cluster_certificate(hub, renku)))
    if renku.restart_on_change:
        renku.tasks.append(asyncio.ensure_future(watch_mounted_config(hub, renku.context)))
    _freeze_loaded_objects()


async def _watch_cluster_certificate(hub: HubApp, renku: Renku) -> None:
    if issubclass(hub.spawner_class, RenkuSpawner):
        with suppress(ValueError):  # no cluster is configured, which each start reports
            client = create_detached_spawner(hub.spawner_class, hub.config).api.api_client
            await watch_cluster_certificate(renku.context, client)


@cache
def _freeze_loaded_objects() -> None:
    """Exclude all objects loaded so far from garbage collection.

    A full collection blocks the event loop for 0.1 s and more, and hardly any of these objects ever become garbage.
    """
    gc.freeze()
