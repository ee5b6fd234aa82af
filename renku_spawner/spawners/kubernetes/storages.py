"""Mount a session's storages in its pod: existing PVCs and NFS exports, and remotes through csi-rclone.

The csi-rclone driver (https://github.com/SwissDataScienceCenter/csi-rclone) finds the Secret of a PVC by an annotation.
The PVC and Secret of a remote are owned by the session's pod and deleted with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from kubernetes_asyncio.client import (
    V1NFSVolumeSource,
    V1ObjectMeta,
    V1PersistentVolumeClaim,
    V1PersistentVolumeClaimSpec,
    V1PersistentVolumeClaimVolumeSource,
    V1Secret,
    V1Volume,
    V1VolumeMount,
    V1VolumeResourceRequirements,
)

from ...domain.policy import HubPolicy
from ...domain.reasons import format_reason
from ...domain.sessions import LaunchSpec
from ...domain.storages import MountedStorage, SharedVolume, has_option_reference
from ...integrations.rclone import reveal_options
from ...usecases.storage_probes import get_unavailable_reason
from .api import KubernetesAPI, KubernetesAPIError
from .objects import KubernetesObject, get_nested, to_text
from .secrets import copy_with_owner_pod
from .settings import RENKU_LABEL_PREFIX, WORK_MOUNT_PATH, PodSettings, build_launch_labels, build_session_annotations

STORAGE_VOLUME_PREFIX = "renku-storage"
RCLONE_SECRET_ANNOTATION = "csi-rclone.dev/secretName"
STORAGE_LABEL = f"{RENKU_LABEL_PREFIX}storage"
_RCLONE_REMOTE_NAME = "storage"
_RCLONE_PVC_SIZE = "1Gi"  # required by Kubernetes, ignored by the driver
_INI_SPECIAL_CHARACTERS = frozenset("#;\"'`\\")  # special for the driver's parser (gopkg.in/ini.v1)


@dataclass(frozen=True, kw_only=True)
class PodStorage:
    """A storage of a pod, with its *number* in the session; *volume* is None for a remote."""

    number: int
    mounted: MountedStorage
    volume: SharedVolume | None = None

    @property
    def directory(self) -> str:
        return self.mounted.storage.directory

    @property
    def read_only(self) -> bool:
        return self.mounted.storage.read_only or (self.volume is not None and self.volume.read_only)

    def get_pvc_name(self, secret: str) -> str:
        """Return the name of the PVC, which for a remote is also the name of its Secret."""
        return f"{secret}-{self.number}" if self.volume is None else self.volume.claim


def list_pod_storages(spec: LaunchSpec, settings: PodSettings) -> list[PodStorage]:
    """List the session's storages that are available on this cluster."""
    declared = {volume.name: volume for volume in settings.volumes if volume.is_available(local=False)}
    available = []
    for number, each in enumerate(spec.storages):
        volume = declared.get(each.storage.settings.get("volume", ""))
        if volume if each.storage.kind == "volume" else settings.rclone_storage_class:
            available.append(PodStorage(number=number, mounted=each, volume=volume))
    return available


def get_storage_directories_by_name(spec: LaunchSpec, settings: PodSettings, secret: str) -> Mapping[str, str]:
    """Return the directory of each storage by the names of its pod volume and its PVC."""
    found = list_pod_storages(spec, settings)
    return {_get_storage_volume_name(each, found): each.directory for each in found} | {
        claim: each.directory for each in found if (claim := each.get_pvc_name(secret))
    }


def list_storage_pvc_names(spec: LaunchSpec, settings: PodSettings, secret: str) -> list[str]:
    return list(
        dict.fromkeys(claim for each in list_pod_storages(spec, settings) if (claim := each.get_pvc_name(secret)))
    )


# Volumes and mounts of the pod


def build_storage_volumes(spec: LaunchSpec, settings: PodSettings, secret: str) -> list[V1Volume]:
    """Build one volume for each PVC and export, because a kubelet cannot mount the same one twice in a pod."""
    found = list_pod_storages(spec, settings)
    return [
        _build_storage_volume(each, found, secret) for each in found if _find_first_of_same_source(each, found) is each
    ]


def build_storage_mounts(spec: LaunchSpec, settings: PodSettings) -> list[V1VolumeMount]:
    """Build the mounts of the session's own container; other containers get none."""
    found = list_pod_storages(spec, settings)
    return [_build_storage_mount(each, found) for each in found]


def _find_first_of_same_source(each: PodStorage, found: list[PodStorage]) -> PodStorage:
    """Return the first storage with the same PVC or export."""
    same = (
        other
        for other in found
        if each.volume is not None and other.volume is not None and _has_same_source(each, other)
    )
    return next(same, each)


def _has_same_source(one: PodStorage, other: PodStorage) -> bool:
    return (
        one.volume is not None
        and other.volume is not None
        and ((one.volume.claim, one.volume.nfs) == (other.volume.claim, other.volume.nfs))
    )


def _get_storage_volume_name(each: PodStorage, found: list[PodStorage]) -> str:
    return f"{STORAGE_VOLUME_PREFIX}-{_find_first_of_same_source(each, found).number}"


def _build_storage_volume(each: PodStorage, found: list[PodStorage], secret: str) -> V1Volume:
    read_only = all(other.read_only for other in found if other is each or _has_same_source(each, other))
    name, nfs = _get_storage_volume_name(each, found), each.volume.nfs if each.volume else None
    if nfs is not None:
        return V1Volume(name=name, nfs=V1NFSVolumeSource(server=nfs.server, path=nfs.path, read_only=read_only))
    source = V1PersistentVolumeClaimVolumeSource(claim_name=each.get_pvc_name(secret), read_only=read_only)
    return V1Volume(name=name, persistent_volume_claim=source)


def _build_storage_mount(each: PodStorage, found: list[PodStorage]) -> V1VolumeMount:
    remote = each.volume is None
    return V1VolumeMount(
        name=_get_storage_volume_name(each, found),
        mount_path=f"{WORK_MOUNT_PATH}/{each.directory}",
        read_only=each.read_only,
        sub_path=None if remote else each.mounted.storage.path or None,
        mount_propagation="HostToContainer" if remote else None,  # the driver may have to mount it again
    )


# PVCs and Secrets of remotes


def build_remote_storage_objects(
    spec: LaunchSpec, settings: PodSettings, *, run: str, secret: str, options: Mapping[str, Mapping[str, str]]
) -> list[tuple[V1Secret, V1PersistentVolumeClaim]]:
    """Build the Secret and the PVC of each remote, without an owner.

    *options* are the remotes' rclone options by directory. Passwords in them are plain, because the driver obscures
    them itself.
    """
    remotes = [each for each in list_pod_storages(spec, settings) if each.volume is None]
    return [
        (
            _build_remote_secret(each, spec, settings, run, secret, options[each.directory]),
            _build_remote_pvc(each, spec, settings, run, secret),
        )
        for each in remotes
    ]


def _build_remote_secret(
    each: PodStorage, spec: LaunchSpec, settings: PodSettings, run: str, secret: str, options: Mapping[str, str]
) -> V1Secret:
    return V1Secret(
        api_version="v1",
        kind="Secret",
        type="Opaque",
        immutable=True,
        metadata=V1ObjectMeta(name=each.get_pvc_name(secret), labels=_build_remote_labels(each, spec, settings, run)),
        string_data={
            "remote": _RCLONE_REMOTE_NAME,
            "remotePath": each.mounted.storage.path,
            "configData": format_csi_rclone_config(options),
        },
    )


def _build_remote_pvc(
    each: PodStorage, spec: LaunchSpec, settings: PodSettings, run: str, secret: str
) -> V1PersistentVolumeClaim:
    name = each.get_pvc_name(secret)
    labels = _build_remote_labels(each, spec, settings, run)
    return V1PersistentVolumeClaim(
        api_version="v1",
        kind="PersistentVolumeClaim",
        metadata=V1ObjectMeta(
            name=name, labels=labels, annotations={**_build_remote_annotations(spec), RCLONE_SECRET_ANNOTATION: name}
        ),
        spec=V1PersistentVolumeClaimSpec(
            # Only one pod uses the PVC. The driver mounts it writable or not according to this mode.
            access_modes=["ReadOnlyMany" if each.read_only else "ReadWriteOnce"],
            storage_class_name=settings.rclone_storage_class,
            resources=V1VolumeResourceRequirements(requests={"storage": _RCLONE_PVC_SIZE}),
        ),
    )


def _build_remote_annotations(spec: LaunchSpec) -> dict[str, str]:
    pvc_annotations = build_session_annotations(spec)
    pvc_annotations.pop(f"{RENKU_LABEL_PREFIX}image")  # describes the pod only
    return pvc_annotations


def _build_remote_labels(each: PodStorage, spec: LaunchSpec, settings: PodSettings, run: str) -> dict[str, str]:
    """Return the labels of a remote's objects, without the session label, which marks PVCs with a user's files."""
    labels = build_launch_labels(spec, settings, run=run)
    labels.pop(f"{RENKU_LABEL_PREFIX}session")
    return labels | {STORAGE_LABEL: each.mounted.storage.id}


def format_csi_rclone_config(options: Mapping[str, str]) -> str:
    """Format the options as the driver reads them; a value is one line.

    Raises ValueError if a value contains a reference that the driver would replace by another option's value. Launches
    are refused before that.
    """
    if has_option_reference(options.values()):
        raise ValueError("An option refers to another option.")
    lines = [f"{name} = {_quote_ini_value(value)}" for name, value in options.items()]
    return "\n".join([f"[{_RCLONE_REMOTE_NAME}]", *lines, ""])


def _quote_ini_value(value: str) -> str:
    """Quote a value with backquotes if needed; between them every character is literal, except a final backquote."""
    return f"`{value}`" if _INI_SPECIAL_CHARACTERS & set(value) or value != value.strip() else value


async def create_storage_objects(
    calls: KubernetesAPI, spec: LaunchSpec, settings: PodSettings, *, run: str, secret: str, pod: KubernetesObject
) -> None:
    """Create the PVCs and Secrets of remotes, owned by the created *pod*. Raises KubernetesAPIError."""
    options = {each.storage.directory: reveal_options(each.storage, each.options) for each in spec.storages}
    for rclone_secret, claim in build_remote_storage_objects(spec, settings, run=run, secret=secret, options=options):
        await calls.create_secret(copy_with_owner_pod(rclone_secret, pod))
        await calls.create_pvc(copy_with_owner_pod(claim, pod))


def list_unavailable_storage_notices(spec: LaunchSpec, policy: HubPolicy) -> list[dict[str, str]]:
    """List the notices about storages that are not available on this cluster."""
    notices = []
    for each in spec.storages:
        if why := get_unavailable_reason(policy, each.storage):
            title, text = format_reason("storage_not_here", storages=each.storage.directory, why=why)
            notices.append({"code": "storage_not_here", "title": title, "text": text})
    return notices


@dataclass(kw_only=True)
class StorageNames:
    """The names that identify a storage in messages of the cluster.

    `names` are directories by the names of pod volumes and PVCs. `load_pvc_events` adds those of bound volumes.
    """

    claims: Sequence[str] = ()
    names: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_spec(cls, spec: LaunchSpec, settings: PodSettings, secret: str) -> StorageNames:
        return cls(
            claims=list_storage_pvc_names(spec, settings, secret),
            names=get_storage_directories_by_name(spec, settings, secret),
        )

    async def load_pvc_events(self, calls: KubernetesAPI) -> list[KubernetesObject]:
        """List the events of the storages' PVCs, as far as they can be read, and add the PVCs' volumes to `names`."""
        events: list[KubernetesObject] = []
        for name in self.claims:
            events += await calls.list_pvc_events(name)
            with suppress(KubernetesAPIError):
                volume = to_text(get_nested(await calls.get_pvc(name), "spec", "volumeName"))
                self.names = {**self.names, **({volume: self.names[name]} if volume else {})}
        return events
