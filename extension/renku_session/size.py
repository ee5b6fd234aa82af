"""How much lies in a folder, counted in bounded time."""

from __future__ import annotations

import os
import stat
from time import monotonic

_MOST, _LONGEST = 500_000, 60.0  # files and folders, seconds


def of(root: str) -> int | None:
    """Bytes that files below *root* take on its own file system, which leaves out mounted storages and what the file
    system keeps for itself, as the hub counts them; None if that is too much to count: a wrong size would be worse than
    none."""
    device, end = os.lstat(root).st_dev, monotonic() + _LONGEST
    total, count, left, linked = 0, 0, [root], set[int]()
    while left:
        for entry in _entries(left.pop()):
            count += 1
            if count > _MOST or monotonic() > end:
                return None
            if entry.path != os.path.join(root, "lost+found"):
                total += _size(entry, device, left, linked)
    return total


def _size(entry: os.DirEntry[str], device: int, left: list[str], linked: set[int]) -> int:
    """Of one file or folder; a folder is *left* to be looked into, a file of several names counts once."""
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:  # gone meanwhile
        return 0
    if status.st_dev != device or status.st_ino in linked:
        return 0
    if stat.S_ISDIR(status.st_mode):
        left.append(entry.path)
        return 0
    if status.st_nlink > 1:
        linked.add(status.st_ino)
    return status.st_blocks * 512


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:  # not ours to read
        return []
