"""The pre-puller of the cluster that this hub is on, if its chart has made one."""

from __future__ import annotations

from typing import Any

from . import cli_cluster
from .app import Renku
from .kube.prepuller import Prepuller
from .services import prepulling
from .spawner import RenkuSpawner


async def keep(hub: Any, renku: Renku) -> None:
    """Keep images on its nodes from now on, for ever; nothing where there is none. Raises ValueError: no cluster."""
    if not issubclass(hub.spawner_class, RenkuSpawner):
        return
    by = cli_cluster.spawner_of(hub.spawner_class, hub.config)
    if by.prepuller:
        renku.parts.prepulling.puller = puller = Prepuller(calls=by.calls, name=by.prepuller)
        await prepulling.forever(renku.parts, puller)
