"""What an admin has settled about pods, as a value."""

from __future__ import annotations

from dataclasses import dataclass

from ..domain.volume import Volume

WORK = "/work"
NOTEBOOK = "notebook"  # the container that KubeSpawner makes
CLONE = "clone"
PREFIX = "renku.io/"  # of our labels and annotations


@dataclass(frozen=True, kw_only=True)
class PodSettings:
    """`clone_image` has `sh`, `python3` and `git`; `uid` and `gid` hold where the run
    configuration says none (a numeric uid is needed always, decision 47).

    Times are in seconds. `hub` tells the pods of hubs that share a namespace apart and
    is a valid label value. `rclone_storage_class` mounts remotes; empty: none are mounted.
    """

    clone_image: str
    clone_timeout: int = 900
    uid: int = 1000
    gid: int = 100
    stop_grace: int = 30
    shm: str = "1Gi"
    hub: str = ""
    volumes: tuple[Volume, ...] = ()
    rclone_storage_class: str = ""
