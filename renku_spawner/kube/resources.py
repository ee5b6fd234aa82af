"""Requests and limits of a session's containers (decision 20)."""

from __future__ import annotations

from kubernetes_asyncio.client import V1ResourceRequirements

from ..domain.session import SessionSpec


def requirements(spec: SessionSpec, *, devices: bool = True) -> V1ResourceRequirements:
    """CPU: the minimum requested, the class as limit; memory: the class as both, so that
    nobody is evicted for using what a page promised; GPUs as the class's extended resource.

    Init containers have the same limits (a quota asks for them), but need no *devices*.
    """
    size = spec.resource_class
    gpu = {size.gpu_resource: str(size.gpu)} if devices and size.gpu else {}
    return V1ResourceRequirements(
        requests={"cpu": spec.needs.cpu, "memory": size.memory, **gpu},
        limits={"cpu": size.cpu, "memory": size.memory, **gpu},
    )
