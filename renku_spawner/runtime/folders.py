"""Where instances live on one machine: a folder each below one root, which holds the working directory."""

import os
import re
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import disks
from .walk import Total, files_of

_ID = re.compile(r"[a-z][a-z0-9]{11}")  # of a claim, as domain.names makes them
_DYING = ".removing-"
_one_at_a_time = threading.Lock()


def is_id(name: str) -> bool:
    """Whether a folder of that name is an instance's."""
    return _ID.fullmatch(name) is not None


@dataclass(frozen=True)
class Folder:
    """The folder of one instance; only *work* belongs to its user."""

    path: Path

    @property
    def work(self) -> Path:
        """What a session knows as /work."""
        return self.path / "work"

    @property
    def log(self) -> Path:
        """What the server printed."""
        return self.path / "server.log"

    @property
    def report(self) -> Path:
        """What came of cloning."""
        return self.path / "clone.json"


@dataclass(frozen=True)
class Folders:
    """The folders of all instances, below *root*."""

    root: Path

    def of(self, claim: str) -> Folder:
        """Name the folder, whether or not it exists. Raises ValueError if *claim* is no id."""
        if not _ID.fullmatch(claim):
            raise ValueError(f"This is not the id of a claim: {claim[:40]!r}")
        return Folder(self.root / claim)

    def create(self, claim: str) -> Folder:
        """Make the folder and its working directory, for our eyes only; keep what exists.

        Raises FileExistsError if a link or a file stands in their place, OSError if the disk says no.
        """
        folder = self.of(claim)
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in (folder.path, folder.work):
            if path.is_symlink():
                raise FileExistsError(f"{path} is a link")
            path.mkdir(mode=0o700, exist_ok=True)
            path.chmod(0o700)
        return folder

    def exists(self, claim: str) -> bool:
        path = self.of(claim).work
        return path.is_dir() and not path.is_symlink() and not path.parent.is_symlink()

    def used(self, claim: str) -> Total:
        """Count files and bytes of the working directory, for a few seconds at most."""
        return files_of(self.of(claim).work)

    def remove(self, claim: str) -> None:
        """Delete the folder with all that is in it, read-only directories too; nothing that a link points to or that is
        mounted there.

        It is gone for everybody at once; what a killed removal left over goes with the next one. End the instance's
        processes first. Raises OSError if something cannot be deleted, NotADirectoryError for a link.
        """
        path = self.of(claim).path
        if path.is_symlink():
            raise NotADirectoryError(f"{path} is a link")
        disks.clear(path)
        if path.exists():
            path.rename(self.root / f"{_DYING}{claim}-{secrets.token_hex(4)}")
        with _one_at_a_time:  # two removals would take each other's folders from under their hands
            for left in self.root.glob(f"{_DYING}*"):
                if not left.is_symlink():
                    disks.clear(left)
                    _delete(left)


def _delete(top: Path) -> None:
    """Empty and delete a folder: each folder found in it is moved to its top first, so that no depth is too deep.

    The kernel moves no mount point, so that nothing in what is mounted can be deleted.
    """
    root = _open(str(top), None)
    try:
        while names := [entry.name for entry in os.scandir(root)]:
            for name in names:
                _delete_entry(root, name)
    finally:
        os.close(root)
    top.rmdir()


def _delete_entry(root: int, name: str) -> None:
    try:
        folder = _open(name, root)
    except NotADirectoryError:  # also a link: O_NOFOLLOW
        os.unlink(name, dir_fd=root)
        return
    try:
        for inner in _entries(folder):
            _take_out(root, folder, inner)
    finally:
        os.close(folder)
    os.rmdir(name, dir_fd=root)


def _take_out(root: int, folder: int, inner: str) -> None:
    try:
        child = _open(inner, folder)  # moving a folder needs the right to write in it
    except NotADirectoryError:
        os.unlink(inner, dir_fd=folder)
        return
    os.close(child)
    os.rename(inner, secrets.token_hex(8), src_dir_fd=folder, dst_dir_fd=root)


def _entries(folder: int) -> Iterator[str]:
    with os.scandir(folder) as entries:
        yield from [entry.name for entry in entries]


def _open(name: str, parent: int | None) -> int:
    """Open a directory itself, never through a link, whatever its mode was. Raises NotADirectoryError."""
    handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        os.chmod(f"/proc/self/fd/{handle}", 0o700)
        return os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_DIRECTORY)
    finally:
        os.close(handle)
