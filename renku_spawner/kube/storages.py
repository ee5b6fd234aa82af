"""How storages look to Kubernetes: claims and exports that were there before, and what csi-rclone mounts of a remote.

That driver (https://github.com/SwissDataScienceCenter/csi-rclone) finds the Secret of a claim by its annotation. Both
belong to the session's pod, and go with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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

from ..domain.session import SessionSpec
from ..domain.storage import Mounted
from ..domain.storage_checks import has_reference
from ..domain.volume import Volume
from .labels import notes, run_labels
from .settings import PREFIX, WORK, PodSettings

VOLUME = "renku-storage"
ANNOTATION = "csi-rclone.dev/secretName"
STORAGE = f"{PREFIX}storage"
_REMOTE = "storage"
_SIZE = "1Gi"  # has to be said, and means nothing
_UNQUOTED = frozenset("#;\"'`\\")  # what the driver's reader (gopkg.in/ini.v1) takes for something else


@dataclass(frozen=True, kw_only=True)
class Had:
    """A storage that a pod gets, the *number*th of its session: of a declared *volume*, or a remote."""

    number: int
    mounted: Mounted
    volume: Volume | None = None

    @property
    def directory(self) -> str:
        return self.mounted.storage.directory

    @property
    def read_only(self) -> bool:
        return self.mounted.storage.read_only or (self.volume is not None and self.volume.read_only)

    def claim(self, secret: str) -> str:
        """The name of its claim; of one that is made, that of its Secret too."""
        return f"{secret}-{self.number}" if self.volume is None else self.volume.claim


def had(spec: SessionSpec, settings: PodSettings) -> list[Had]:
    """Those that can be had on this cluster."""
    declared = {volume.name: volume for volume in settings.volumes if volume.here(local=False)}
    found = []
    for number, each in enumerate(spec.storages):
        volume = declared.get(each.storage.settings.get("volume", ""))
        if volume if each.storage.kind == "volume" else settings.rclone_storage_class:
            found.append(Had(number=number, mounted=each, volume=volume))
    return found


def names(spec: SessionSpec, settings: PodSettings, secret: str) -> Mapping[str, str]:
    """The directory of each storage by what the cluster calls it: its volume of the pod, and its claim."""
    found = had(spec, settings)
    return {_name(each, found): each.directory for each in found} | {
        claim: each.directory for each in found if (claim := each.claim(secret))
    }


def claims(spec: SessionSpec, settings: PodSettings, secret: str) -> list[str]:
    return list(dict.fromkeys(claim for each in had(spec, settings) if (claim := each.claim(secret))))


# ---- in the pod --------------------------------------------------------------------------------------------


def volumes(spec: SessionSpec, settings: PodSettings, secret: str) -> list[V1Volume]:
    """One for each claim and export, however many storages it holds: kubelets do not take the same one twice."""
    found = had(spec, settings)
    return [_volume(each, found, secret) for each in found if _first(each, found) is each]


def mounts(spec: SessionSpec, settings: PodSettings) -> list[V1VolumeMount]:
    """Of the session's own container, and of no other."""
    found = had(spec, settings)
    return [_mount(each, found) for each in found]


def _first(each: Had, found: list[Had]) -> Had:
    """The first that comes from the same place."""
    same = (other for other in found if each.volume is not None and other.volume is not None and _same(each, other))
    return next(same, each)


def _same(one: Had, other: Had) -> bool:
    return (
        one.volume is not None
        and other.volume is not None
        and ((one.volume.claim, one.volume.nfs) == (other.volume.claim, other.volume.nfs))
    )


def _name(each: Had, found: list[Had]) -> str:
    return f"{VOLUME}-{_first(each, found).number}"


def _volume(each: Had, found: list[Had], secret: str) -> V1Volume:
    read_only = all(other.read_only for other in found if other is each or _same(each, other))
    name, nfs = _name(each, found), each.volume.nfs if each.volume else None
    if nfs is not None:
        return V1Volume(name=name, nfs=V1NFSVolumeSource(server=nfs.server, path=nfs.path, read_only=read_only))
    source = V1PersistentVolumeClaimVolumeSource(claim_name=each.claim(secret), read_only=read_only)
    return V1Volume(name=name, persistent_volume_claim=source)


def _mount(each: Had, found: list[Had]) -> V1VolumeMount:
    remote = each.volume is None
    return V1VolumeMount(
        name=_name(each, found),
        mount_path=f"{WORK}/{each.directory}",
        read_only=each.read_only,
        sub_path=None if remote else each.mounted.storage.path or None,
        mount_propagation="HostToContainer" if remote else None,  # the driver may have to mount it anew
    )


# ---- beside it -----------------------------------------------------------------------------------------------


def objects(
    spec: SessionSpec, settings: PodSettings, *, run: str, secret: str, options: Mapping[str, Mapping[str, str]]
) -> list[tuple[V1Secret, V1PersistentVolumeClaim]]:
    """What each remote needs, without an owner yet. *options* are those of the remotes by directory, with nothing
    obscured: the driver does that itself."""
    remotes = [each for each in had(spec, settings) if each.volume is None]
    return [
        (_secret(each, spec, settings, run, secret, options[each.directory]), _claim(each, spec, settings, run, secret))
        for each in remotes
    ]


def _secret(
    each: Had, spec: SessionSpec, settings: PodSettings, run: str, secret: str, options: Mapping[str, str]
) -> V1Secret:
    return V1Secret(
        api_version="v1",
        kind="Secret",
        type="Opaque",
        immutable=True,
        metadata=V1ObjectMeta(name=each.claim(secret), labels=_labels(each, spec, settings, run)),
        string_data={"remote": _REMOTE, "remotePath": each.mounted.storage.path, "configData": config(options)},
    )


def _claim(each: Had, spec: SessionSpec, settings: PodSettings, run: str, secret: str) -> V1PersistentVolumeClaim:
    name = each.claim(secret)
    labels = _labels(each, spec, settings, run)
    return V1PersistentVolumeClaim(
        api_version="v1",
        kind="PersistentVolumeClaim",
        metadata=V1ObjectMeta(name=name, labels=labels, annotations={**_notes(spec), ANNOTATION: name}),
        spec=V1PersistentVolumeClaimSpec(
            # One pod uses it, whatever it may do with it; by these modes the driver knows whether it may write.
            access_modes=["ReadOnlyMany" if each.read_only else "ReadWriteOnce"],
            storage_class_name=settings.rclone_storage_class,
            resources=V1VolumeResourceRequirements(requests={"storage": _SIZE}),
        ),
    )


def _notes(spec: SessionSpec) -> dict[str, str]:
    told = notes(spec)
    told.pop(f"{PREFIX}image")  # that is the pod's
    return told


def _labels(each: Had, spec: SessionSpec, settings: PodSettings, run: str) -> dict[str, str]:
    """Not the session's: what has that keeps somebody's work."""
    usual = run_labels(spec, settings, run=run)
    usual.pop(f"{PREFIX}session")
    return usual | {STORAGE: each.mounted.storage.id}


def config(options: Mapping[str, str]) -> str:
    """Write the options as the driver reads them; a value is one line.

    Raises ValueError where the driver would put one option's value into another's. A start is refused before that.
    """
    if has_reference(options.values()):
        raise ValueError("An option has a reference to another one in it.")
    lines = [f"{name} = {_quoted(value)}" for name, value in options.items()]
    return "\n".join([f"[{_REMOTE}]", *lines, ""])


def _quoted(value: str) -> str:
    """Between backquotes everything stands for itself, backquotes too but for the last."""
    return f"`{value}`" if _UNQUOTED & set(value) or value != value.strip() else value
