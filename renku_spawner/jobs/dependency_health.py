"""Report which dependencies respond: the database, GitLab, registries and Kubernetes.

No requests are sent for that, except to check the cluster's certificate.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from aiohttp import ClientError, ClientTimeout

from ..context.app_context import AppContext
from ..domain.administration import DependencyStatus
from ..hub.jupyterhub import HubApp
from ..observability.metrics import DEPENDENCIES, DEPENDENCY_UNREACHABLE, WATCH_AGE_SECONDS
from ..spawners.kubernetes.api import API_REQUEST_TIMEOUT_SECONDS
from ..spawners.kubernetes.errors import explain_tls_failure
from ..spawners.kubernetes.spawner import create_detached_spawner
from ..spawners.kubernetes.watch import PodInformer
from .runner import NEVER_AGAIN

log = logging.getLogger("renku_spawner")


def list_dependencies(context: AppContext, spawner: type[Any]) -> list[DependencyStatus]:
    """Return the status of all dependencies of this hub; *spawner* is its spawner class.

    The status of GitLab and registries comes from ordinary requests: they count as away from the fifth failure in a row
    until the next answer. Only registries that an admin has configured are listed.
    """
    found = [DependencyStatus(kind="database", name="database", away_since=context.database_health.unreachable_since)]
    if context.gitlab is not None:
        found.append(
            DependencyStatus(
                kind="gitlab",
                name=context.gitlab.host,
                away_since=_to_away_since(context, context.gitlab.outage_seconds),
            )
        )
    outages = context.registry.get_host_outages() if context.registry else {}
    found += [
        DependencyStatus(kind="registry", name=host, away_since=_to_away_since(context, seconds))
        for host, seconds in outages.items()
    ]
    if watches := list_cluster_watches(spawner):
        lost = [watch.seconds_since_response for watch in watches if not watch.healthy]
        since = _to_away_since(context, max(lost, default=None))
        reason = next((watch.problem for watch in watches if watch.problem), None)
        found.append(DependencyStatus(kind="kubernetes", name="kubernetes", away_since=since, reason=reason))
    elif context.hub_health.cluster_problem is not None:
        since, reason = context.hub_health.cluster_problem_since, context.hub_health.cluster_problem
        found.append(DependencyStatus(kind="kubernetes", name="kubernetes", away_since=since, reason=reason))
    return found


async def check_hub_certificate(hub: HubApp, context: AppContext) -> timedelta | None:
    """Check the certificate of the cluster of this hub; see `check_cluster_certificate`."""
    try:
        client = create_detached_spawner(hub.spawner_class, hub.config).api.api_client
    except ValueError:  # no cluster is configured, which each start reports
        return NEVER_AGAIN
    return await check_cluster_certificate(context, client)


async def check_cluster_certificate(context: AppContext, client: Any) -> timedelta | None:
    """Report to admins that the TLS certificate of the cluster's API is not accepted.

    *client* is an `ApiClient`. Return `NEVER_AGAIN` once the certificate is accepted: the pod watch reports later
    problems.
    """
    health, url = context.hub_health, str(client.configuration.host)
    problem = await _find_certificate_problem(client, url) if url.startswith("https:") else None
    if problem is not None and problem != health.cluster_problem:
        log.critical("%s No session can start.", problem)
    health.cluster_problem = problem
    health.cluster_problem_since = (health.cluster_problem_since or context.now()) if problem else None
    return NEVER_AGAIN if problem is None else None


async def _find_certificate_problem(client: Any, url: str) -> str | None:
    session, timeout = client.rest_client.pool_manager, ClientTimeout(total=API_REQUEST_TIMEOUT_SECONDS)
    try:
        async with session.get(f"{url}/version", timeout=timeout, proxy=client.configuration.proxy):
            return None
    except (ClientError, OSError, TimeoutError) as error:
        return explain_tls_failure(error)


def list_cluster_watches(spawner: type[Any]) -> set[PodInformer]:
    """Return the open pod informers; empty for a hub without a cluster, or one that has not used its cluster yet."""
    reflectors = getattr(spawner, "reflectors", {}).values()
    return {each for each in reflectors if isinstance(each, PodInformer) and not each.is_closed}


def update_dependency_metrics(context: AppContext, spawner: type[Any]) -> None:
    """Update the metrics of dependencies before a scrape."""
    away = {each.kind for each in list_dependencies(context, spawner) if each.away_since}
    for kind in DEPENDENCIES:
        DEPENDENCY_UNREACHABLE.labels(kind).set(kind in away)
    WATCH_AGE_SECONDS.set(max((watch.seconds_since_response for watch in list_cluster_watches(spawner)), default=0))


def _to_away_since(context: AppContext, seconds: float | None) -> datetime | None:
    return None if seconds is None else context.now() - timedelta(seconds=seconds)
