"""The folders of sessions on one machine, for an operator."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from ..domain.errors import Conflict, Unavailable
from ..domain.inventory import Inventory, Kind, Orphan, Thing
from . import process
from .folders import Folder, Folders, is_id
from .walk import files_of

SECONDS = 1.0  # for the sizes of all folders; what takes longer has none


def see(folders: Folders) -> Inventory:
    """Whose they are stands in the records alone."""
    try:
        things = tuple(_things(folders.root, monotonic() + SECONDS))
    except OSError as error:
        return Inventory(unknown=f"The folder of sessions cannot be read: {error.strerror}.", pods=False)
    return Inventory(things=things, pods=False)


def _things(root: Path, end: float) -> Iterator[Thing]:
    if not root.exists():
        return
    with os.scandir(root) as entries:
        for entry in entries:
            if is_id(entry.name) and entry.is_dir(follow_symlinks=False):
                changed = datetime.fromtimestamp(entry.stat(follow_symlinks=False).st_mtime, UTC)
                size = _size(Path(entry.path), end)
                yield Thing(kind=Kind.FOLDER, name=entry.name, of=entry.name, size=size, made_at=changed)


def _size(folder: Path, end: float) -> str:
    """The size of the session's files in that folder, as its owner reads it; empty if there is no time for it."""
    if (left := end - monotonic()) <= 0:
        return ""
    found = files_of(Folder(folder).work, seconds=left)
    return str(found.bytes) if found.complete else ""


def remove(folders: Folders, orphan: Orphan) -> None:
    """Remove the folder of that name. Raises Conflict while something runs in it, Unavailable if it stays."""
    if process.running(folders.of(orphan.name).path) is not None:
        raise Conflict("Something runs in that folder.")
    try:
        folders.remove(orphan.name)
    except OSError as error:
        raise Unavailable(f"The folder cannot be removed: {error.strerror}.") from None
