"""Compress with Zstandard, by Python's own module, the package `zstandard`, or the system's libzstd.

Images based on Debian have libzstd, because their package manager needs it.
"""

import ctypes
import importlib
from typing import Any, Protocol

LEVEL = 3
_LIBRARIES = ("libzstd.so.1", "libzstd.1.dylib")
# from zstd.h, stable since version 1.4
_COMPRESSION_LEVEL, _CHECKSUM = 100, 201
_CONTINUE, _END = 0, 2


class Compressor(Protocol):
    """Compresses one frame with a checksum; `flush` ends it."""

    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


def compressor() -> Compressor:
    """Return a compressor for one frame. Raises OSError if Zstandard is not available."""
    for make in (_of_python, _of_package, _of_library):
        try:
            return make()
        except (ImportError, OSError):
            continue
    raise OSError("This Python has no Zstandard, and the system has no libzstd.")


def _of_python() -> Compressor:
    """Use the module of Python 3.14 and later."""
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
                raise OSError("libzstd failed to compress.")
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
