"""Build and run helper pods, which probe images, inspect the files in a PVC or stream them to the hub.

Helper pods mount PVCs read-only.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

from kubernetes_asyncio.client import (
    V1Affinity,
    V1Container,
    V1NodeAffinity,
    V1NodeSelector,
    V1NodeSelectorRequirement,
    V1NodeSelectorTerm,
    V1ObjectMeta,
    V1OwnerReference,
    V1Pod,
    V1PodSecurityContext,
    V1PodSpec,
    V1Volume,
)

from ...integrations.net.retry import Backoff, retry
from .api import MAX_CONTAINER_LOG_BYTES, KubernetesAPI, KubernetesAPIError
from .objects import KubernetesObject, get_nested, to_text


@dataclass(frozen=True, kw_only=True)
class PodPlacement:
    """The placement of a pod: on *node*, or where *selector* allows if *node* is empty.

    The other fields are pod fields in the API's format.
    """

    node: str = ""
    selector: Mapping[str, str] | None = None
    tolerations: Sequence[Any] | None = None
    pull_secrets: Sequence[Any] | None = None
    runtime_class: str | None = None
    scheduler: str | None = None


def read_pod_placement(session: KubernetesObject) -> PodPlacement:
    """Return the placement of a running *session* pod."""
    return PodPlacement(
        node=to_text(get_nested(session, "spec", "nodeName")),
        tolerations=get_nested(session, "spec", "tolerations"),
        pull_secrets=get_nested(session, "spec", "imagePullSecrets"),
        runtime_class=get_nested(session, "spec", "runtimeClassName"),
        scheduler=get_nested(session, "spec", "schedulerName"),
    )


def build_helper_pod(
    metadata: V1ObjectMeta,
    container: V1Container,
    place: PodPlacement,
    *,
    context: V1PodSecurityContext,
    seconds: int | None,
    volumes: list[V1Volume] | None = None,
) -> V1Pod:
    """Build a helper pod with a deadline of *seconds*, which includes pulling its image; None sets no deadline."""
    return V1Pod(
        api_version="v1",
        kind="Pod",
        metadata=metadata,
        spec=V1PodSpec(
            containers=[container],
            volumes=volumes,
            restart_policy="Never",
            active_deadline_seconds=seconds,
            termination_grace_period_seconds=0,
            automount_service_account_token=False,
            enable_service_links=False,
            security_context=context,
            affinity=_build_node_affinity(place.node) if place.node else None,
            node_selector=dict(place.selector) if place.selector else None,
            tolerations=list(place.tolerations) if place.tolerations else None,
            image_pull_secrets=list(place.pull_secrets) if place.pull_secrets else None,
            runtime_class_name=place.runtime_class,
            scheduler_name=place.scheduler,
        ),
    )


def build_owner_reference(kind: str, found: KubernetesObject) -> V1OwnerReference:
    """Build an owner reference to *found*, so that the pod is deleted with it at the latest."""
    name, uid = to_text(get_nested(found, "metadata", "name")), to_text(get_nested(found, "metadata", "uid"))
    return V1OwnerReference(api_version="v1", kind=kind, name=name, uid=uid)


def _build_node_affinity(node: str) -> V1Affinity:
    """Require *node* by affinity and not by `nodeName`, because only the scheduler checks for free resources."""
    field = V1NodeSelectorRequirement(key="metadata.name", operator="In", values=[node])
    term = V1NodeSelectorTerm(match_fields=[field])
    return V1Affinity(
        node_affinity=V1NodeAffinity(
            required_during_scheduling_ignored_during_execution=V1NodeSelector(node_selector_terms=[term])
        )
    )


def has_pod_ended(found: KubernetesObject | None) -> bool:
    """Return True if the pod has finished or, as None, no longer exists."""
    return found is None or to_text(get_nested(found, "status", "phase")) in ("Succeeded", "Failed")


log = logging.getLogger("renku_spawner")
_STALE_POD_BACKOFF = Backoff(first=30, longest=30, jitter=0)
_MIN_POLL_INTERVAL_SECONDS, _MAX_POLL_INTERVAL_SECONDS = 0.5, 3.0  # the interval grows while a pod runs


@asynccontextmanager
async def create_helper_pod(calls: KubernetesAPI, pod: V1Pod) -> AsyncIterator[str]:
    """Create the pod, yield its name, and delete it at the end of the block. Raises KubernetesAPIError."""
    (container,) = pod.spec.containers
    created = await calls.create_pod(pod, image=container.image)
    name, uid = created["metadata"]["name"], created["metadata"]["uid"]
    try:
        yield name
    finally:
        await _try_delete_helper_pod(calls, name, uid)


async def run_helper_pod(
    calls: KubernetesAPI, pod: V1Pod, *, patience: float, lines: int, limit: int = MAX_CONTAINER_LOG_BYTES
) -> str:
    """Run the pod, delete it and return its last log *lines*, at most *limit* bytes.

    The log is empty if the pod has not finished within *patience* seconds. Raises KubernetesAPIError.
    """
    (container,) = pod.spec.containers
    async with create_helper_pod(calls, pod) as name:
        end, pause = monotonic() + patience, _MIN_POLL_INTERVAL_SECONDS
        while not has_pod_ended(await calls.get_pod(name)):
            if monotonic() > end:
                return ""
            await asyncio.sleep(pause)
            pause = min(1.2 * pause, _MAX_POLL_INTERVAL_SECONDS)
        return await calls.read_log(name, container.name, lines=lines, limit=limit)


async def _try_delete_helper_pod(calls: KubernetesAPI, name: str, uid: str) -> None:
    """Delete the pod; if that fails, leave it to its owner reference, since its output has been read."""
    task = asyncio.current_task()
    if task is None or task.cancelling():  # the hub is shutting down and its connections are closed
        return
    try:
        await calls.delete_pod(name, grace=0, uid=uid)
    except KubernetesAPIError as denied:
        log.info("Failed to delete helper pod %s, leaving it to its owner: %s", name, denied.refusal.code)


async def delete_stale_helper_pods(
    calls: KubernetesAPI, selector: str, ours: Callable[[KubernetesObject], bool]
) -> None:
    """Retry until all pods that match *selector* and are not *ours* are deleted."""

    async def delete() -> None:
        await delete_helper_pods(calls, [pod for pod in await calls.list_pods(selector) if not ours(pod)])

    await retry(delete, errors=KubernetesAPIError, backoff=_STALE_POD_BACKOFF)


async def delete_helper_pods(calls: KubernetesAPI, pods: list[KubernetesObject]) -> None:
    """Delete these pods by uid without a grace period. Raises KubernetesAPIError."""
    for pod in pods:
        await calls.delete_pod(
            to_text(get_nested(pod, "metadata", "name")), grace=0, uid=to_text(get_nested(pod, "metadata", "uid"))
        )
