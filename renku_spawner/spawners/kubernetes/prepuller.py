"""Keep images of managed environments on every node through the init containers of a DaemonSet, and report the node
coverage.

The Helm chart creates the DaemonSet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...domain.administration import ImageNodeCoverage, PrepullError
from ...domain.reasons import format_reason_sentence
from .api import KubernetesAPI, KubernetesAPIError
from .diagnosis import FAILURE_CODES_BY_PULL_REASON, RETRIED_PULL_REASONS, get_pull_failure_code
from .objects import KubernetesObject, get_nested, list_objects, shorten_message, to_text
from .settings import RENKU_LABEL_PREFIX

PREPULLER_LABEL = f"{RENKU_LABEL_PREFIX}prepuller"
_PREPULLER_UID = 65534  # an unprivileged user: the container reads and writes nothing
_PREPULLER_RESOURCES = {"requests": {"cpu": "1m", "memory": "8Mi"}, "limits": {"cpu": "100m", "memory": "64Mi"}}
_PREPULLER_SECURITY_CONTEXT = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "runAsUser": _PREPULLER_UID,
    "runAsGroup": _PREPULLER_UID,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


@dataclass(frozen=True, kw_only=True)
class DaemonSetPrepuller:
    """An `ImagePrepuller` for Kubernetes; *name* is the DaemonSet's in the sessions' namespace."""

    calls: KubernetesAPI
    name: str

    async def set_images(self, images: Mapping[str, str]) -> None:
        try:
            if await self.calls.get_daemon_set(self.name) is None:
                raise PrepullError(f"There is no DaemonSet {self.name} in the namespace of the sessions.")
            await self.calls.apply_daemon_set(self.name, build_prepuller_daemon_set(self.name, images))
        except KubernetesAPIError as denied:
            raise _build_prepull_error(denied) from None

    async def get_node_coverage(self, images: Mapping[str, str | None]) -> dict[str, ImageNodeCoverage]:
        try:
            pods = await self.calls.list_pods(f"{PREPULLER_LABEL}={self.name}")
        except KubernetesAPIError as denied:
            raise _build_prepull_error(denied) from None
        placed = {node: pod for pod in pods if (node := _get_pod_node(pod))}
        return {name: _build_node_coverage(placed, name, image) for name, image in images.items()}


def _build_prepull_error(denied: KubernetesAPIError) -> PrepullError:
    return PrepullError(format_reason_sentence(denied.refusal.code, **denied.refusal.values))


def build_prepuller_daemon_set(name: str, images: Mapping[str, str]) -> dict[str, Any]:
    """Build the DaemonSet fields that the hub owns; server-side apply removes containers that are no longer listed."""
    containers = [
        {
            "name": container,
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["/bin/sh", "-c", "true"],
            "resources": _PREPULLER_RESOURCES,
            "securityContext": _PREPULLER_SECURITY_CONTEXT,
        }
        for container, image in images.items()
    ]
    spec = {"template": {"spec": {"initContainers": containers}}} if containers else {}
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": name}, "spec": spec}


def _get_pod_node(pod: KubernetesObject) -> str:
    """Return the pod's node; empty for a terminating pod, whose statuses say nothing about its successor."""
    return "" if get_nested(pod, "metadata", "deletionTimestamp") else to_text(get_nested(pod, "spec", "nodeName"))


def _build_node_coverage(placed: Mapping[str, KubernetesObject], name: str, image: str | None) -> ImageNodeCoverage:
    here: list[str] = []
    coming: list[str] = []
    failed: dict[str, str] = {}
    for node, pod in sorted(placed.items()):
        is_there, problem = _get_prepull_state(pod, name, image)
        if problem:
            failed[node] = problem
        else:
            (here if is_there else coming).append(node)
    return ImageNodeCoverage(here=tuple(here), coming=tuple(coming), failed=failed)


def _get_prepull_state(pod: KubernetesObject, name: str, image: str | None) -> tuple[bool, str]:
    """Return whether the image is on the pod's node, and why it will never be.

    Init containers run one after another, so a container that has not started yet tells nothing.
    """
    spec = _find_by_name(get_nested(pod, "spec", "initContainers"), name)
    if spec is None or image not in (None, spec.get("image")):  # the pod is older than the request for the image
        return False, ""
    status = _find_by_name(get_nested(pod, "status", "initContainerStatuses"), name)
    terminated = get_nested(status, "state", "terminated")
    if terminated is not None and terminated.get("exitCode") == 0:
        return True, ""
    if to_text(get_nested(status, "imageID")) and (
        terminated is not None or get_nested(status, "lastState", "terminated") is not None
    ):
        return False, "The image is there, but it cannot run /bin/sh, so the images after it are not pulled."
    return False, _explain_prepull_failure(get_nested(status, "state", "waiting"), to_text(spec.get("image")))


def _explain_prepull_failure(waiting: Any, image: str) -> str:
    reason, message = to_text(get_nested(waiting, "reason")), to_text(get_nested(waiting, "message"))
    if reason not in RETRIED_PULL_REASONS and reason not in FAILURE_CODES_BY_PULL_REASON:
        return ""
    code = FAILURE_CODES_BY_PULL_REASON.get(reason) or get_pull_failure_code(message)
    return format_reason_sentence(code, image=image, message=shorten_message(message, reason))


def _find_by_name(containers: Any, name: str) -> KubernetesObject | None:
    matches: Sequence[KubernetesObject] = [
        container for container in list_objects(containers) if container.get("name") == name
    ]
    return matches[0] if matches else None
