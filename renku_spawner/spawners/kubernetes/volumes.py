"""Create, grow and delete the PVC that holds a session's files.

The PVCs of storages belong in `storages`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubernetes_asyncio.client import (
    V1ObjectMeta,
    V1PersistentVolumeClaim,
    V1PersistentVolumeClaimSpec,
    V1VolumeResourceRequirements,
)

from ...domain.quantities import format_size_quantity, parse_quantity
from ...domain.sessions import LaunchSpec
from .api import KubernetesAPI, KubernetesAPIError
from .diagnosis import PodNotice
from .errors import KubernetesRefusal
from .objects import KubernetesObject, get_nested, to_text
from .settings import RENKU_LABEL_PREFIX, PodSettings, build_session_annotations, build_session_labels


def build_work_pvc(
    name: str,
    spec: LaunchSpec,
    settings: PodSettings,
    *,
    storage_class: str | None = None,
    access_modes: tuple[str, ...] = ("ReadWriteOnce",),
) -> V1PersistentVolumeClaim:
    """Build a PVC of the size that the session needs; *storage_class* None is the cluster's default."""
    pvc_annotations = build_session_annotations(spec)
    pvc_annotations.pop(f"{RENKU_LABEL_PREFIX}image")  # a PVC outlives the image that it was created with
    return V1PersistentVolumeClaim(
        api_version="v1",
        kind="PersistentVolumeClaim",
        metadata=V1ObjectMeta(name=name, labels=build_session_labels(spec, settings), annotations=pvc_annotations),
        spec=V1PersistentVolumeClaimSpec(
            access_modes=list(access_modes),
            storage_class_name=storage_class,
            resources=V1VolumeResourceRequirements(requests={"storage": spec.needs.disk}),
        ),
    )


def build_pvc_growth_patch(claim: Mapping[str, Any], spec: LaunchSpec) -> dict[str, Any] | None:
    """Build the patch that grows the PVC *claim* to the size that the session needs.

    Return None if the PVC is large enough; a PVC cannot shrink.
    """
    present = _get_requested_size(claim)
    if present is None or parse_quantity(spec.needs.disk) <= parse_quantity(present):
        return None
    return {"spec": {"resources": {"requests": {"storage": spec.needs.disk}}}}


def get_oversized_pvc_size(claim: Mapping[str, Any], disk: str) -> str | None:
    """Return the formatted size of the PVC if it is larger than *disk*, the size in the new configuration."""
    present = _get_requested_size(claim)
    if present is None or parse_quantity(disk) >= parse_quantity(present):
        return None
    return format_size_quantity(present)


def _get_requested_size(claim: Mapping[str, Any]) -> str | None:
    value: Any = claim
    for key in ("spec", "resources", "requests", "storage"):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) else None


SESSION_LABEL = f"{RENKU_LABEL_PREFIX}session"


async def ensure_pvc(
    calls: KubernetesAPI, claim: V1PersistentVolumeClaim, spec: LaunchSpec, *, expected: bool
) -> PodNotice | None:
    """Create the PVC or grow an existing one; return a notice if it could not grow.

    If the PVC is *expected*, it has a user's files, so a missing one is an error and is not created again.

    Raises:
        KubernetesAPIError: `volume_lost`, `in_the_way`, or the cluster's error.
    """
    if not expected and await _try_create_pvc(calls, claim):
        return None
    name = claim.metadata.name
    present = await calls.get_pvc(name)
    if present is not None and _get_pvc_session(present) != spec.session:
        raise KubernetesAPIError(KubernetesRefusal(code="in_the_way", values={"name": name}))
    if present is not None and not get_nested(present, "metadata", "deletionTimestamp"):
        return await _grow_pvc(calls, present, spec)
    if expected:
        raise KubernetesAPIError(KubernetesRefusal(code="volume_lost"))
    await calls.create_pvc(claim)
    return None


async def _try_create_pvc(calls: KubernetesAPI, claim: V1PersistentVolumeClaim) -> bool:
    """Create the PVC; return False if it already exists, even if a quota would refuse a new one."""
    try:
        return await calls.create_pvc(claim)
    except KubernetesAPIError as denied:
        if denied.refusal.again or await calls.get_pvc(claim.metadata.name) is None:
            raise
        return False


async def _grow_pvc(calls: KubernetesAPI, present: KubernetesObject, spec: LaunchSpec) -> PodNotice | None:
    """Grow the PVC if needed; return a notice if the cluster refuses, as with storage classes that do not expand."""
    patch = build_pvc_growth_patch(present, spec)
    if patch is None:
        return None
    try:
        await calls.patch_pvc(to_text(get_nested(present, "metadata", "name")), patch)
    except KubernetesAPIError as denied:
        return PodNotice(code="volume_resize", values={"message": denied.refusal.values.get("message", "")})
    return None


async def delete_session_pvc(calls: KubernetesAPI, name: str, session: str) -> bool:
    """Delete the PVC of this session by uid; return False if the PVC belongs to another session."""
    present = await calls.get_pvc(name)
    if present is None:
        return True
    if _get_pvc_session(present) != session:
        return False
    await calls.delete_pvc(name, uid=to_text(get_nested(present, "metadata", "uid")))
    return True


def _get_pvc_session(claim: KubernetesObject) -> str | None:
    return to_text(get_nested(claim, "metadata", "labels", SESSION_LABEL)) or None
