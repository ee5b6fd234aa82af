"""Headers of a tar, in the format of POSIX, which every program reads and whose names may be any bytes."""

import errno
import os
import tarfile
from collections.abc import Iterator

NAME = "work"  # of the folder in the archive
BLOCK = 512


def shown(path: tuple[str, ...]) -> str:
    return "/".join((NAME, *path))


def described(path: tuple[str, ...], seen: os.stat_result, kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(shown(path))
    info.type, info.linkname = kind, link
    info.mode, info.mtime = seen.st_mode & 0o777, int(seen.st_mtime)
    info.uid, info.gid = seen.st_uid, seen.st_gid
    info.size = seen.st_size if kind == tarfile.REGTYPE else 0
    return info


def header(info: tarfile.TarInfo) -> bytes:
    """The blocks that come before the data."""
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def as_sparse(info: tarfile.TarInfo, parts: list[tuple[int, int]]) -> bytes:
    """Make it the header of a file with holes (GNU's format 1.0); return the map that comes before its data."""
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
    """Where a file has data: start and length."""
    end = 0
    while end < size:
        try:
            start = os.lseek(file, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return  # nothing but a hole up to the end
        end = min(os.lseek(file, start, os.SEEK_HOLE), size)
        if start < end:
            yield start, end - start
