"""Settings, names, labels and annotations that all Kubernetes objects of a session share."""

from __future__ import annotations

from dataclasses import dataclass

from ...domain.sessions import LaunchSpec
from ...domain.storages import SharedVolume

WORK_MOUNT_PATH = "/work"
NOTEBOOK_CONTAINER_NAME = "notebook"  # KubeSpawner's name of the container
CLONE_CONTAINER_NAME = "clone"
RENKU_LABEL_PREFIX = "renku.io/"  # for labels and annotations


@dataclass(frozen=True, kw_only=True)
class PodSettings:
    """Settings for building pods, from the spawner's configuration.

    `clone_image` has `sh`, `python3` and `git`. `uid` and `gid` apply where the run configuration sets none, because
    pods always need a numeric uid. Times are in seconds. `hub` is a label value that distinguishes hubs in the same
    namespace. Without `rclone_storage_class`, no remotes are mounted.
    """

    clone_image: str
    clone_timeout: int = 900
    uid: int = 1000
    gid: int = 100
    stop_grace: int = 30
    shm: str = "1Gi"
    hub: str = ""
    volumes: tuple[SharedVolume, ...] = ()
    rclone_storage_class: str = ""


# The network policies of the JupyterHub Helm chart let pods with this label reach the hub.
HUB_NETWORK_LABELS = {"hub.jupyter.org/network-access-hub": "true"}


def build_session_labels(spec: LaunchSpec, settings: PodSettings) -> dict[str, str]:
    """Return the labels of objects that outlive a run of the session."""
    ids = {f"{RENKU_LABEL_PREFIX}project": spec.project, f"{RENKU_LABEL_PREFIX}session": spec.session}
    return ids | ({f"{RENKU_LABEL_PREFIX}hub": settings.hub} if settings.hub else {})


def build_launch_labels(spec: LaunchSpec, settings: PodSettings, *, run: str) -> dict[str, str]:
    """Return the labels of objects that belong to one run."""
    return {
        **build_session_labels(spec, settings),
        f"{RENKU_LABEL_PREFIX}launch": run,
        f"{RENKU_LABEL_PREFIX}revision": spec.revision,
    }


def build_session_annotations(spec: LaunchSpec) -> dict[str, str]:
    return {
        f"{RENKU_LABEL_PREFIX}image": spec.image,
        f"{RENKU_LABEL_PREFIX}project-path": spec.project_path,
        f"{RENKU_LABEL_PREFIX}title": spec.title,
        f"{RENKU_LABEL_PREFIX}username": spec.username,
    }
