"""Storages of a session on this machine: what rclone mounts by FUSE, and folders that are linked to.

A mount is a process of its own, which outlives the hub and is found again by a variable in its environment. It ends
only after the session's own processes have, so that what they wrote last still gets where it belongs.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL, SIGTERM
from time import monotonic

from ..domain.storage import Outcome
from . import disks, logs, proc, rclone
from .folders import Folder
from .proc import Process

_MARKER = "RENKU_MOUNTS_OF"
LOOK_SECONDS = 15.0  # what takes longer is slow, and mounted all the same
_POLL = 0.02  # seconds between two looks
_UNTIL_MOUNTED = 15.0  # seconds
_UNTIL_WRITTEN = 10.0  # seconds that a mount has to write what it still holds
_UNTIL_ENDED = 5.0  # seconds that it has to end once it is unmounted
_DEVICE = Path("/dev/fuse")
_RECORD = "storages.json"  # beside the working directory: the directories in it that we have made
_record_lock = threading.Lock()  # storages of one session are put in place in parallel and share the record
_FLAGS = (
    "--ask-password=false", "--contimeout=10s", "--log-format=", "--log-level=ERROR", "--low-level-retries=5",
    "--umask=077",
)  # fmt: skip
# What is written is on its way as soon as its file is closed, so that a pause need not wait long.
_WRITABLE = ("--vfs-cache-mode=writes", "--vfs-write-back=0")
# Mounts that this very hub has made: only a parent can reap a process.
_children: dict[Path, list[subprocess.Popen[bytes]]] = {}


class NotMounted(Exception):
    """A storage cannot be had; the message is a sentence for its user, without anything of a credential."""


@dataclass(frozen=True, kw_only=True)
class Mount:
    """What shall be at *directory* of a working directory: *path* in the remote that *options* configure.

    *key* tells it from every other that was ever there: what of it has not got through is kept under that name.
    """

    key: str
    directory: str
    path: str
    options: Mapping[str, str] = field(repr=False)
    read_only: bool = True
    known_hosts: str = ""


def possible() -> bool:
    """Whether remotes can be mounted on this machine."""
    return rclone.program() is not None and shutil.which("fusermount3") is not None and os.access(_DEVICE, os.R_OK)


async def mount(folder: Folder, wanted: Mount) -> Outcome:
    """Mount it in the working directory, once a look has found that it can be opened; `slow` if that could not be told.

    Raises NotMounted.
    """
    outcome = await _look(wanted)
    if outcome.refuses or outcome is Outcome.UNREACHABLE:
        raise NotMounted(outcome.words)
    point = _make(folder, wanted.directory)
    child, log = _start(folder, point, wanted)
    try:
        await _until_mounted(point, child)
    except NotMounted:
        await asyncio.to_thread(_kill, child)
        said = logs.redact(logs.tail(log, lines=1), wanted.options.values())
        raise NotMounted(f"It could not be mounted: {said[:300]}" if said else "It could not be mounted.") from None
    return outcome


async def _look(wanted: Mount) -> Outcome:
    """Of a folder of this machine rclone complains for each link in it that leads nowhere."""
    if wanted.options["type"] == "local":
        return Outcome.FINE if await asyncio.to_thread(os.path.isdir, wanted.path) else Outcome.NOT_FOUND
    known = wanted.known_hosts
    return await rclone.look(wanted.options, wanted.path, seconds=LOOK_SECONDS, known_hosts=known)


def link(folder: Folder, directory: str, target: Path) -> None:
    """Let *directory* of the working directory lead to a folder of this machine. Raises NotMounted."""
    if not target.is_dir():
        raise NotMounted("There is no such folder on this machine.")
    point = _make(folder, directory, target)
    try:
        point.rmdir()
        point.symlink_to(target)
    except OSError as error:
        raise NotMounted(f"It cannot be put into the working directory: {error.strerror}.") from None


async def clear(folder: Folder) -> None:
    """Take away what there is of storages; what they hold is untouched. Raises StillMounted.

    What was written last and does not get through in time is kept, and goes on its way at the next mount.
    """
    end = monotonic() + _UNTIL_WRITTEN
    while monotonic() < end and await asyncio.to_thread(_holds_back, folder):
        await asyncio.sleep(_POLL)
    await asyncio.to_thread(disks.clear, folder.work)
    if (folder.path / _RECORD).exists() or folder.path.resolve() in _children:
        await _end(folder)
        await asyncio.to_thread(_tidy, folder)


def _holds_back(folder: Folder) -> bool:
    """Whether something is mounted that has not written all yet: rclone ends without, and notes it for each file."""
    notes = (folder.path / "storages").glob("*/vfsMeta/**/*")
    return bool(disks.below(folder.work)) and any(_is_dirty(note) for note in notes)


def _is_dirty(note: Path) -> bool:
    try:
        return b'"Dirty": false' not in note.read_bytes()  # a note that is being written is empty
    except OSError:  # a folder, or gone meanwhile
        return False


def _start(folder: Folder, point: Path, wanted: Mount) -> tuple[subprocess.Popen[bytes], Path]:
    """The process, and the file with what it complains about."""
    own = folder.path / "storages"
    own.mkdir(mode=0o700, exist_ok=True)
    log = own / f"{wanted.directory}.log"
    how = ["--read-only"] if wanted.read_only else [*_WRITABLE, f"--cache-dir={own / wanted.key}"]
    remote, options = f"{rclone.REMOTE}:{wanted.path}", dict(wanted.options)
    if wanted.known_hosts:
        known = own / f"{wanted.key}.known_hosts"
        known.write_text(wanted.known_hosts, encoding="utf-8")
        options["known_hosts_file"] = str(known.resolve())
    command = [rclone.program() or "rclone", "mount", *_FLAGS, *how, "--", remote, str(point)]
    said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        child = subprocess.Popen(
            command, env={**rclone.environment(options), _MARKER: str(folder.path.resolve())}, cwd="/",
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said, start_new_session=True,
        )  # fmt: skip
    finally:
        os.close(said)
    _children.setdefault(folder.path.resolve(), []).append(child)
    return child, log


async def _until_mounted(point: Path, child: subprocess.Popen[bytes]) -> None:
    end = monotonic() + _UNTIL_MOUNTED
    where = Path(os.path.realpath(point.parent)) / point.name
    while where not in disks.below(where.parent):
        if child.poll() is not None or monotonic() > end:
            raise NotMounted
        await asyncio.sleep(_POLL)


def _kill(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()


def _make(folder: Folder, directory: str, target: Path | None = None) -> Path:
    """The empty directory that becomes the storage: what its owner has under this name stays. Raises NotMounted."""
    point = folder.work / directory
    if point.parent != folder.work or directory in ("", ".", ".."):
        raise NotMounted(f"{directory!r} is no name of a directory.")
    try:
        if os.path.lexists(point) and (point.is_symlink() or any(point.iterdir())):
            raise NotMounted(f"There is something else called {directory} in your working directory: rename it.")
        with _record_lock:
            _write(folder, {**_made(folder), directory: str(target) if target else None})
        point.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise NotMounted(f"It cannot be put into the working directory: {error.strerror}.") from None
    return point


def _tidy(folder: Folder) -> None:
    """Remove what `_make` and `link` have made, and nothing of anybody else's."""
    for directory, target in _made(folder).items():
        point = folder.work / directory
        with suppress(OSError):
            if target is not None and point.is_symlink() and os.readlink(point) == target:
                point.unlink()
            elif not point.is_symlink():
                point.rmdir()  # only if it is empty
    (folder.path / _RECORD).unlink(missing_ok=True)


def _made(folder: Folder) -> dict[str, str | None]:
    try:
        found = json.loads((folder.path / _RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(folder: Folder, made: Mapping[str, str | None]) -> None:
    new = folder.path / f"{_RECORD}.new"
    new.write_text(json.dumps(made), encoding="utf-8")
    new.replace(folder.path / _RECORD)


async def _end(folder: Folder) -> None:
    """A mount ends by itself when it is unmounted; what does not is ended."""
    end = monotonic() + _UNTIL_ENDED
    while left := await asyncio.to_thread(_processes, folder):
        late = monotonic() - end
        if late > 0:
            for process in left:
                proc.send(process, SIGTERM if late < 1 else SIGKILL)
        await asyncio.sleep(_POLL)


def _processes(folder: Folder) -> list[Process]:
    """What still runs of the mounts; one that is about to end has no environment any more, but a parent."""
    mark, ours = os.fsencode(folder.path.resolve()), _unreaped(folder.path.resolve())
    return [
        each
        for each in proc.everyone()
        if each.pid in ours or (each.alive and proc.environment(each.pid).get(_MARKER.encode()) == mark)
    ]


def _unreaped(folder: Path) -> set[int]:
    """Our own children that have not ended, as far as we know; those that have are forgotten."""
    alive = [child for child in _children.pop(folder, []) if child.poll() is None]
    if alive:
        _children[folder] = alive
    return {child.pid for child in alive}
