"""Run the cluster's image pre-puller if the chart has installed one."""

from __future__ import annotations

from ..config.renku import Renku
from ..hub.jupyterhub import HubApp
from ..spawners.kubernetes.prepuller import DaemonSetPrepuller
from ..spawners.kubernetes.spawner import RenkuSpawner, create_detached_spawner
from ..usecases.environments import run_prepull_job


async def run_cluster_prepull_job(hub: HubApp, renku: Renku) -> None:
    """Keep images of environments on the nodes, until cancelled. Return at once without a pre-puller.

    Raises:
        ValueError: the cluster cannot be found.
    """
    if not issubclass(hub.spawner_class, RenkuSpawner):
        return
    by = create_detached_spawner(hub.spawner_class, hub.config)
    if by.prepuller:
        renku.context.prepulling.puller = puller = DaemonSetPrepuller(calls=by.kubernetes_api, name=by.prepuller)
        await run_prepull_job(renku.context, puller)
