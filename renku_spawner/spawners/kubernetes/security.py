"""Build the resource requests and limits and the security contexts of the pods that the hub creates."""

from __future__ import annotations

from copy import copy
from typing import Any

from kubernetes_asyncio.client import (
    V1Capabilities,
    V1Container,
    V1PodSecurityContext,
    V1ResourceRequirements,
    V1SeccompProfile,
    V1SecurityContext,
)

from ...domain.environments import RunConfiguration
from ...domain.quantities import parse_quantity
from ...domain.sessions import LaunchSpec
from .settings import PodSettings

_EPHEMERAL_STORAGE_RESOURCE = "ephemeral-storage"
_EPHEMERAL_STORAGE_REQUEST = "1Gi"


def build_session_resources(spec: LaunchSpec, *, devices: bool = True) -> V1ResourceRequirements:
    """Build the requests and limits of a session's container from its resource class.

    CPU requests the session's minimum, with the class as limit. Memory requests the full limit, so that a session is
    not evicted for using the memory that it was promised. GPUs are the class's extended resource.

    Ephemeral storage has a small request, because few sessions write much to the node's disk. Without a request,
    Kubernetes would request the limit.

    Init containers have the same limits, which a quota requires, but no *devices*.
    """
    size = spec.resource_class
    gpu = {size.gpu_resource: str(size.gpu)} if devices and size.gpu else {}
    requested, limited = _build_ephemeral_storage(size.ephemeral_storage)
    return V1ResourceRequirements(
        requests={"cpu": spec.needs.cpu, "memory": size.memory, **requested, **gpu},
        limits={"cpu": size.cpu, "memory": size.memory, **limited, **gpu},
    )


def _build_ephemeral_storage(limit: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the request and the limit; both empty without a limit."""
    if not limit:
        return {}, {}
    requested = min(limit, _EPHEMERAL_STORAGE_REQUEST, key=parse_quantity)
    return {_EPHEMERAL_STORAGE_RESOURCE: requested}, {_EPHEMERAL_STORAGE_RESOURCE: limit}


def build_helper_resources(cpu: str, memory: str, *, cpu_requested: str = "50m") -> V1ResourceRequirements:
    """Build the requests and limits of a helper pod, which writes very little to the node's disk."""
    return V1ResourceRequirements(
        requests={"cpu": cpu_requested, "memory": "64Mi", _EPHEMERAL_STORAGE_RESOURCE: "64Mi"},
        limits={"cpu": cpu, "memory": memory, _EPHEMERAL_STORAGE_RESOURCE: "1Gi"},
    )


_RESTRICTED_SECURITY_CONTEXT = {
    "allowPrivilegeEscalation": False,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def get_process_uid(run: RunConfiguration, settings: PodSettings) -> int:
    """Return the numeric uid, never 0; with an image's user name, the kubelet cannot verify that it is not root."""
    return run.uid or settings.uid


def get_volume_gid(run: RunConfiguration, settings: PodSettings) -> int:
    return settings.gid if run.gid is None else run.gid


def get_process_gid(run: RunConfiguration, settings: PodSettings) -> int:
    """Return the primary group of the processes; a group set in the run configuration also owns `/work`."""
    return run.group if run.group is not None and run.gid is None else get_volume_gid(run, settings)


def build_pod_security_context(run: RunConfiguration, settings: PodSettings) -> V1PodSecurityContext:
    """Build the pod's security context.

    The volume belongs to the session's group. `OnRootMismatch` avoids changing all files of a volume at each start.
    """
    return V1PodSecurityContext(
        run_as_non_root=True,
        run_as_user=get_process_uid(run, settings),
        run_as_group=get_process_gid(run, settings),
        fs_group=get_volume_gid(run, settings),
        fs_group_change_policy="OnRootMismatch",
        seccomp_profile=V1SeccompProfile(type="RuntimeDefault"),
    )


def build_container_security_context(run: RunConfiguration, settings: PodSettings) -> V1SecurityContext:
    """Build the context of containers that run a user's image or read a user's files; it sets every field."""
    return V1SecurityContext(
        allow_privilege_escalation=False,
        capabilities=V1Capabilities(drop=["ALL"]),
        run_as_non_root=True,
        run_as_user=get_process_uid(run, settings),
        run_as_group=get_process_gid(run, settings),
        seccomp_profile=V1SeccompProfile(type="RuntimeDefault"),
    )


def apply_restricted_security_context(container: V1Container) -> V1Container:
    """Return a copy of an admin's container that is restricted where the admin has set nothing.

    KubeSpawner passes an admin's security context as a dictionary in some places and as a model in others.
    """
    context: Any = container.security_context or {}
    if isinstance(context, V1SecurityContext):
        context = {name: value for name, value in context.to_dict(serialize=True).items() if value is not None}
    restricted: Any = copy(container)
    restricted.security_context = {**_RESTRICTED_SECURITY_CONTEXT, **context}
    return restricted
