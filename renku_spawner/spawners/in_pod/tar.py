"""Build tar headers in the POSIX (pax) format, which all programs read and which allows any bytes in names."""

import errno
import os
import tarfile
from collections.abc import Iterator

NAME = "work"  # top folder of the archive
BLOCK = 512


def shown(path: tuple[str, ...]) -> str:
    """Return the name of a path in the archive."""
    return "/".join((NAME, *path))


def described(path: tuple[str, ...], seen: os.stat_result, kind: bytes, link: str = "") -> tarfile.TarInfo:
    """Build the tar entry of a file or folder."""
    info = tarfile.TarInfo(shown(path))
    info.type, info.linkname = kind, link
    info.mode, info.mtime = seen.st_mode & 0o777, int(seen.st_mtime)
    info.uid, info.gid = seen.st_uid, seen.st_gid
    info.size = seen.st_size if kind == tarfile.REGTYPE else 0
    return info


def header(info: tarfile.TarInfo) -> bytes:
    """Return the header blocks of an entry."""
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def as_sparse(info: tarfile.TarInfo, parts: list[tuple[int, int]]) -> bytes:
    """Turn *info* into the header of a sparse file (GNU format 1.0); return the map that precedes its data."""
    info.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": info.name,
        "GNU.sparse.realsize": str(info.size),
    }
    info.name = f"{NAME}/GNUSparseFile.0/{info.name.rpartition('/')[2]}"
    listed = [*parts, (info.size, 0)]
    numbers = [len(listed), *(number for part in listed for number in part)]
    text = "".join(f"{number}\n" for number in numbers).encode()
    return text + bytes(-len(text) % BLOCK)


def parts(file: int, size: int) -> Iterator[tuple[int, int]]:
    """Iterate over the data segments of a sparse file: start and length in bytes."""
    end = 0
    while end < size:
        try:
            start = os.lseek(file, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return  # only a hole up to the end
        end = min(os.lseek(file, start, os.SEEK_HOLE), size)
        if start < end:
            yield start, end - start
