"""Which storages can be had where this hub's sessions run, whoever asks for them."""

from __future__ import annotations

from ..domain.policy import Policy
from ..domain.storage import Storage
from ..domain.volume import Volume
from ..runtime import mounts


def declared(policy: Policy, storage: Storage) -> Volume | None:
    """The volume that it is, if there is one of that name here."""
    name = storage.settings.get("volume")
    return next((each for each in policy.volumes if each.name == name and each.here(local=policy.local)), None)


def not_here(policy: Policy, storage: Storage) -> str:
    """Why no session has it, however it is configured; empty if sessions have it."""
    if storage.kind == "volume":
        where = "folder of this machine" if policy.local else "volume of this cluster"
        return "" if declared(policy, storage) else f"what an admin has declared is no {where}"
    if policy.local:
        return "" if mounts.possible() else "this machine lacks rclone or FUSE"
    return "" if policy.rclone_storage_class else "this cluster mounts no remotes"
