"""Mount remote storages with rclone, or link local folders, in an instance's working directory."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL, SIGTERM
from time import monotonic

from ...domain.storages import StorageProbeOutcome
from ...integrations.rclone import (
    RCLONE_REMOTE_NAME,
    build_rclone_environment,
    find_rclone,
    probe_remote,
)
from ..logs import read_file_tail, redact_log
from .folders import InstanceFolder, list_mount_points, unmount_all
from .process import ProcessInfo, list_processes, read_process_environment, send_signal

_MOUNT_MARKER_VARIABLE = "RENKU_MOUNTS_OF"
MOUNT_PROBE_TIMEOUT_SECONDS = 15.0  # a slower storage is mounted all the same, with a notice
_RCLONE_MOUNT_POLL_INTERVAL_SECONDS = 0.02
_MOUNT_TIMEOUT_SECONDS = 15.0
_WRITE_BACK_TIMEOUT_SECONDS = 10.0  # for a mount to upload what it still caches
_MOUNT_EXIT_TIMEOUT_SECONDS = 5.0  # for rclone to exit once it is unmounted
_MOUNT_RECORD_FILE = "storages.json"  # next to the working directory: the mount points that were created in it
_mount_record_lock = threading.Lock()  # storages of a session are mounted in parallel and share the record
_MOUNT_FLAGS = (
    "--ask-password=false", "--contimeout=10s", "--log-format=", "--log-level=ERROR", "--low-level-retries=5",
    "--umask=077",
)  # fmt: skip
# Upload each file as soon as it is closed, so that a pause need not wait long.
_WRITABLE_MOUNT_FLAGS = ("--vfs-cache-mode=writes", "--vfs-write-back=0")
# Mounts that this hub process started: only a parent can reap a process.
_mount_processes: dict[Path, list[subprocess.Popen[bytes]]] = {}


class MountFailed(Exception):
    """A storage cannot be mounted; the message is a sentence for its user and contains no credentials."""


@dataclass(frozen=True, kw_only=True)
class MountSpec:
    """A storage to mount at *directory* of a working directory: *path* in the remote that *options* configure.

    *key* is unique to this version of the storage: it names the cache of writes that are not uploaded yet.
    """

    key: str
    directory: str
    path: str
    options: Mapping[str, str] = field(repr=False)
    read_only: bool = True
    known_hosts: str = ""


async def mount_remote(folder: InstanceFolder, wanted: MountSpec) -> StorageProbeOutcome:
    """Probe a storage and mount it in the working directory; return the probe's outcome, which may be `slow`.

    Raises:
        MountFailed: the storage cannot be opened or mounted.
    """
    outcome = await _probe_mount(wanted)
    if outcome.is_blocking or outcome is StorageProbeOutcome.UNREACHABLE:
        raise MountFailed(outcome.description)
    point = _create_mount_point(folder, wanted.directory)
    child, log = _start_mount_process(folder, point, wanted)
    try:
        await _wait_until_mounted(point, child)
    except MountFailed:
        await asyncio.to_thread(_kill_mount_process, child)
        error = redact_log(read_file_tail(log, lines=1), wanted.options.values())
        raise MountFailed(f"It could not be mounted: {error[:300]}" if error else "It could not be mounted.") from None
    return outcome


async def _probe_mount(wanted: MountSpec) -> StorageProbeOutcome:
    """Probe the storage; a local folder only has to exist, as rclone would report each broken link in it."""
    if wanted.options["type"] == "local":
        return (
            StorageProbeOutcome.FINE
            if await asyncio.to_thread(os.path.isdir, wanted.path)
            else StorageProbeOutcome.NOT_FOUND
        )
    known = wanted.known_hosts
    return await probe_remote(wanted.options, wanted.path, seconds=MOUNT_PROBE_TIMEOUT_SECONDS, known_hosts=known)


def link_folder(folder: InstanceFolder, directory: str, target: Path) -> None:
    """Link *directory* of the working directory to a folder of this machine. Raises MountFailed."""
    if not target.is_dir():
        raise MountFailed("There is no such folder on this machine.")
    point = _create_mount_point(folder, directory, target)
    try:
        point.rmdir()
        point.symlink_to(target)
    except OSError as error:
        raise MountFailed(f"It cannot be put into the working directory: {error.strerror}.") from None


async def remove_mounts(folder: InstanceFolder) -> None:
    """Unmount all storages of an instance; their files are untouched. Raises StillMounted.

    Writes that are not uploaded in time stay in rclone's cache and are uploaded at the next mount.
    """
    end = monotonic() + _WRITE_BACK_TIMEOUT_SECONDS
    while monotonic() < end and await asyncio.to_thread(_has_unwritten_files, folder):
        await asyncio.sleep(_RCLONE_MOUNT_POLL_INTERVAL_SECONDS)
    await asyncio.to_thread(unmount_all, folder.work_dir)
    if (folder.path / _MOUNT_RECORD_FILE).exists() or folder.path.resolve() in _mount_processes:
        await _stop_mount_processes(folder)
        await asyncio.to_thread(unmount_all, folder.work_dir)  # a start that was interrupted may have mounted meanwhile
        await asyncio.to_thread(_remove_mount_points, folder)


def _has_unwritten_files(folder: InstanceFolder) -> bool:
    """Return whether a mount still caches writes: rclone exits without uploading them, and marks each file as dirty."""
    notes = (folder.path / "storages").glob("*/vfsMeta/**/*")
    return bool(list_mount_points(folder.work_dir)) and any(_is_dirty_note(note) for note in notes)


def _is_dirty_note(note: Path) -> bool:
    try:
        return b'"Dirty": false' not in note.read_bytes()  # a note is empty while rclone writes it
    except OSError:  # a folder, or deleted meanwhile
        return False


def _start_mount_process(
    folder: InstanceFolder, point: Path, wanted: MountSpec
) -> tuple[subprocess.Popen[bytes], Path]:
    """Start rclone; return its process and its log file."""
    own = folder.path / "storages"
    own.mkdir(mode=0o700, exist_ok=True)
    log = own / f"{wanted.directory}.log"
    how = ["--read-only"] if wanted.read_only else [*_WRITABLE_MOUNT_FLAGS, f"--cache-dir={own / wanted.key}"]
    remote, options = f"{RCLONE_REMOTE_NAME}:{wanted.path}", dict(wanted.options)
    if wanted.known_hosts:
        known = own / f"{wanted.key}.known_hosts"
        known.write_text(wanted.known_hosts, encoding="utf-8")
        options["known_hosts_file"] = str(known.resolve())
    command = [find_rclone() or "rclone", "mount", *_MOUNT_FLAGS, *how, "--", remote, str(point)]
    log_descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        child = subprocess.Popen(
            command,
            env={**build_rclone_environment(options), _MOUNT_MARKER_VARIABLE: str(folder.path.resolve())},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log_descriptor,
            start_new_session=True,
        )
    finally:
        os.close(log_descriptor)
    _mount_processes.setdefault(folder.path.resolve(), []).append(child)
    return child, log


async def _wait_until_mounted(point: Path, child: subprocess.Popen[bytes]) -> None:
    end = monotonic() + _MOUNT_TIMEOUT_SECONDS
    where = Path(os.path.realpath(point.parent)) / point.name
    while where not in list_mount_points(where.parent):
        if child.poll() is not None or monotonic() > end:
            raise MountFailed
        await asyncio.sleep(_RCLONE_MOUNT_POLL_INTERVAL_SECONDS)


def _kill_mount_process(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()


def _create_mount_point(folder: InstanceFolder, directory: str, target: Path | None = None) -> Path:
    """Create the empty directory to mount on; the user's own files of that name are kept. Raises MountFailed."""
    point = folder.work_dir / directory
    if point.parent != folder.work_dir or directory in ("", ".", ".."):
        raise MountFailed(f"{directory!r} is not a valid name of a directory.")
    try:
        if os.path.lexists(point) and (point.is_symlink() or any(point.iterdir())):
            raise MountFailed(f"Your working directory contains something else called {directory}. Please rename it.")
        with _mount_record_lock:
            _write_mount_record(folder, {**_read_mount_record(folder), directory: str(target) if target else None})
        point.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise MountFailed(f"It cannot be put into the working directory: {error.strerror}.") from None
    return point


def _remove_mount_points(folder: InstanceFolder) -> None:
    """Remove recorded mount points and links; a directory with files in it is kept."""
    for directory, target in _read_mount_record(folder).items():
        point = folder.work_dir / directory
        with suppress(OSError):
            if target is not None and point.is_symlink() and os.readlink(point) == target:
                point.unlink()
            elif not point.is_symlink():
                point.rmdir()  # only if it is empty
    (folder.path / _MOUNT_RECORD_FILE).unlink(missing_ok=True)


def _read_mount_record(folder: InstanceFolder) -> dict[str, str | None]:
    try:
        found = json.loads((folder.path / _MOUNT_RECORD_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write_mount_record(folder: InstanceFolder, made: Mapping[str, str | None]) -> None:
    new = folder.path / f"{_MOUNT_RECORD_FILE}.new"
    new.write_text(json.dumps(made), encoding="utf-8")
    new.replace(folder.path / _MOUNT_RECORD_FILE)


async def _stop_mount_processes(folder: InstanceFolder) -> None:
    """Wait for rclone processes, which exit once they are unmounted; signal those that do not."""
    end = monotonic() + _MOUNT_EXIT_TIMEOUT_SECONDS
    while left := await asyncio.to_thread(_list_mount_processes, folder):
        late = monotonic() - end
        if late > 0:
            for process in left:
                send_signal(process, SIGTERM if late < 1 else SIGKILL)
        await asyncio.sleep(_RCLONE_MOUNT_POLL_INTERVAL_SECONDS)


def _list_mount_processes(folder: InstanceFolder) -> list[ProcessInfo]:
    """List the rclone processes of an instance. One that is exiting has no environment, so own children count too."""
    mark, ours = os.fsencode(folder.path.resolve()), _list_unreaped_pids(folder.path.resolve())
    return [
        each
        for each in list_processes()
        if each.pid in ours
        or (each.is_alive and read_process_environment(each.pid).get(_MOUNT_MARKER_VARIABLE.encode()) == mark)
    ]


def _list_unreaped_pids(folder: Path) -> set[int]:
    """Return the pids of own children that still run, and forget the others."""
    alive = [child for child in _mount_processes.pop(folder, []) if child.poll() is None]
    if alive:
        _mount_processes[folder] = alive
    return {child.pid for child in alive}
