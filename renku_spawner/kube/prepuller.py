"""The pre-puller: a DaemonSet that the chart makes, in which this hub has containers of its own.

By server-side apply each of its init containers belongs to whoever named it, so that neither an upgrade of the chart
nor the hub takes away what the other has put there
(https://kubernetes.io/docs/reference/using-api/server-side-apply/).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..domain.reasons import sentence
from ..domain.spread import Amiss, Spread
from . import pulls
from .calls import Calls, Denied
from .objects import Raw, dig, items, text, words
from .settings import PREFIX

LABEL = f"{PREFIX}prepuller"
_USER = 65534  # nobody: the container reads nothing and writes nothing
_RESOURCES = {"requests": {"cpu": "1m", "memory": "8Mi"}, "limits": {"cpu": "100m", "memory": "64Mi"}}
_SECURITY = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "runAsUser": _USER,
    "runAsGroup": _USER,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


@dataclass(frozen=True, kw_only=True)
class Prepuller:
    """The `Puller` of a cluster; *name* is that of the DaemonSet in the sessions' namespace."""

    calls: Calls
    name: str

    async def keep(self, images: Mapping[str, str]) -> None:
        try:
            if await self.calls.daemon_set(self.name) is None:
                raise Amiss(f"There is no DaemonSet {self.name} in the namespace of the sessions.")
            await self.calls.apply_daemon_set(self.name, wanted(self.name, images))
        except Denied as denied:
            raise _amiss(denied) from None

    async def spread(self, images: Mapping[str, str | None]) -> dict[str, Spread]:
        try:
            pods = await self.calls.pods(f"{LABEL}={self.name}")
        except Denied as denied:
            raise _amiss(denied) from None
        placed = {node: pod for pod in pods if (node := _node(pod))}
        return {name: _spread(placed, name, image) for name, image in images.items()}


def _amiss(denied: Denied) -> Amiss:
    return Amiss(sentence(denied.refusal.code, **denied.refusal.values))


def wanted(name: str, images: Mapping[str, str]) -> dict[str, Any]:
    """All that the hub says of the DaemonSet: what it no longer says is taken away from it."""
    containers = [
        {
            "name": container,
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["/bin/sh", "-c", "true"],
            "resources": _RESOURCES,
            "securityContext": _SECURITY,
        }
        for container, image in images.items()
    ]
    spec = {"template": {"spec": {"initContainers": containers}}} if containers else {}
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": name}, "spec": spec}


def _node(pod: Raw) -> str:
    """Where it is; one that goes says nothing about what its successor finds."""
    return "" if dig(pod, "metadata", "deletionTimestamp") else text(dig(pod, "spec", "nodeName"))


def _spread(placed: Mapping[str, Raw], name: str, image: str | None) -> Spread:
    here: list[str] = []
    coming: list[str] = []
    failed: dict[str, str] = {}
    for node, pod in sorted(placed.items()):
        is_there, why = _state(pod, name, image)
        if why:
            failed[node] = why
        else:
            (here if is_there else coming).append(node)
    return Spread(here=tuple(here), coming=tuple(coming), failed=failed)


def _state(pod: Raw, name: str, image: str | None) -> tuple[bool, str]:
    """Whether the image is on the pod's node, and why it never comes. They come one after the other: a container
    that has not had its turn says nothing yet."""
    spec = _named(dig(pod, "spec", "initContainers"), name)
    if spec is None or image not in (None, spec.get("image")):  # a pod from before the image was wanted
        return False, ""
    status = _named(dig(pod, "status", "initContainerStatuses"), name)
    ended = dig(status, "state", "terminated")
    if ended is not None and ended.get("exitCode") == 0:
        return True, ""
    if text(dig(status, "imageID")) and (ended is not None or dig(status, "lastState", "terminated") is not None):
        return False, "The image is there, but /bin/sh cannot be run in it, and images after it do not come."
    return False, _failure(dig(status, "state", "waiting"), text(spec.get("image")))


def _failure(waiting: Any, image: str) -> str:
    reason, message = text(dig(waiting, "reason")), text(dig(waiting, "message"))
    if reason not in pulls.RETRIED and reason not in pulls.FINAL:
        return ""
    code = pulls.FINAL.get(reason) or pulls.code(message)
    return sentence(code, image=image, message=words(message, reason))


def _named(containers: Any, name: str) -> Raw | None:
    found: Sequence[Raw] = [each for each in items(containers) if each.get("name") == name]
    return found[0] if found else None
