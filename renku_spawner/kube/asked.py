"""What was asked for, as far as words about a pod need it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ..domain import quantity
from ..domain.session import SessionSpec
from .settings import NOTEBOOK


@dataclass(frozen=True, kw_only=True)
class Asked:
    """`limit` is the memory limit in words, `program` what shall run, `gpu` the resource
    of the class; `ours` are the objects that we make after the pod, `making` those of
    them that are not made yet; `storages` are directories by what the cluster calls their
    claims and volumes; `hub_since` is when this hub began, before which programs found none."""

    image: str
    limit: str = ""
    program: str = "jupyterhub-singleuser"
    gpu: str = "nvidia.com/gpu"
    container: str = NOTEBOOK
    was_ready: bool = False
    ours: frozenset[str] = frozenset()
    making: frozenset[str] = frozenset()
    storages: Mapping[str, str] = field(default_factory=dict)
    now: datetime | None = None
    hub_since: datetime | None = None

    def storage_in(self, said: str) -> str | None:
        """The directory of the storage that a message is about."""
        return next((directory for name, directory in self.storages.items() if name in said), None)


def asked(spec: SessionSpec, **more: object) -> Asked:
    """For the pod of that session; *more* are further fields of `Asked`."""
    usual: dict[str, object] = {
        "image": spec.image,
        "limit": quantity.size(spec.resource_class.memory),
        "gpu": spec.resource_class.gpu_resource,
    }
    if spec.run.command:
        usual["program"] = spec.run.command[0]
    return Asked(**{**usual, **more})  # type: ignore[arg-type]
