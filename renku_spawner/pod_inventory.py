"""What there is of sessions on the cluster, for an operator: asked once, and said when it cannot be said."""

from __future__ import annotations

import asyncio

from .domain.errors import Unavailable
from .domain.inventory import Inventory, Kind, Orphan
from .domain.reasons import sentence
from .kube import inventory
from .kube.calls import Calls, Denied
from .kube.objects import dig
from .kube.storages import STORAGE
from .kube.vanish import RUN
from .kube.watch import Watch

PATIENCE = 2.0  # seconds for all tries of a call
SECONDS = 10.0  # for everything; ten thousand claims take some three
_NO_LABEL = (
    "This hub has no label (RenkuSpawner.hub_label): what another hub without one has made in the same namespace looks "
    "like an orphan here, so that nothing of it can be removed by this page."
)
_SPREAD = "Sessions of this hub are in a namespace for each user, which cannot be looked at together."


async def see(watch: Watch, calls: Calls, hub: str, *, spread: bool) -> Inventory:
    """Pods as the watch has them, since they are heard of at once, and claims as the cluster lists them."""
    if spread:
        return Inventory(unknown=_SPREAD)
    try:
        async with asyncio.timeout(SECONDS):
            await _in_sight(watch)
            claims = inventory.claims(await calls.claims(inventory.selector(hub)))
            claims += inventory.storages(await calls.claims(inventory.selector(hub, STORAGE)))
            await _in_sight(watch)  # it may have gone away meanwhile
    except Denied as denied:
        return Inventory(unknown=sentence(denied.refusal.code, **denied.refusal.values))
    except TimeoutError:
        return Inventory(unknown=sentence("cluster_unavailable"))
    things = (*inventory.pods(watch.pods.values(), hub), *claims)
    return Inventory(things=things, warning=None if hub else _NO_LABEL)


async def nodes(watch: Watch, *, spread: bool) -> dict[str, str]:
    """Return the nodes of the pods of sessions, by the id of the run. Raises Unavailable."""
    if spread:
        raise Unavailable(_SPREAD)
    try:
        await _in_sight(watch)
    except TimeoutError:
        raise Unavailable(sentence("cluster_unavailable"), code="cluster_unavailable") from None
    found = ((dig(pod, "metadata", "labels", RUN), dig(pod, "spec", "nodeName")) for pod in watch.pods.values())
    return {run: node for run, node in found if run and node}


async def _in_sight(watch: Watch) -> None:
    """Raises TimeoutError."""
    watch.hurry()
    await asyncio.wait({watch.first_load_future}, timeout=PATIENCE)
    if not watch.sees:
        raise TimeoutError


async def remove(calls: Calls, orphan: Orphan) -> None:
    """Remove this very pod or claim, and what goes with it; that it is gone already is fine. Raises Unavailable."""
    try:
        if orphan.kind is Kind.POD:
            await calls.delete_pod(orphan.name, grace=0, uid=orphan.uid)
        else:
            if orphan.kind is Kind.STORAGE:
                await _take_along(calls, orphan)
            await calls.delete_claim(orphan.name, uid=orphan.uid)
    except Denied as denied:
        raise Unavailable(sentence(denied.refusal.code, **denied.refusal.values)) from None


async def _take_along(calls: Calls, orphan: Orphan) -> None:
    """Have the cluster delete the Secret with its claim; the hub may not delete Secrets itself."""
    patch = inventory.going_with(orphan.name, orphan.uid, await calls.secret(orphan.name))
    if patch is not None:
        await calls.patch_secret(orphan.name, patch)
