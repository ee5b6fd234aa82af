"""The storages of a session on this machine: put into its working directory, or told why they are not."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from .domain import reasons
from .domain.policy import Policy
from .domain.session import SessionSpec
from .domain.storage import Mounted, Outcome, Storage
from .domain.volume import Volume
from .failures import LaunchFailed
from .runtime import mounts
from .runtime.folders import Folder
from .runtime.mounts import Mount, NotMounted
from .services.availability import declared, not_here

_ANSWERS_WITHIN = 10.0  # seconds
Notice = dict[str, str]


async def provide(policy: Policy, spec: SessionSpec, folder: Folder) -> list[Notice]:
    """Mount them all; what is told of those that are not as they should be. Raises LaunchFailed."""
    found = await asyncio.gather(*(_provided(policy, each, folder) for each in spec.storages), return_exceptions=True)
    failed = {}
    notices: list[Notice] = []
    for storage, came in zip(spec.storages, found, strict=True):
        if isinstance(came, NotMounted):
            failed[storage.storage.directory] = str(came)
        elif isinstance(came, BaseException):
            raise came
        elif came is not None:
            notices.append(came)
    if failed:
        raise _failure(failed)
    return notices


def _failure(failed: dict[str, str]) -> LaunchFailed:
    """One sentence for all that failed, each with its reason."""
    several = len(failed) > 1
    said = " ".join(f"{name}: {why}" if several else why for name, why in failed.items())
    return LaunchFailed("data_mount_failed", storages=", ".join(failed), message=said).because_of(tuple(failed))


async def _provided(policy: Policy, each: Mounted, folder: Folder) -> Notice | None:
    storage = each.storage
    if why := not_here(policy, storage):
        return _notice("storage_not_here", each, why=why)
    if volume := declared(policy, storage):
        return await _volume(volume, each, folder)
    wanted = Mount(
        key=_key(storage),
        directory=storage.directory,
        path=storage.path,
        options=each.options,
        read_only=storage.read_only,
        known_hosts=storage.known_hosts,
    )
    outcome = await mounts.mount(folder, wanted)
    limit = f"{mounts.LOOK_SECONDS:g} s"
    return _notice("storage_slow", each, limit=limit) if outcome is Outcome.SLOW else None


async def _volume(declared: Volume, each: Mounted, folder: Folder) -> Notice | None:
    """A folder that is only read is mounted, as far as that can be; a link would let everybody write to it."""
    storage, target = each.storage, await _found(declared, each.storage.path)
    read_only = storage.read_only or declared.read_only
    if read_only and mounts.possible():
        options = {"type": "local", "copy_links": "true"}
        await mounts.mount(
            folder, Mount(key=_key(storage), directory=storage.directory, path=str(target), options=options)
        )
        return None
    await asyncio.to_thread(mounts.link, folder, storage.directory, target)
    return _notice("storage_unprotected", each) if read_only else None


def _key(storage: Storage) -> str:
    """What an editor has changed is another remote."""
    return f"{storage.id}-{storage.version}"


async def _found(declared: Volume, path: str) -> Path:
    """The folder; one whose server has gone keeps a thread, and nobody else. Raises NotMounted."""
    try:
        async with asyncio.timeout(_ANSWERS_WITHIN):
            return await asyncio.to_thread(_below, declared, path)
    except TimeoutError:
        raise NotMounted("Its folder does not answer.") from None


def _below(declared: Volume, path: str) -> Path:
    """The folder at *path* in it; a link in it that leads out is not followed. Raises NotMounted."""
    top = os.path.realpath(declared.directory)
    target = os.path.realpath(os.path.join(top, path))
    if os.path.commonpath([top, target]) != top:
        raise NotMounted("Its folder leads out of the volume.")
    if not os.path.isdir(target):
        raise NotMounted("There is no such folder.")
    return Path(target)


def _notice(code: str, each: Mounted, **values: object) -> Notice:
    title, text = reasons.words(code, storages=each.storage.directory, **values)
    return {"code": code, "title": title, "text": text}
