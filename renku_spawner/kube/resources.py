"""Requests and limits of a session's containers (decision 20)."""

from __future__ import annotations

from kubernetes_asyncio.client import V1ResourceRequirements

from ..domain import quantity
from ..domain.session import SessionSpec

_EPHEMERAL = "ephemeral-storage"
_EPHEMERAL_REQUEST = "1Gi"


def requirements(spec: SessionSpec, *, devices: bool = True) -> V1ResourceRequirements:
    """CPU: the minimum requested, the class as limit; memory: the class as both, so that
    nobody is evicted for using what a page promised; GPUs as the class's extended resource.

    Ephemeral storage: the class as limit, and little of it requested, since few sessions write
    much to the node's own disk. Without a request the limit would be requested.

    Init containers have the same limits (a quota asks for them), but need no *devices*.
    """
    size = spec.resource_class
    gpu = {size.gpu_resource: str(size.gpu)} if devices and size.gpu else {}
    requested, limited = _ephemeral_storage(size.ephemeral_storage)
    return V1ResourceRequirements(
        requests={"cpu": spec.needs.cpu, "memory": size.memory, **requested, **gpu},
        limits={"cpu": size.cpu, "memory": size.memory, **limited, **gpu},
    )


def _ephemeral_storage(limit: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return what is requested and the limit; nothing without a limit."""
    if not limit:
        return {}, {}
    requested = min(limit, _EPHEMERAL_REQUEST, key=quantity.parse)
    return {_EPHEMERAL: requested}, {_EPHEMERAL: limit}


def of_helper(cpu: str, memory: str, *, cpu_requested: str = "50m") -> V1ResourceRequirements:
    """Return the limits of a pod of ours that reads what is there, and writes next to nothing to its node's disk."""
    return V1ResourceRequirements(
        requests={"cpu": cpu_requested, "memory": "64Mi", _EPHEMERAL: "64Mi"},
        limits={"cpu": cpu, "memory": memory, _EPHEMERAL: "1Gi"},
    )
