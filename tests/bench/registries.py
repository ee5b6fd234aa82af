"""Registries on loopback in the bench's own process: one that counts, and many that never come to an end."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from tests.fakes.registry import Answer, FakeRegistry, Reply, Request

KINDS = ("HEAD", "manifest", "config", "token", "refused")
_BEGUN = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.oci.image.manifest.v1+json\r\nX-Long: "
_DRIP = 1.0  # seconds from byte to byte


class Stuck:
    """Registries that take a request and never answer it, or a byte a second; `open` is how many hang now."""

    def __init__(self) -> None:
        self.open = 0
        self.hosts: list[str] = []
        self._writers: set[asyncio.StreamWriter] = set()

    async def hang(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, drips: bool) -> None:
        """One connection, until the other side leaves."""
        self.open += 1
        self._writers.add(writer)
        drip = asyncio.ensure_future(_drip(writer)) if drips else None
        try:
            with contextlib.suppress(OSError):
                while await reader.read(4096):
                    pass
        finally:
            self.open -= 1
            self._writers.discard(writer)
            if drip:
                drip.cancel()
            writer.transport.abort()

    def end(self) -> None:
        """Break off whatever hangs."""
        for writer in self._writers:
            writer.transport.abort()


async def _drip(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        for byte in (*_BEGUN, *b"a" * 1000):
            writer.write(bytes([byte]))
            await asyncio.sleep(_DRIP)


@asynccontextmanager
async def stuck(count: int) -> AsyncIterator[Stuck]:
    """So many of them; every second one drips."""
    made = Stuck()
    async with AsyncExitStack() as stack:
        for number in range(count):
            hang = partial(made.hang, drips=bool(number % 2))
            server = await stack.enter_async_context(await asyncio.start_server(hang, "127.0.0.1", 0))
            made.hosts.append(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
        yield made
        made.end()


def counted(asked: Iterable[Request], of: FakeRegistry) -> dict[str, int]:
    """What was asked, by the `KINDS`; *refused* are those that were answered by a wish for a token."""
    found = Counter(dict.fromkeys(KINDS, 0))
    for request in asked:
        found[_kind(request, of)] += 1
    return dict(found)


def _kind(request: Request, of: FakeRegistry) -> str:
    if request.path == "/token":
        return "token"
    if of.answer != of.stored and "authorization" not in request.headers:
        return "refused"
    return "HEAD" if request.method == "HEAD" else "config" if "/blobs/" in request.path else "manifest"


def with_tokens(of: FakeRegistry) -> Answer:
    """What *of* has, for those who show a token that anybody gets, as at Docker Hub or Quay."""

    def answer(request: Request) -> Reply:
        if request.path == "/token":
            return Reply(body=json.dumps({"token": "anybody", "expires_in": 300}).encode())
        if "authorization" in request.headers:
            return of.stored(request)
        wish = f'Bearer realm="http://127.0.0.1:{of.port}/token",service="bench"'
        return Reply(status=401, headers={"WWW-Authenticate": wish})

    return answer
