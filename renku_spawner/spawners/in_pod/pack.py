"""Pack an untrusted folder into a tar archive, piece by piece, without following links.

Links are packed as links. Sockets, pipes and devices, unreadable files, and other file systems (storages) are left out
and listed in `left-out.txt` at the end of the archive. A file that changes meanwhile keeps the length of its header.
"""

import json
import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from itertools import islice

from .tar import BLOCK, as_sparse, described, header, parts, shown

LEFT_OUT = "left-out.txt"
_PIECE = 1 << 20
_LONGEST = 4000  # bytes of a path; programs cannot unpack much longer ones (PATH_MAX)
_LINKS = 200_000  # hard-linked files to remember; further ones are packed once per name
_PARTS = 10_000  # of a sparse file; one with more is packed with its holes filled
_NAMED = 10_000  # lines of left-out.txt
_OPEN_FOLDERS = 64  # open at a time
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_KINDS = {
    stat.S_IFSOCK: "a socket",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class NotTaken(Exception):
    """The receiver of the archive has gone."""


def pack(top: str, write: Callable[[bytes], None]) -> None:
    """Pass the archive of *top* to *write*, piece by piece.

    Raises OSError if *top* itself cannot be read, and NotTaken if *write* raises OSError.
    """
    _Packer(top, write).run()


class _Packer:
    def __init__(self, top: str, write: Callable[[bytes], None]) -> None:
        self._top, self._taken = top, write
        self._device = os.stat(top, follow_symlinks=False).st_dev
        self._chain: list[tuple[tuple[str, ...], int]] = []  # open folders, each inside of those before it
        self._linked: dict[tuple[int, int], str] = {}
        self._left_out: list[str] = []
        self._more = 0

    def run(self) -> None:
        waiting: list[tuple[str, ...]] = [()]
        try:
            while waiting:
                waiting += self._visit(waiting.pop())
        finally:
            self._close(0)
        if self._left_out:
            self._list_left_out()
        self._write(bytes(2 * BLOCK))  # end-of-archive marker

    def _write(self, data: bytes) -> None:
        try:
            self._taken(data)
        except OSError as error:  # not an error of the file that is being read
            raise NotTaken(str(error)) from error

    # Folders

    def _visit(self, path: tuple[str, ...]) -> list[tuple[str, ...]]:
        """Pack a folder and the files in it; return the folders in it."""
        try:
            folder = self._enter(path)
        except OSError as error:
            if not path:
                raise
            self._leave_out(path, error.strerror or "unreadable")
            return []
        seen = os.fstat(folder)
        if seen.st_dev != self._device:
            self._leave_out(path, "another file system, such as a storage")
            return []
        self._write(header(described(path, seen, tarfile.DIRTYPE)))
        return [(*path, name) for name in _names(folder) if self._entry(folder, (*path, name))]

    def _enter(self, path: tuple[str, ...]) -> int:
        """Open a folder step by step from the nearest open one, so that no part of its path is a link."""
        known = len(self._chain)
        while known and path[: len(self._chain[known - 1][0])] != self._chain[known - 1][0]:
            known -= 1
        self._close(known)
        if not self._chain:
            self._chain.append(((), os.open(self._top, _OPEN | os.O_DIRECTORY)))
        for depth in range(len(self._chain[-1][0]), len(path)):
            inner = os.open(path[depth], _OPEN | os.O_DIRECTORY, dir_fd=self._chain[-1][1])
            self._chain.append((path[: depth + 1], inner))
            if len(self._chain) > _OPEN_FOLDERS:
                os.close(self._chain.pop(0)[1])
        return self._chain[-1][1]

    def _close(self, kept: int) -> None:
        """Close all open folders except the first *kept*."""
        while len(self._chain) > kept:
            os.close(self._chain.pop()[1])

    # Files

    def _entry(self, folder: int, path: tuple[str, ...]) -> bool:
        """Pack an entry; if it is a folder, only return True."""
        if len(os.fsencode("/".join(path))) > _LONGEST:
            self._leave_out(path, "its path is too long")
            return False
        try:
            seen = os.stat(path[-1], dir_fd=folder, follow_symlinks=False)
            if stat.S_ISDIR(seen.st_mode):
                return True
            self._pack(folder, path, seen)
        except OSError as error:  # nothing of it has been written yet
            self._leave_out(path, error.strerror or "unreadable")
        return False

    def _pack(self, folder: int, path: tuple[str, ...], seen: os.stat_result) -> None:
        if stat.S_ISLNK(seen.st_mode):
            target = os.readlink(path[-1], dir_fd=folder)
            self._write(header(described(path, seen, tarfile.SYMTYPE, link=target)))
        elif not stat.S_ISREG(seen.st_mode):
            self._leave_out(path, _KINDS.get(stat.S_IFMT(seen.st_mode), "no file"))
        elif first := self._linked.get((seen.st_dev, seen.st_ino)):
            self._write(header(described(path, seen, tarfile.LNKTYPE, link=first)))
        else:
            self._pack_file(folder, path)

    def _pack_file(self, folder: int, path: tuple[str, ...]) -> None:
        file = os.open(path[-1], _OPEN, dir_fd=folder)
        try:
            seen = os.fstat(file)
            if not stat.S_ISREG(seen.st_mode):  # replaced since `stat`
                self._leave_out(path, "it changed")
                return
            holes = seen.st_blocks * 512 < seen.st_size
            found = list(islice(parts(file, seen.st_size), _PARTS)) if holes else []
            if not holes or len(found) == _PARTS:
                found = [(0, seen.st_size)]
            whole = self._pack_parts(file, described(path, seen, tarfile.REGTYPE), found)
        finally:
            os.close(file)
        if not whole:
            self._leave_out(path, "it changed or could not be read to its end: what is missing is zeros")
        if seen.st_nlink > 1 and len(self._linked) < _LINKS:
            self._linked[seen.st_dev, seen.st_ino] = shown(path)

    def _pack_parts(self, file: int, info: tarfile.TarInfo, found: list[tuple[int, int]]) -> bool:
        """Write header and data; return whether all could be read."""
        size, map_ = sum(length for _, length in found), b""
        if size != info.size:
            map_ = as_sparse(info, found)
        info.size = size + len(map_)
        self._write(header(info) + map_)
        whole = True
        for start, length in found:
            whole = self._copy(file, start, length) and whole
        self._write(bytes(-size % BLOCK))
        return whole

    def _copy(self, file: int, start: int, length: int) -> bool:
        """Write *length* bytes, with zeros for those that cannot be read; return whether all could be read."""
        left = length
        while left:
            data = _read(file, min(left, _PIECE), start + length - left)
            if not data:
                break
            self._write(data)
            left -= len(data)
        lost = left
        while left:
            self._write(bytes(min(left, _PIECE)))
            left -= min(left, _PIECE)
        return not lost

    # Excluded entries

    def _leave_out(self, path: tuple[str, ...], why: str) -> None:
        if path == ("lost+found",):  # belongs to the file system
            return
        if len(self._left_out) >= _NAMED:
            self._more += 1
            return
        # Quoted, so that a name with line breaks stays on one line.
        self._left_out.append(f"{json.dumps(shown(path), ensure_ascii=False)}: {why}")

    def _list_left_out(self) -> None:
        more = [f"… and {self._more} more"] if self._more else []
        text = "\n".join([*self._left_out, *more, ""]).encode("utf-8", "backslashreplace")
        info = tarfile.TarInfo(LEFT_OUT)
        info.size, info.mode = len(text), 0o600
        self._write(header(info) + text + bytes(-len(text) % BLOCK))


def _names(folder: int) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            yield entry.name


def _read(file: int, count: int, start: int) -> bytes:
    """Read *count* bytes; return none at the end of the file and on a read error."""
    try:
        return os.pread(file, count, start)
    except OSError:
        return b""
