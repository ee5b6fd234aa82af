"""Compress with Zstandard, by whatever a Python has for that: its own module, the package, or the system's library.

Debian's images have the library, since their package manager needs it.
"""

import ctypes
import importlib
from typing import Any, Protocol

LEVEL = 3
_LIBRARIES = ("libzstd.so.1", "libzstd.1.dylib")
# zstd.h: what has been stable since version 1.4
_COMPRESSION_LEVEL, _CHECKSUM = 100, 201
_CONTINUE, _END = 0, 2


class Compressor(Protocol):
    """Takes bytes, and gives those that are ready; *flush* ends the frame, which has a checksum."""

    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


def compressor() -> Compressor:
    """One for one frame. Raises OSError if there is none to be had."""
    for make in (_of_python, _of_package, _of_library):
        try:
            return make()
        except (ImportError, OSError):
            continue
    raise OSError("This Python knows no Zstandard, and the system has no libzstd.")


def _of_python() -> Compressor:
    """From 3.14 on."""
    zstd: Any = importlib.import_module("compression.zstd")
    options = {zstd.CompressionParameter.compression_level: LEVEL, zstd.CompressionParameter.checksum_flag: 1}
    made: Compressor = zstd.ZstdCompressor(options=options)
    return made


def _of_package() -> Compressor:
    zstandard: Any = importlib.import_module("zstandard")
    made: Compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compressobj()
    return made


class _Buffer(ctypes.Structure):
    _fields_ = [("at", ctypes.c_void_p), ("size", ctypes.c_size_t), ("done", ctypes.c_size_t)]


class _OfLibrary:
    def __init__(self, library: Any) -> None:
        self._library = library
        library.ZSTD_createCCtx.restype = ctypes.c_void_p
        library.ZSTD_compressStream2.restype = ctypes.c_size_t
        self._room = ctypes.create_string_buffer(1 << 17)
        self._context = ctypes.c_void_p(library.ZSTD_createCCtx())
        for parameter, value in ((_COMPRESSION_LEVEL, LEVEL), (_CHECKSUM, 1)):
            library.ZSTD_CCtx_setParameter(self._context, parameter, value)

    def compress(self, data: bytes, /) -> bytes:
        return self._run(data, _CONTINUE)

    def flush(self) -> bytes:
        return self._run(b"", _END)

    def _run(self, data: bytes, how: int) -> bytes:
        given = ctypes.create_string_buffer(data, len(data))
        source, found = _Buffer(ctypes.addressof(given), len(data), 0), []
        while True:
            target = _Buffer(ctypes.addressof(self._room), len(self._room), 0)
            left = self._library.ZSTD_compressStream2(self._context, ctypes.byref(target), ctypes.byref(source), how)
            if self._library.ZSTD_isError(ctypes.c_size_t(left)):
                raise OSError("libzstd cannot go on.")
            found.append(self._room.raw[: target.done])
            if source.done == source.size and (how == _CONTINUE or not left):
                return b"".join(found)


def _of_library() -> Compressor:
    for name in _LIBRARIES:
        try:
            return _OfLibrary(ctypes.CDLL(name))
        except OSError:
            continue
    raise OSError("no libzstd")
