"""Mount the storages of a local session; those that are not available become notices or LaunchFailed."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from ...domain.policy import HubPolicy
from ...domain.reasons import format_reason
from ...domain.sessions import LaunchSpec
from ...domain.storages import MountedStorage, SharedVolume, Storage, StorageProbeOutcome
from ...integrations.rclone import can_mount_remotes
from ...usecases.storage_probes import find_declared_volume, get_unavailable_reason
from ..errors import LaunchFailed
from . import mounts
from .folders import InstanceFolder
from .mounts import MountFailed, MountSpec, link_folder, mount_remote

_FOLDER_TIMEOUT_SECONDS = 10.0
StorageNotice = dict[str, str]


async def mount_storages(policy: HubPolicy, spec: LaunchSpec, folder: InstanceFolder) -> list[StorageNotice]:
    """Mount all storages in parallel, and return notices of those with a problem. Raises LaunchFailed if one fails."""
    results = await asyncio.gather(
        *(_mount_storage(policy, each, folder) for each in spec.storages), return_exceptions=True
    )
    failed = {}
    notices: list[StorageNotice] = []
    for storage, result in zip(spec.storages, results, strict=True):
        if isinstance(result, MountFailed):
            failed[storage.storage.directory] = str(result)
        elif isinstance(result, BaseException):
            raise result
        elif result is not None:
            notices.append(result)
    if failed:
        raise _build_mount_failure(failed)
    return notices


def _build_mount_failure(failed: dict[str, str]) -> LaunchFailed:
    """Build one error for all storages that failed, with the reason of each."""
    several = len(failed) > 1
    message = " ".join(f"{name}: {why}" if several else why for name, why in failed.items())
    return LaunchFailed("data_mount_failed", storages=", ".join(failed), message=message).with_failed_storages(
        tuple(failed)
    )


async def _mount_storage(policy: HubPolicy, each: MountedStorage, folder: InstanceFolder) -> StorageNotice | None:
    storage = each.storage
    if why := get_unavailable_reason(policy, storage):
        return _build_storage_notice("storage_not_here", each, why=why)
    if volume := find_declared_volume(policy, storage):
        return await _mount_volume(volume, each, folder)
    wanted = MountSpec(
        key=_format_mount_key(storage),
        directory=storage.directory,
        path=storage.path,
        options=each.options,
        read_only=storage.read_only,
        known_hosts=storage.known_hosts_text,
    )
    outcome = await mount_remote(folder, wanted)
    limit = f"{mounts.MOUNT_PROBE_TIMEOUT_SECONDS:g} s"
    return _build_storage_notice("storage_slow", each, limit=limit) if outcome is StorageProbeOutcome.SLOW else None


async def _mount_volume(declared: SharedVolume, each: MountedStorage, folder: InstanceFolder) -> StorageNotice | None:
    """Link a volume's folder, or mount it with rclone if it is read-only: a link would allow writes."""
    storage, target = each.storage, await _find_volume_folder(declared, each.storage.path)
    read_only = storage.read_only or declared.read_only
    if read_only and can_mount_remotes():
        options = {"type": "local", "copy_links": "true"}
        await mount_remote(
            folder,
            MountSpec(key=_format_mount_key(storage), directory=storage.directory, path=str(target), options=options),
        )
        return None
    await asyncio.to_thread(link_folder, folder, storage.directory, target)
    return _build_storage_notice("storage_unprotected", each) if read_only else None


def _format_mount_key(storage: Storage) -> str:
    """Return a key that differs for each version of a storage."""
    return f"{storage.id}-{storage.version}"


async def _find_volume_folder(declared: SharedVolume, path: str) -> Path:
    """Return the folder of a volume, found in a thread as a dead file server would block it. Raises MountFailed."""
    try:
        async with asyncio.timeout(_FOLDER_TIMEOUT_SECONDS):
            return await asyncio.to_thread(_resolve_volume_folder, declared, path)
    except TimeoutError:
        raise MountFailed("Its folder does not answer.") from None


def _resolve_volume_folder(declared: SharedVolume, path: str) -> Path:
    """Return the folder at *path* of a volume; links out of the volume are refused. Raises MountFailed."""
    top = os.path.realpath(declared.directory)
    target = os.path.realpath(os.path.join(top, path))
    if os.path.commonpath([top, target]) != top:
        raise MountFailed("Its folder leads out of the volume.")
    if not os.path.isdir(target):
        raise MountFailed("There is no such folder.")
    return Path(target)


def _build_storage_notice(code: str, each: MountedStorage, **values: object) -> StorageNotice:
    title, text = format_reason(code, storages=each.storage.directory, **values)
    return {"code": code, "title": title, "text": text}
