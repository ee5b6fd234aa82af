"""Stream an untrusted directory as a compressed tar archive, without following links.

This is a program for Python 3.10 or newer: `python3 -I -c <this text> <options>`. The options are JSON: `directory` is
what to archive. With `address`, `port` and `secret` the archive is served over HTTP once, to the client that knows the
secret; `secret` is its SHA-256, because a pod's specification is not confidential. Otherwise the archive is written to
standard output. The exit status is 0 only if all of it was received.

The archive is compressed with Zstandard if this Python has it, and otherwise with gzip. Links are archived as links.
Sockets, pipes and devices, unreadable files, and other file systems (storages) are excluded and listed in
`left-out.txt` at the end of the archive. A file that changes meanwhile keeps the length of its header.
"""

import errno
import hashlib
import hmac
import importlib
import io
import json
import os
import re
import socket
import stat
import sys
import tarfile
import zlib
from collections.abc import Callable, Iterator
from itertools import islice
from time import monotonic
from typing import Any, Protocol

TOP_NAME = "work"  # top directory of the archive
EXCLUSION_LIST_NAME = "left-out.txt"
CLIENT_TIMEOUT_SECONDS = 240.0  # until the client that knows the secret has connected
_REQUEST_TIMEOUT_SECONDS = 5.0
_SEND_TIMEOUT_SECONDS = 120.0  # without progress
_ZSTD_LEVEL, _GZIP_LEVEL = 3, 1
_BUFFER_BYTES = 1 << 16
_MAX_REQUEST_BYTES = 8192
_MAX_PATH_BYTES = 4000  # programs cannot unpack much longer paths (PATH_MAX)
_MAX_REMEMBERED_LINKS = 200_000  # hard-linked files beyond that are archived once per name
_MAX_SEGMENTS = 10_000  # a sparse file with more is archived with its holes filled
_MAX_LISTED_EXCLUSIONS = 10_000
_MAX_OPEN_DIRECTORIES = 64
_OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_EXCLUDED_TYPES = {
    stat.S_IFSOCK: "a socket",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_AUTHORIZATION = re.compile(rb"^authorization: bearer ([\w-]+)\r?$", re.IGNORECASE | re.MULTILINE)
_OK_HEADERS = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
    b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
)
_FORBIDDEN_HEADERS = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

PathParts = tuple[str, ...]  # names below the top directory


class ReceiverGone(Exception):
    """The receiver of the archive is gone."""


# Compression


class Compressor(Protocol):
    """Compress one stream with a checksum; `flush` ends the stream."""

    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


def create_compressor() -> Compressor:
    """Create a compressor for Zstandard if this Python has it, otherwise for gzip."""
    for create in (_create_zstd_compressor, _create_zstandard_compressor):
        try:
            return create()
        except ImportError:
            continue
    return create_gzip_compressor()


def _create_zstd_compressor() -> Compressor:
    """Use the module of Python 3.14 and later."""
    zstd: Any = importlib.import_module("compression.zstd")
    parameter = zstd.CompressionParameter
    options = {parameter.compression_level: _ZSTD_LEVEL, parameter.checksum_flag: 1}
    compressor: Compressor = zstd.ZstdCompressor(options=options)
    return compressor


def _create_zstandard_compressor() -> Compressor:
    """Use the package `zstandard`."""
    zstandard: Any = importlib.import_module("zstandard")
    compressor: Compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True).compressobj()
    return compressor


def create_gzip_compressor() -> Compressor:
    return zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, zlib.MAX_WBITS | 16)  # 16: with gzip's header and checksum


class _CompressedOutput:
    """The file that `tarfile` writes to: it compresses the archive and passes it to *send*."""

    def __init__(self, send: Callable[[bytes], object]) -> None:
        self._send, self._compressor = send, create_compressor()

    def write(self, data: bytes) -> int:
        self._send_compressed(self._compressor.compress(data))
        return len(data)

    def finish(self) -> None:
        self._send_compressed(self._compressor.flush())

    def _send_compressed(self, data: bytes) -> None:
        if data:
            try:
                self._send(data)
            except OSError as error:  # must not be taken for an error of the file that is being read
                raise ReceiverGone(str(error)) from error


# Archive


def write_archive(directory: str, send: Callable[[bytes], object]) -> None:
    """Pass the archive of *directory* to *send*, piece by piece.

    The end of the compressed stream is sent only if all went well, so that an incomplete archive is detected.

    Raises:
        OSError: *directory* itself cannot be read.
        ReceiverGone: *send* raised OSError.
    """
    output: Any = _CompressedOutput(send)
    with tarfile.open(
        fileobj=output,
        mode="w|",
        bufsize=_BUFFER_BYTES,
        format=tarfile.PAX_FORMAT,
        encoding="utf-8",
        errors="surrogateescape",
    ) as tar:
        _DirectoryArchiver(directory, tar).run()
    output.finish()


class _DirectoryArchiver:
    """Add a directory to *tar*. Files may change or vanish, and may be replaced by links, at any moment."""

    def __init__(self, top: str, tar: tarfile.TarFile) -> None:
        self._top, self._tar = top, tar
        self._device = os.stat(top, follow_symlinks=False).st_dev
        self._open_directories: list[tuple[PathParts, int]] = []  # each inside of those before it
        self._names_by_inode: dict[tuple[int, int], str] = {}
        self._exclusions: list[str] = []
        self._unlisted_exclusions = 0

    def run(self) -> None:
        pending: list[PathParts] = [()]
        try:
            while pending:
                pending += self._add_directory(pending.pop())
        finally:
            self._close_directories(0)
        if self._exclusions:
            self._add_exclusion_list()

    def _add(self, info: tarfile.TarInfo, source: Any = None) -> None:
        self._tar.addfile(info, source)
        self._tar.members = []  # type: ignore[attr-defined]  # tarfile would keep every entry in memory

    # Directories

    def _add_directory(self, path: PathParts) -> list[PathParts]:
        """Add a directory and the files in it; return the directories in it."""
        try:
            directory = self._open_directory(path)
        except OSError as error:
            if not path:
                raise
            self._exclude(path, error.strerror or "unreadable")
            return []
        status = os.fstat(directory)
        if status.st_dev != self._device:
            self._exclude(path, "another file system, such as a storage")
            return []
        self._add(_create_tar_info(path, status, tarfile.DIRTYPE))
        return [(*path, name) for name in _iterate_names(directory) if self._add_entry(directory, (*path, name))]

    def _open_directory(self, path: PathParts) -> int:
        """Open a directory step by step from the nearest open one, so that no part of its path is a link."""
        known = len(self._open_directories)
        while known and path[: len(self._open_directories[known - 1][0])] != self._open_directories[known - 1][0]:
            known -= 1
        self._close_directories(known)
        if not self._open_directories:
            self._open_directories.append(((), os.open(self._top, _OPEN_FLAGS | os.O_DIRECTORY)))
        for depth in range(len(self._open_directories[-1][0]), len(path)):
            parent = self._open_directories[-1][1]
            directory = os.open(path[depth], _OPEN_FLAGS | os.O_DIRECTORY, dir_fd=parent)
            self._open_directories.append((path[: depth + 1], directory))
            if len(self._open_directories) > _MAX_OPEN_DIRECTORIES:
                os.close(self._open_directories.pop(0)[1])
        return self._open_directories[-1][1]

    def _close_directories(self, kept: int) -> None:
        """Close all open directories except the first *kept*."""
        while len(self._open_directories) > kept:
            os.close(self._open_directories.pop()[1])

    # Files

    def _add_entry(self, directory: int, path: PathParts) -> bool:
        """Add an entry; if it is a directory, only return True."""
        if len(os.fsencode("/".join(path))) > _MAX_PATH_BYTES:
            self._exclude(path, "its path is too long")
            return False
        try:
            status = os.stat(path[-1], dir_fd=directory, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                return True
            self._add_file(directory, path, status)
        except OSError as error:  # raised before any of it is written
            self._exclude(path, error.strerror or "unreadable")
        return False

    def _add_file(self, directory: int, path: PathParts, status: os.stat_result) -> None:
        if stat.S_ISLNK(status.st_mode):
            target = os.readlink(path[-1], dir_fd=directory)
            self._add(_create_tar_info(path, status, tarfile.SYMTYPE, link=target))
        elif not stat.S_ISREG(status.st_mode):
            self._exclude(path, _EXCLUDED_TYPES.get(stat.S_IFMT(status.st_mode), "no file"))
        elif first := self._names_by_inode.get((status.st_dev, status.st_ino)):
            self._add(_create_tar_info(path, status, tarfile.LNKTYPE, link=first))
        else:
            self._add_regular_file(directory, path)

    def _add_regular_file(self, directory: int, path: PathParts) -> None:
        file = os.open(path[-1], _OPEN_FLAGS, dir_fd=directory)
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):  # replaced since `stat`
                self._exclude(path, "it changed")
                return
            info, segments, sparse_map = _create_tar_info(path, status, tarfile.REGTYPE), [(0, status.st_size)], b""
            if status.st_blocks * 512 < status.st_size:
                data_segments = list(islice(_iterate_data_segments(file, status.st_size), _MAX_SEGMENTS))
                if len(data_segments) < _MAX_SEGMENTS:
                    segments, sparse_map = data_segments, _make_sparse(info, data_segments)
            reader = _SegmentReader(file, segments, sparse_map)
            self._add(info, reader)
        finally:
            os.close(file)
        if not reader.is_complete:
            self._exclude(path, "it changed or could not be read to its end: what is missing is zeros")
        if status.st_nlink > 1 and len(self._names_by_inode) < _MAX_REMEMBERED_LINKS:
            self._names_by_inode[status.st_dev, status.st_ino] = _get_archive_name(path)

    # Exclusions

    def _exclude(self, path: PathParts, reason: str) -> None:
        if path == ("lost+found",):  # belongs to the file system
            return
        if len(self._exclusions) >= _MAX_LISTED_EXCLUSIONS:
            self._unlisted_exclusions += 1
            return
        # Quoted, so that a name with line breaks stays on one line.
        self._exclusions.append(f"{json.dumps(_get_archive_name(path), ensure_ascii=False)}: {reason}")

    def _add_exclusion_list(self) -> None:
        more = [f"… and {self._unlisted_exclusions} more"] if self._unlisted_exclusions else []
        text = "\n".join([*self._exclusions, *more, ""]).encode("utf-8", "backslashreplace")
        info = tarfile.TarInfo(EXCLUSION_LIST_NAME)
        info.size, info.mode = len(text), 0o600
        self._add(info, io.BytesIO(text))


def _get_archive_name(path: PathParts) -> str:
    """Return the name of a path in the archive."""
    return "/".join((TOP_NAME, *path))


def _create_tar_info(path: PathParts, status: os.stat_result, kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(_get_archive_name(path))
    info.type, info.linkname = kind, link
    info.mode, info.mtime = status.st_mode & 0o777, int(status.st_mtime)
    info.uid, info.gid = status.st_uid, status.st_gid
    info.size = status.st_size if kind == tarfile.REGTYPE else 0
    return info


def _iterate_names(directory: int) -> Iterator[str]:
    with os.scandir(directory) as entries:
        for entry in entries:
            yield entry.name


def _iterate_data_segments(file: int, size: int) -> Iterator[tuple[int, int]]:
    """Iterate over the segments of a sparse file that have data: start and length in bytes."""
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


def _make_sparse(info: tarfile.TarInfo, segments: list[tuple[int, int]]) -> bytes:
    """Make *info* the entry of a sparse file; return the map of its segments, which precedes their data.

    `tarfile` reads sparse files, but does not write them. The format is GNU's 1.0 in pax headers:
    https://www.gnu.org/software/tar/manual/html_section/Sparse-Formats.html
    """
    info.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": info.name,
        "GNU.sparse.realsize": str(info.size),
    }
    info.name = f"{TOP_NAME}/GNUSparseFile.0/{info.name.rpartition('/')[2]}"
    numbers = [len(segments) + 1, *(number for segment in segments for number in segment), info.size, 0]
    text = "".join(f"{number}\n" for number in numbers).encode()
    sparse_map = text + bytes(-len(text) % tarfile.BLOCKSIZE)
    info.size = len(sparse_map) + sum(length for _, length in segments)
    return sparse_map


class _SegmentReader:
    """The file that `tarfile` reads from: *prefix*, then segments of an open file.

    It always delivers as many bytes as the header promises: zeros replace what cannot be read. `is_complete` is then
    False.
    """

    def __init__(self, file: int, segments: list[tuple[int, int]], prefix: bytes) -> None:
        self._file, self._prefix = file, prefix
        self._segments = segments[::-1]
        self.is_complete = True

    def read(self, size: int) -> bytes:
        data = bytearray(self._prefix[:size])
        self._prefix = self._prefix[size:]
        while len(data) < size:
            start, length = self._segments.pop()
            count = min(length, size - len(data))
            if count < length:
                self._segments.append((start + count, length - count))
            data += self._read_segment(start, count)
        return bytes(data)

    def _read_segment(self, start: int, count: int) -> bytes:
        data = b""
        while len(data) < count:
            try:
                piece = os.pread(self._file, count - len(data), start + len(data))
            except OSError:
                piece = b""
            if not piece:
                self.is_complete = False
                return data.ljust(count, b"\0")
            data += piece
        return data


# HTTP


def serve_archive(directory: str, address: str, port: int, secret: str) -> None:
    """Wait for the client that knows the secret, and send the archive in chunks.

    An incomplete archive has no last chunk, so that the client notices. Raises TimeoutError if the client does not
    connect, and what `write_archive` raises.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, port), family=family) as server:
        print("Ready.", flush=True)
        connection = _accept_client(server, secret)

    def send_chunk(data: bytes) -> None:
        connection.sendall(b"%x\r\n%b\r\n" % (len(data), data))

    with connection:
        connection.settimeout(_SEND_TIMEOUT_SECONDS)
        connection.sendall(_OK_HEADERS)
        write_archive(directory, send_chunk)
        connection.sendall(b"0\r\n\r\n")


def _accept_client(server: socket.socket, secret: str) -> socket.socket:
    end = monotonic() + CLIENT_TIMEOUT_SECONDS
    while (left := end - monotonic()) > 0:
        server.settimeout(left)
        connection, _ = server.accept()
        if _is_authorized(connection, secret):
            return connection
        connection.close()
    raise TimeoutError("no client has connected")


def _is_authorized(connection: socket.socket, secret: str) -> bool:
    connection.settimeout(_REQUEST_TIMEOUT_SECONDS)
    try:
        match = _AUTHORIZATION.search(_receive_request(connection))
        digest = hashlib.sha256(match[1] if match else b"").hexdigest()
        if hmac.compare_digest(digest, secret):
            return True
        connection.sendall(_FORBIDDEN_HEADERS)
    except OSError:
        pass
    return False


def _receive_request(connection: socket.socket) -> bytes:
    request, end = b"", monotonic() + _REQUEST_TIMEOUT_SECONDS
    while b"\r\n\r\n" not in request and len(request) < _MAX_REQUEST_BYTES and monotonic() < end:
        data = connection.recv(_MAX_REQUEST_BYTES)
        if not data:
            break
        request += data
    return request


# Program


def print_archive(directory: str) -> None:
    """Write the archive to standard output, at low priority because the hub runs on the same machine."""
    os.nice(10)
    write_archive(directory, sys.stdout.buffer.write)
    sys.stdout.buffer.flush()


def main(options: str) -> None:
    given = json.loads(options)
    try:
        if "port" in given:
            serve_archive(given["directory"], given["address"], given["port"], given["secret"])
        else:
            print_archive(given["directory"])
    except (ReceiverGone, OSError) as error:
        print(f"The archive is incomplete: {error}", file=sys.stderr, flush=True)
        os._exit(1)  # a normal exit would flush standard output, which may be closed


if __name__ == "__main__":
    main(sys.argv[1])
