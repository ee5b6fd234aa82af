"""List the pods, PVCs, nodes and CPU usage of all sessions of this hub, and remove orphaned resources for operators."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from ...domain.administration import BackendInventory, BackendResource, OrphanedResource, OrphanKind
from ...domain.errors import UnavailableError
from ...domain.reasons import format_reason_sentence
from .api import KubernetesAPI, KubernetesAPIError
from .deletion import LAUNCH_LABEL
from .objects import KubernetesObject, get_nested, parse_api_time, to_text
from .settings import RENKU_LABEL_PREFIX
from .storages import STORAGE_LABEL
from .volumes import SESSION_LABEL
from .watch import PodInformer

HUB_LABEL = f"{RENKU_LABEL_PREFIX}hub"
WORK_PVC_PREFIX = "work-"  # precedes the claim's id in the name of a PVC


def build_hub_selector(hub: str, label: str = SESSION_LABEL) -> str:
    """Return the label selector for resources of this hub's sessions; a hub without a label owns unlabelled ones."""
    return f"{label},{HUB_LABEL}={hub}" if hub else f"{label},!{HUB_LABEL}"


def to_pod_resources(found: Iterable[KubernetesObject], hub: str) -> list[BackendResource]:
    """Convert the informer's pods that belong to sessions of this hub."""
    ours = (pod for pod in found if _get_label(pod, SESSION_LABEL) and _get_label(pod, HUB_LABEL) == hub)
    return [_to_backend_resource(OrphanKind.POD, pod, _get_label(pod, LAUNCH_LABEL)) for pod in ours]


def to_pvc_resources(found: Iterable[KubernetesObject]) -> list[BackendResource]:
    return [
        _to_backend_resource(
            OrphanKind.CLAIM, claim, to_text(get_nested(claim, "metadata", "name")).removeprefix(WORK_PVC_PREFIX)
        )
        for claim in found
    ]


def to_storage_resources(found: Iterable[KubernetesObject]) -> list[BackendResource]:
    return [_to_backend_resource(OrphanKind.STORAGE, claim, _get_label(claim, LAUNCH_LABEL)) for claim in found]


def build_secret_owner_patch(claim: str, uid: str, secret: KubernetesObject | None) -> dict[str, Any] | None:
    """Build the patch that makes the PVC *claim* the owner of a storage's *secret*; None if it is not our Secret."""
    if secret is None or not _get_label(secret, STORAGE_LABEL):
        return None
    owner = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": claim, "uid": uid}
    return {"metadata": {"uid": get_nested(secret, "metadata", "uid"), "ownerReferences": [owner]}}


def _to_backend_resource(kind: OrphanKind, raw: KubernetesObject, of: str) -> BackendResource:
    return BackendResource(
        kind=kind,
        name=to_text(get_nested(raw, "metadata", "name")),
        of=of,
        uid=to_text(get_nested(raw, "metadata", "uid")),
        username=_get_annotation(raw, "username"),
        session=_get_label(raw, SESSION_LABEL),
        title=_get_annotation(raw, "title"),
        size=_get_pvc_size(raw),
        made_at=parse_api_time(get_nested(raw, "metadata", "creationTimestamp")),
        leaving=bool(get_nested(raw, "metadata", "deletionTimestamp")),
    )


def _get_pvc_size(raw: KubernetesObject) -> str:
    """Return a PVC's capacity, or its requested size while it is not bound."""
    return to_text(get_nested(raw, "status", "capacity", "storage")) or to_text(
        get_nested(raw, "spec", "resources", "requests", "storage")
    )


def _get_label(raw: KubernetesObject, name: str) -> str:
    return to_text(get_nested(raw, "metadata", "labels", name))


def _get_annotation(raw: KubernetesObject, name: str) -> str:
    return to_text(get_nested(raw, "metadata", "annotations", f"{RENKU_LABEL_PREFIX}{name}"))


INVENTORY_RETRY_TIMEOUT_SECONDS = 2.0  # for all tries of a call
INVENTORY_TIMEOUT_SECONDS = 10.0  # for everything; ten thousand PVCs take about three seconds
_MISSING_HUB_LABEL_WARNING = (
    "This hub has no label (RenkuSpawner.hub_label). Resources of other unlabelled hubs in the same namespace look "
    "orphaned here, so this page cannot remove anything on the cluster."
)
_INVENTORY_USER_NAMESPACES_MESSAGE = (
    "Sessions of this hub run in one namespace per user, which cannot be listed together."
)


async def load_cluster_inventory(
    watch: PodInformer, calls: KubernetesAPI, hub: str, *, spread: bool
) -> BackendInventory:
    """Return the pods of the informer, which are up to date, and the PVCs that the API lists."""
    if spread:
        return BackendInventory(unknown=_INVENTORY_USER_NAMESPACES_MESSAGE)
    try:
        async with asyncio.timeout(INVENTORY_TIMEOUT_SECONDS):
            await wait_until_informer_synced(watch)
            claims = to_pvc_resources(await calls.list_pvcs(build_hub_selector(hub)))
            claims += to_storage_resources(await calls.list_pvcs(build_hub_selector(hub, STORAGE_LABEL)))
            await wait_until_informer_synced(watch)  # the connection may have failed meanwhile
    except KubernetesAPIError as denied:
        return BackendInventory(unknown=format_reason_sentence(denied.refusal.code, **denied.refusal.values))
    except (TimeoutError, UnavailableError):
        return BackendInventory(unknown=format_reason_sentence("cluster_unavailable"))
    things = (*to_pod_resources(watch.pods.values(), hub), *claims)
    return BackendInventory(things=things, warning=None if hub else _MISSING_HUB_LABEL_WARNING)


async def list_nodes_by_run(watch: PodInformer, *, spread: bool) -> dict[str, str]:
    """Return the nodes of session pods by run id. Raises UnavailableError."""
    if spread:
        raise UnavailableError(_INVENTORY_USER_NAMESPACES_MESSAGE)
    await wait_until_informer_synced(watch)
    pairs = (
        (get_nested(pod, "metadata", "labels", LAUNCH_LABEL), get_nested(pod, "spec", "nodeName"))
        for pod in watch.pods.values()
    )
    return {run: node for run, node in pairs if run and node}


async def wait_until_informer_synced(watch: PodInformer) -> None:
    """Wait for the informer's initial list. Raises UnavailableError with code `cluster_unavailable`."""
    watch.retry_now()
    await asyncio.wait({watch.first_load_future}, timeout=INVENTORY_RETRY_TIMEOUT_SECONDS)
    if not watch.is_synced:
        raise UnavailableError(format_reason_sentence("cluster_unavailable"), code="cluster_unavailable")


async def remove_cluster_resource(calls: KubernetesAPI, orphan: OrphanedResource, *, grace: int = 0) -> None:
    """Delete this pod or PVC and its dependents; succeed if it is already gone. A pod has *grace* seconds to end.

    Raises UnavailableError.
    """
    try:
        if orphan.kind is OrphanKind.POD:
            await calls.delete_pod(orphan.name, grace=grace, uid=orphan.uid)
        else:
            if orphan.kind is OrphanKind.STORAGE:
                await _set_pvc_as_secret_owner(calls, orphan)
            await calls.delete_pvc(orphan.name, uid=orphan.uid)
    except KubernetesAPIError as denied:
        raise UnavailableError(format_reason_sentence(denied.refusal.code, **denied.refusal.values)) from None


async def _set_pvc_as_secret_owner(calls: KubernetesAPI, orphan: OrphanedResource) -> None:
    """Let the cluster delete the Secret with its PVC, because the hub has no permission to delete Secrets."""
    patch = build_secret_owner_patch(orphan.name, orphan.uid, await calls.get_secret(orphan.name))
    if patch is not None:
        await calls.patch_secret(orphan.name, patch)
