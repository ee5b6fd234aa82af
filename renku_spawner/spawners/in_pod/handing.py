"""Serve a folder as a compressed archive over HTTP, once, to the client that knows the secret.

Runs in a helper pod (see `alone`). The argument is JSON: `work`, where to listen (`address`, `port`), and `secret`, the
SHA-256 of the secret, because a pod's specification is not confidential.
"""

import hashlib
import hmac
import json
import re
import socket
import sys
from time import monotonic

from .pack import NotTaken, pack
from .zst import compressor

WAIT = 240.0  # seconds to wait for the client
_ASK = 5.0  # seconds to receive a request
_STALLED = 120.0  # seconds without progress
_LONGEST = 8192  # bytes of a request
_BEARER = re.compile(rb"^authorization: bearer ([\w-]+)\r?$", re.IGNORECASE | re.MULTILINE)
_YES = b"HTTP/1.1 200 OK\r\nContent-Type: application/zstd\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
_NO = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def main(argument: str) -> None:
    """Wait for the client that knows the secret, and send the archive; exit with 0 only if all was received."""
    given = json.loads(argument)
    compressor()  # fail early if there is no Zstandard
    family = socket.AF_INET6 if ":" in given["address"] else socket.AF_INET
    with socket.create_server((given["address"], given["port"]), family=family) as server:
        print("Ready.", flush=True)
        connection = _awaited(server, given["secret"])
    try:
        with connection:
            _hand_over(connection, given["work"])
    except (NotTaken, OSError) as error:
        sys.exit(f"Not all was handed over: {error}")


def _awaited(server: socket.socket, secret: str) -> socket.socket:
    end = monotonic() + WAIT
    while (left := end - monotonic()) > 0:
        server.settimeout(left)
        try:
            connection, _ = server.accept()
        except TimeoutError:
            break
        if _knows(connection, secret):
            return connection
        connection.close()
    sys.exit("No client has connected.")


def _knows(connection: socket.socket, secret: str) -> bool:
    connection.settimeout(_ASK)
    try:
        said = _BEARER.search(_request(connection))
        known = hashlib.sha256(said[1] if said else b"").hexdigest()
        if hmac.compare_digest(known, secret):
            return True
        connection.sendall(_NO)
    except OSError:
        pass
    return False


def _request(connection: socket.socket) -> bytes:
    asked, end = b"", monotonic() + _ASK
    while b"\r\n\r\n" not in asked and len(asked) < _LONGEST and monotonic() < end:
        data = connection.recv(_LONGEST)
        if not data:
            break
        asked += data
    return asked


def _hand_over(connection: socket.socket, work: str) -> None:
    """Send the archive in chunks; an incomplete one has no last chunk, so that the client notices."""
    connection.settimeout(_STALLED)
    connection.sendall(_YES)
    made = compressor()
    pack(work, lambda data: _send(connection, made.compress(data)))
    _send(connection, made.flush())
    connection.sendall(b"0\r\n\r\n")


def _send(connection: socket.socket, data: bytes) -> None:
    if data:
        connection.sendall(b"%x\r\n%b\r\n" % (len(data), data))
