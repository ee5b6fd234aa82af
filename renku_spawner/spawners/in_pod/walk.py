"""Count the files of an untrusted folder in bounded time, without following links or entering mounts."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

FILE_SYSTEMS_OWN = ("lost+found",)


@dataclass(frozen=True, kw_only=True)
class Total:
    """*files* (everything but directories) and the *bytes* they take on disk; a lower bound unless *complete*."""

    files: int
    bytes: int
    complete: bool


def total(top: Path, *, skip: Collection[str] = (), entries: int = 200_000, seconds: float = 5.0) -> Total:
    """Count the files below *top*, without its direct entries named *skip*; stop after *entries* or *seconds*.

    The size of a file with several names counts once.
    """
    walk = _Walk(entries, monotonic() + seconds, disk_of(str(top)))
    walk.folders = [str(top)]
    while walk.folders and walk.goes_on():
        folder = walk.folders.pop()
        walk.visit(folder, skip if folder == str(top) else ())
    return Total(files=walk.files, bytes=walk.bytes, complete=walk.complete and not walk.folders)


def files_of(work: Path, *, seconds: float = 5.0) -> Total:
    """Count the files of a session with the working directory *work*, as they are on disk.

    Directories, `lost+found` and mounts do not count. All pages, and the extension (`renku_session/size.py`), use this
    rule.
    """
    return total(work, skip=FILE_SYSTEMS_OWN, seconds=seconds)


def disk_of(path: str) -> int | None:
    """Return the device number of *path*, None if it cannot be read; links are not followed."""
    try:
        return os.lstat(path).st_dev
    except OSError:  # also a mount whose server has died
        return None


class _Walk:
    def __init__(self, entries: int, end: float, disk: int | None) -> None:
        self.left, self.end, self.disk = entries, end, disk
        self.files = self.bytes = 0
        self.complete = True
        self.folders: list[str] = []
        self._linked: set[tuple[int, int]] = set()

    def goes_on(self) -> bool:
        return self.left > 0 and monotonic() < self.end

    def visit(self, folder: str, skip: Collection[str]) -> None:
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if not self.goes_on():
                        self.complete = False
                        return
                    self.left -= 1
                    if entry.name not in skip:
                        self._count(entry)
        except OSError:  # unreadable, deleted meanwhile, or a path that is too long
            self.complete = False

    def _count(self, entry: os.DirEntry[str]) -> None:
        if entry.is_dir(follow_symlinks=False):
            if disk_of(entry.path) in (self.disk, None):  # None: visiting it fails and marks the total as incomplete
                self.folders.append(entry.path)
            return
        stat = entry.stat(follow_symlinks=False)
        self.files += 1
        if (stat.st_dev, stat.st_ino) not in self._linked:
            self.bytes += stat.st_blocks * 512
        if stat.st_nlink > 1:
            self._linked.add((stat.st_dev, stat.st_ino))
