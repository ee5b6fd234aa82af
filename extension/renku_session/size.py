"""Measure the size of a folder in bounded time."""

from __future__ import annotations

import os
import stat
from time import monotonic

_MOST, _LONGEST = 500_000, 60.0  # files and folders, seconds


def of(root: str) -> int | None:
    """Return the bytes that files below *root* take on its own file system, counted as the hub does.

    Mounted storages and the file system's own `lost+found` are left out. None if there are too many files to count: a
    wrong size would be worse than none.
    """
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
    """Return the size of a file; append a folder to *left* instead. A file with several names counts once."""
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:  # deleted meanwhile
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
    except OSError:  # no permission
        return []
