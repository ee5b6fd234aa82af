"""The one way out of a clone: a SOCKS5 proxy on loopback that asks, for each connection, where it may lead."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

# The addresses of a host and port. Raises PermissionError for where nobody may connect, OSError if there are none.
Vet = Callable[[str, int], Awaitable[Sequence[str]]]

CONNECT_SECONDS = 10.0
_HELLO_SECONDS = 10.0
_CHUNK = 2**16
# RFC 1928, section 6
_OPEN, _NOT_ALLOWED, _UNREACHABLE, _NO_SUCH_COMMAND = 0, 2, 4, 7


@contextlib.asynccontextmanager
async def door(vet: Vet) -> AsyncIterator[str]:
    """Give the address of a proxy (``socks5h://127.0.0.1:port``) that connects to what *vet* says and nothing else.

    Whoever uses it leaves names to it, so that the address that was judged is the one that is connected to: first
    requests, redirects, submodules and large files alike. What is open when the context ends is closed.
    """
    busy: set[asyncio.Task[None]] = set()

    def enter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not server.is_serving():  # it was let in just before the end
            writer.close()
            return
        task = asyncio.ensure_future(_serve(vet, reader, writer))
        busy.add(task)
        task.add_done_callback(busy.discard)
        task.add_done_callback(lambda _: writer.close())  # also of one that is cancelled before it has begun

    server = await asyncio.start_server(enter, "127.0.0.1")
    try:
        yield f"socks5h://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tuple(busy):
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)
        await server.wait_closed()


async def _serve(vet: Vet, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, EOFError, ValueError):  # whoever came has gone, or speaks something else
        async with asyncio.timeout(_HELLO_SECONDS):
            host, port = await _asked(reader, writer)
        answer, found = await _connected(vet, host, port)
        writer.write(_reply(answer))
        if found:
            await _carry((reader, writer), found)


async def _asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, int]:
    """Greet, and read where to. Raises ValueError for what is no request to connect."""
    version, methods = await reader.readexactly(2)
    await reader.readexactly(methods)
    if version != 5:
        raise ValueError("no SOCKS5")
    writer.write(b"\x05\x00")  # no login
    _, command, _, kind = await reader.readexactly(4)
    host = await _host(reader, kind)
    port = int.from_bytes(await reader.readexactly(2))
    if command != 1:
        writer.write(_reply(_NO_SUCH_COMMAND))
        raise ValueError("only connecting is possible")
    return host, port


async def _host(reader: asyncio.StreamReader, kind: int) -> str:
    if kind == 3:
        length = (await reader.readexactly(1))[0]
        return (await reader.readexactly(length)).decode("ascii")
    if kind not in (1, 4):
        raise ValueError("no kind of address")
    return str(ipaddress.ip_address(await reader.readexactly(4 if kind == 1 else 16)))


_Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _connected(vet: Vet, host: str, port: int) -> tuple[int, _Stream | None]:
    try:
        addresses = await vet(host, port)
    except PermissionError:
        return _NOT_ALLOWED, None
    except OSError:
        return _UNREACHABLE, None
    for address in addresses:
        with contextlib.suppress(OSError):  # TimeoutError too
            async with asyncio.timeout(CONNECT_SECONDS):
                return _OPEN, await asyncio.open_connection(address, port)
    return _UNREACHABLE, None


def _reply(answer: int) -> bytes:
    return bytes((5, answer, 0, 1)) + bytes(6)


async def _carry(inside: _Stream, outside: _Stream) -> None:
    """Bytes both ways until one side has ended."""
    ways = [
        asyncio.ensure_future(_pass_on(inside[0], outside[1])),
        asyncio.ensure_future(_pass_on(outside[0], inside[1])),
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        outside[1].close()  # first: what follows may be cancelled
        await asyncio.gather(*ways, return_exceptions=True)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
