"""The claim that keeps `/work`: one per user and session, made once and never shrunk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubernetes_asyncio.client import (
    V1ObjectMeta,
    V1PersistentVolumeClaim,
    V1PersistentVolumeClaimSpec,
    V1VolumeResourceRequirements,
)

from ..domain import quantity
from ..domain.session import SessionSpec
from .labels import labels, notes
from .settings import PREFIX, PodSettings


def work_claim(
    name: str,
    spec: SessionSpec,
    settings: PodSettings,
    *,
    storage_class: str | None = None,
    access_modes: tuple[str, ...] = ("ReadWriteOnce",),
) -> V1PersistentVolumeClaim:
    """A claim of the size that the session's configuration asks for; None is the cluster's default storage class."""
    told = notes(spec)
    told.pop(f"{PREFIX}image")  # a claim outlives the image that it was made for
    return V1PersistentVolumeClaim(
        api_version="v1",
        kind="PersistentVolumeClaim",
        metadata=V1ObjectMeta(name=name, labels=labels(spec, settings), annotations=told),
        spec=V1PersistentVolumeClaimSpec(
            access_modes=list(access_modes),
            storage_class_name=storage_class,
            resources=V1VolumeResourceRequirements(requests={"storage": spec.needs.disk}),
        ),
    )


def growth(claim: Mapping[str, Any], spec: SessionSpec) -> dict[str, Any] | None:
    """The patch with which *claim*, as the API gives it, becomes as large as the configuration
    asks for; None when it is large enough, since a claim cannot shrink."""
    present = _requested(claim)
    if present is None or quantity.parse(spec.needs.disk) <= quantity.parse(present):
        return None
    return {"spec": {"resources": {"requests": {"storage": spec.needs.disk}}}}


def too_large(claim: Mapping[str, Any], disk: str) -> str | None:
    """The size of *claim* in words if it is larger than *disk*, which a new configuration asks for (H64)."""
    present = _requested(claim)
    if present is None or quantity.parse(disk) >= quantity.parse(present):
        return None
    return quantity.size(present)


def _requested(claim: Mapping[str, Any]) -> str | None:
    found: Any = claim
    for key in ("spec", "resources", "requests", "storage"):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, str) else None
