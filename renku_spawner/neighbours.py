"""Which neighbours answer, as far as the hub knows without asking them."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from aiohttp import ClientError, ClientTimeout

from . import metrics
from .kube.calls import TIMEOUT
from .kube.refusal import explain_tls_failure
from .kube.watch import Watch
from .services.parts import Parts

log = logging.getLogger("renku_spawner")
_CERTIFICATE_RECHECK_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Neighbour:
    """`kind` is one of `metrics.NEIGHBOURS`, `name` its host where there may be several; `away_since` None: it answers,
    or nobody had a reason to ask it lately; `reason` says why it cannot be asked, where that is known."""

    kind: str
    name: str
    away_since: datetime | None
    reason: str | None = None


def of(parts: Parts, spawner: type[Any]) -> list[Neighbour]:
    """All that this hub has; *spawner* is the class that runs its sessions.

    GitLab and registries are known by the calls that were made anyhow, and are away from the fifth failure in a row to
    the next answer; of registries only those that an admin has named matter.
    """
    found = [Neighbour(kind="database", name="database", away_since=parts.pulse.away_since)]
    if parts.gitlab is not None:
        found.append(Neighbour(kind="gitlab", name=parts.gitlab.host, away_since=_ago(parts, parts.gitlab.silent)))
    silent = parts.registry.silent() if parts.registry else {}
    found += [
        Neighbour(kind="registry", name=host, away_since=_ago(parts, seconds)) for host, seconds in silent.items()
    ]
    if seen := watches(spawner):
        lost = [watch.silence for watch in seen if not watch.healthy]
        since = _ago(parts, max(lost, default=None))
        reason = next((watch.problem for watch in seen if watch.problem), None)
        found.append(Neighbour(kind="kubernetes", name="kubernetes", away_since=since, reason=reason))
    elif parts.health.cluster_problem is not None:
        since, reason = parts.health.cluster_problem_since, parts.health.cluster_problem
        found.append(Neighbour(kind="kubernetes", name="kubernetes", away_since=since, reason=reason))
    return found


async def check_certificate(parts: Parts, client: Any) -> None:
    """Tell admins, from the start of the hub on, while the certificate of the cluster's API is not accepted.

    *client* is an `ApiClient`. Once it is accepted this ends: the watch tells what happens to it later.
    """
    health, url = parts.health, str(client.configuration.host)
    while url.startswith("https:"):
        try:
            session, timeout = client.rest_client.pool_manager, ClientTimeout(total=TIMEOUT)
            async with session.get(f"{url}/version", timeout=timeout, proxy=client.configuration.proxy):
                problem = None
        except (ClientError, OSError, TimeoutError) as error:
            problem = explain_tls_failure(error)
        if problem is not None and problem != health.cluster_problem:
            log.critical("%s No session can start.", problem)
        health.cluster_problem = problem
        health.cluster_problem_since = (health.cluster_problem_since or parts.now()) if problem else None
        if problem is None:
            return
        await asyncio.sleep(_CERTIFICATE_RECHECK_SECONDS)


def watches(spawner: type[Any]) -> set[Watch]:
    """Those of the cluster that live; a hub without a cluster, or that needed none yet, has none."""
    reflectors = getattr(spawner, "reflectors", {}).values()
    return {each for each in reflectors if isinstance(each, Watch) and not each.over}


def show(parts: Parts, spawner: type[Any]) -> None:
    """Bring the metrics of them up to date."""
    away = {each.kind for each in of(parts, spawner) if each.away_since}
    for kind in metrics.NEIGHBOURS:
        metrics.away.labels(kind).set(kind in away)
    metrics.watch_age.set(max((watch.silence for watch in watches(spawner)), default=0))


def _ago(parts: Parts, seconds: float | None) -> datetime | None:
    return None if seconds is None else parts.now() - timedelta(seconds=seconds)
