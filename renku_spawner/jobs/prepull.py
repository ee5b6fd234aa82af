"""Keep the images of environments on the cluster's nodes, if the chart has installed a pre-puller."""

from __future__ import annotations

from datetime import timedelta

from ..config.renku import Renku
from ..hub.jupyterhub import HubApp
from ..spawners.kubernetes.prepuller import DaemonSetPrepuller
from ..spawners.kubernetes.spawner import create_detached_spawner
from ..usecases.environments import sync_prepulled_images
from .runner import NEVER_AGAIN


async def sync_cluster_prepuller(hub: HubApp, renku: Renku) -> timedelta | None:
    """Apply the images of offered environments to the pre-puller. Return `NEVER_AGAIN` without one.

    Raises:
        ValueError: the cluster cannot be found.
        PrepullError, UnavailableError: the cluster or the database does not answer.
    """
    state = renku.context.prepulling
    if state.puller is None:
        spawner = create_detached_spawner(hub.spawner_class, hub.config)
        if not spawner.prepuller:
            return NEVER_AGAIN
        state.puller = DaemonSetPrepuller(calls=spawner.kubernetes_api, name=spawner.prepuller)
    await sync_prepulled_images(renku.context, state.puller)
    return None
