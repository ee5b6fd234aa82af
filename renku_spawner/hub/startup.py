"""Start Renku with the hub: build the application context, run the jobs, and close the context at the end."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

import jupyterhub
from jinja2 import Environment
from jinja2.ext import Extension
from jupyterhub.app import JupyterHub
from tornado.log import access_log, app_log, gen_log
from traitlets import TraitError

from .. import __version__
from ..config.renku import Renku
from ..context.app_context import AppContext
from ..integrations.net.retry import Backoff, retry
from ..jobs.dependency_health import update_dependency_metrics
from ..jobs.runner import run_periodic_job
from ..jobs.start_queue import build_start_capacity
from ..jobs.table import list_early_jobs, list_jobs
from ..lifecycle.reconciler import Reconciler
from ..observability.metrics import (
    BUILD_INFO,
    START_QUEUE_LENGTH,
    record_task_failure,
    record_task_success,
    register_scrape_callback,
)
from ..spawners.local.process import find_process_by_pid_file, read_pid_file, stop_process
from ..usecases.audit import flush_repeated_audit_events
from ..usecases.environments import apply_configured_environments
from ..usecases.images import close_registry_checks, resolve_managed_environment_tags
from ..web.hub_pages import HUB_PAGE_HANDLERS
from .adapter import HubServerDirectory
from .admission import list_hub_handlers
from .configuration_checks import check_hub_configuration
from .jupyterhub import HubApp, get_start_signal
from .proxy import start_recording_proxy_activity
from .services import build_hub_services

log = logging.getLogger("renku_spawner")
_STARTUP_RETRY_SECONDS, _MAX_STARTUP_TRIES = 30.0, 3


async def run_startup_jobs(hub: HubApp, renku: Renku) -> None:
    """Apply configured environments, then run the jobs of `jobs.table` until the hub stops, and close the context."""
    try:
        await _run_startup_task(
            "environments",
            "configure environments",
            partial(apply_configured_environments, renku.context, renku.configured),
        )
        await get_start_signal(hub)
        renku.context.hub_health.serving_since = renku.context.now()
        replaced = [*list_hub_handlers(), *HUB_PAGE_HANDLERS]
        # Handlers added to the application take precedence over the hub's own.
        hub.tornado_application.add_handlers(".*", hub.add_url_prefix(hub.hub_prefix, replaced))
        start_recording_proxy_activity(hub, renku)
        jobs = list(list_jobs(hub, renku))
        async with asyncio.TaskGroup() as tasks:
            for job in jobs:
                if not job.needs_images:
                    tasks.create_task(run_periodic_job(job), name=job.name)
            await _run_startup_task(
                "images", "resolve image tags", partial(resolve_managed_environment_tags, renku.context)
            )
            for job in jobs:
                if job.needs_images:
                    tasks.create_task(run_periodic_job(job), name=job.name)
    finally:  # also when the hub did not start
        await asyncio.shield(_close_context(renku.context))


async def _run_startup_task(task: str, purpose: str, work: Callable[[], Awaitable[None]]) -> None:
    """Run *work* with up to `_MAX_STARTUP_TRIES` attempts; log failures, so that what follows still runs."""

    def report(error: Exception, failures: int) -> None:
        record_task_failure(task)
        log.error("Failed to %s (attempt %d of %d)", purpose, failures, _MAX_STARTUP_TRIES, exc_info=error)

    backoff = Backoff(first=_STARTUP_RETRY_SECONDS, longest=_STARTUP_RETRY_SECONDS, jitter=0)
    with suppress(Exception):
        await retry(work, errors=Exception, backoff=backoff, attempts=_MAX_STARTUP_TRIES, on_failure=report)
        record_task_success(task)


async def _close_context(context: AppContext) -> None:
    """Close all clients of *context* one after the other, even if one of them fails."""
    opened = [
        context.pvc_readers,
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
    """Add `filter_tokens` to the hub's log handlers, and to the loggers of the hub and of Tornado for other handlers.

    A logger's filter skips what no handler writes: traitlets gives its loggers the level DEBUG whatever the log level
    of the hub is, and to format JupyterHub's debug messages takes queries of its database.
    """
    for logger in (access_log, app_log, gen_log, hub.log):
        logger.addFilter(_get_token_filter(logger))
    for handler in hub.log.handlers:
        handler.addFilter(filter_tokens)


@lru_cache(maxsize=8)
def _get_token_filter(logger: logging.Logger) -> Callable[[logging.LogRecord], bool]:
    """Return the filter of *logger*, always the same one, so that a second hub of a process does not add another."""
    return lambda record: not _is_written(logger, record) or filter_tokens(record)


def _is_written(logger: logging.Logger, record: logging.LogRecord) -> bool:
    """Return True if a handler that `Logger.callHandlers` would call writes *record*, now as it is configured."""
    place: logging.Logger | None = logger
    while place is not None:
        if any(record.levelno >= handler.level for handler in place.handlers):
            return True
        place = place.parent if place.propagate else None
    return record.levelno >= logging.WARNING  # which `logging.lastResort` writes


def start_observability(hub: HubApp, renku: Renku) -> None:
    """Filter tokens from logs, and set up metrics.

    Metrics replace those of an earlier hub in the same process.
    """
    context = renku.context
    add_token_log_filter(hub)
    BUILD_INFO.clear()
    where = "local" if context.policy.local else "kubernetes"
    BUILD_INFO.labels(__version__, jupyterhub.__version__, where).set(1)
    register_scrape_callback("neighbours", lambda: update_dependency_metrics(renku.context, hub.spawner_class))


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
    except (TraitError, OSError, ValueError) as problem:
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
    renku = Renku.instance(parent=hub, services=build_hub_services(hub))
    check_hub_configuration(hub, renku)
    renku.reconciler = Reconciler(renku.context, HubServerDirectory(hub))
    renku.tasks = [asyncio.ensure_future(stop_stale_proxy(hub)), asyncio.ensure_future(run_startup_jobs(hub, renku))]
    register_scrape_callback("line", lambda: START_QUEUE_LENGTH.set(renku.context.start_queue.length))
    renku.context.start_queue.room = build_start_capacity(hub, renku.queue_limit)
    start_observability(hub, renku)
    renku.tasks += [asyncio.ensure_future(run_periodic_job(job)) for job in list_early_jobs(hub, renku)]
    _freeze_loaded_objects()


@cache
def _freeze_loaded_objects() -> None:
    """Exclude all objects loaded so far from garbage collection.

    A full collection blocks the event loop for 0.1 s and more, and hardly any of these objects ever become garbage.
    """
    gc.freeze()
