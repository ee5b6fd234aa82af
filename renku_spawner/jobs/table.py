"""The table of all jobs of the hub."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial

from ..config.mounted import MOUNT_CHECK_INTERVAL_SECONDS, MountedConfigWatch
from ..config.renku import Renku
from ..context import database_health
from ..domain.administration import PrepullError
from ..domain.errors import UnavailableError
from ..hub.adapter import IdleJobAdapter
from ..hub.jupyterhub import HubApp
from ..integrations.net.retry import Backoff
from ..spawners.kubernetes.spawner import RenkuSpawner
from .access import pause_inaccessible_sessions
from .dependency_health import check_hub_certificate
from .expiry import ExpiryHubAdapter, ExpiryJob
from .housekeeping import EndedPodCleaner, delete_old_records
from .idle import run_idle_check
from .prepull import sync_cluster_prepuller
from .routes import ROUTE_CHECK_INTERVAL_SECONDS, ProxyRouteCheck
from .runner import PeriodicJob
from .start_queue import run_start_queue_job

CERTIFICATE_CHECK_INTERVAL_SECONDS = 60.0
_HOUSEKEEPING_INTERVAL_SECONDS = 3600.0
RECONCILE_INTERVAL_SECONDS = 30.0
_PREPULL_INTERVAL_SECONDS = 600.0  # apply the images again in case the DaemonSet was re-created
_START_QUEUE_RESTART_SECONDS = 5.0


def list_early_jobs(hub: HubApp, renku: Renku) -> Iterator[PeriodicJob]:
    """Yield the jobs that begin before the hub serves."""
    context = renku.context
    yield PeriodicJob(
        name="counting",
        purpose="check the database",
        interval_seconds=database_health.DATABASE_CHECK_INTERVAL_SECONDS,
        run=partial(context.database_health.check, context.db, context.now),
    )
    yield PeriodicJob(
        name="start_queue",
        purpose="start queued sessions",
        interval_seconds=_START_QUEUE_RESTART_SECONDS,
        run=partial(run_start_queue_job, hub, context),  # goes on until it fails
        counted=False,
    )
    if issubclass(hub.spawner_class, RenkuSpawner):
        yield PeriodicJob(
            name="certificate",
            purpose="check the certificate of the cluster's API",
            interval_seconds=CERTIFICATE_CHECK_INTERVAL_SECONDS,
            run=partial(check_hub_certificate, hub, context),
            counted=False,
        )
    if renku.restart_on_change:
        yield PeriodicJob(
            name="settings",
            purpose="check the mounted configuration",
            interval_seconds=MOUNT_CHECK_INTERVAL_SECONDS,
            run=partial(MountedConfigWatch().check, context, hub.config_file),
            counted=False,
        )


def list_jobs(hub: HubApp, renku: Renku) -> Iterator[PeriodicJob]:
    """Yield the jobs that begin when the hub serves."""
    context = renku.context
    yield PeriodicJob(
        name="routes",
        purpose="check routes of the proxy",
        interval_seconds=ROUTE_CHECK_INTERVAL_SECONDS,
        run=ProxyRouteCheck(hub).run,
        known_errors=(Exception,),  # the proxy is away
    )
    idle_actions = IdleJobAdapter(hub, renku)
    yield PeriodicJob(
        name="rounds",
        purpose="check idle sessions",
        interval_seconds=renku.rounds_interval,
        run=lambda: run_idle_check(context, context.now(), idle_actions, interval=renku.rounds_interval),
    )
    yield PeriodicJob(
        name="expiry",
        purpose="warn of expiring data or delete it",
        interval_seconds=renku.rounds_interval,
        run=ExpiryJob(context, ExpiryHubAdapter(hub, context)).run_once,
    )
    yield PeriodicJob(
        name="deletions",
        purpose="finish deletions",
        interval_seconds=RECONCILE_INTERVAL_SECONDS,
        run=renku.reconciler.reconcile_deletions,
    )
    yield PeriodicJob(
        name="lost",
        purpose="settle instances that no poll looks after",
        interval_seconds=RECONCILE_INTERVAL_SECONDS,
        run=renku.reconciler.reconcile_overlooked,
    )
    yield PeriodicJob(
        name="tidying",
        purpose="delete old records",
        interval_seconds=_HOUSEKEEPING_INTERVAL_SECONDS,
        run=partial(delete_old_records, context, timedelta(days=renku.launches_kept_days)),
    )
    if issubclass(hub.spawner_class, RenkuSpawner):
        yield PeriodicJob(
            name="ended_pods",
            purpose="delete pods of ended sessions",
            interval_seconds=RECONCILE_INTERVAL_SECONDS,
            run=EndedPodCleaner(hub, context).run,
            counted=False,
            known_errors=(UnavailableError, ValueError),
        )
    if context.gitlab is not None:
        yield PeriodicJob(
            name="access",
            purpose="check users' access to running sessions",
            interval_seconds=renku.access_check,
            run=partial(pause_inaccessible_sessions, hub, context),
            waits_first=True,
        )
    if issubclass(hub.spawner_class, RenkuSpawner):
        yield PeriodicJob(
            name="prepulling",
            purpose="pre-pull images of environments that were added in the browser",
            needs_images=True,
            interval_seconds=_PREPULL_INTERVAL_SECONDS,
            run=partial(sync_cluster_prepuller, hub, renku),
            wait=context.prepulling.wait_for_change,
            backoff=Backoff(first=5, longest=300),
            known_errors=(UnavailableError, PrepullError),
        )
