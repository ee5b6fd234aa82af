"""A SOCKS5 proxy on loopback for git clones that only connects to allowed addresses."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

# Returns the addresses of a host and port; raises PermissionError if the host is not allowed, OSError if unknown.
AllowedAddressResolver = Callable[[str, int], Awaitable[Sequence[str]]]

PROXY_CONNECT_TIMEOUT_SECONDS = 10.0
_HANDSHAKE_TIMEOUT_SECONDS = 10.0
_COPY_CHUNK_BYTES = 2**16
# RFC 1928, section 6
_SOCKS_SUCCEEDED, _SOCKS_NOT_ALLOWED, _SOCKS_HOST_UNREACHABLE, _SOCKS_COMMAND_NOT_SUPPORTED = 0, 2, 4, 7


@contextlib.asynccontextmanager
async def open_git_proxy(vet: AllowedAddressResolver) -> AsyncIterator[str]:
    """Run a proxy that connects only to the addresses that *vet* returns; yield its URL.

    The URL is `socks5h://127.0.0.1:port`: clients leave name resolution to the proxy, so that the address that was
    checked is the one that is connected to, also for redirects, submodules and LFS. Open connections are closed at
    the end of the context.
    """
    busy: set[asyncio.Task[None]] = set()

    def enter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not server.is_serving():  # accepted while the server was closing
            writer.close()
            return
        task = asyncio.ensure_future(_serve_client(vet, reader, writer))
        busy.add(task)
        task.add_done_callback(busy.discard)
        task.add_done_callback(lambda _: writer.close())  # also if the task is cancelled before it starts

    server = await asyncio.start_server(enter, "127.0.0.1")
    try:
        yield f"socks5h://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tuple(busy):
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)
        await server.wait_closed()


async def _serve_client(
    vet: AllowedAddressResolver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    with contextlib.suppress(OSError, EOFError, ValueError):  # the client disconnected, or does not speak SOCKS5
        async with asyncio.timeout(_HANDSHAKE_TIMEOUT_SECONDS):
            host, port = await _read_connect_request(reader, writer)
        answer, found = await _open_connection(vet, host, port)
        writer.write(_build_reply(answer))
        if found:
            await _relay_streams((reader, writer), found)


async def _read_connect_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, int]:
    """Do the handshake, and return the requested host and port.

    Raises:
        ValueError: it is not a SOCKS5 CONNECT request.
    """
    version, methods = await reader.readexactly(2)
    await reader.readexactly(methods)
    if version != 5:
        raise ValueError("no SOCKS5")
    writer.write(b"\x05\x00")  # no authentication
    _, command, _, kind = await reader.readexactly(4)
    host = await _read_host(reader, kind)
    port = int.from_bytes(await reader.readexactly(2))
    if command != 1:
        writer.write(_build_reply(_SOCKS_COMMAND_NOT_SUPPORTED))
        raise ValueError("only connecting is possible")
    return host, port


async def _read_host(reader: asyncio.StreamReader, kind: int) -> str:
    if kind == 3:
        length = (await reader.readexactly(1))[0]
        return (await reader.readexactly(length)).decode("ascii")
    if kind not in (1, 4):
        raise ValueError("no kind of address")
    return str(ipaddress.ip_address(await reader.readexactly(4 if kind == 1 else 16)))


_StreamPair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _open_connection(vet: AllowedAddressResolver, host: str, port: int) -> tuple[int, _StreamPair | None]:
    try:
        addresses = await vet(host, port)
    except PermissionError:
        return _SOCKS_NOT_ALLOWED, None
    except OSError:
        return _SOCKS_HOST_UNREACHABLE, None
    for address in addresses:
        with contextlib.suppress(OSError):  # TimeoutError too
            async with asyncio.timeout(PROXY_CONNECT_TIMEOUT_SECONDS):
                return _SOCKS_SUCCEEDED, await asyncio.open_connection(address, port)
    return _SOCKS_HOST_UNREACHABLE, None


def _build_reply(answer: int) -> bytes:
    return bytes((5, answer, 0, 1)) + bytes(6)


async def _relay_streams(inside: _StreamPair, outside: _StreamPair) -> None:
    """Copy bytes in both directions until one side closes."""
    copies = [
        asyncio.ensure_future(_copy_stream(inside[0], outside[1])),
        asyncio.ensure_future(_copy_stream(outside[0], inside[1])),
    ]
    try:
        await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for copy in copies:
            copy.cancel()
        outside[1].close()  # first: the next line may be cancelled
        await asyncio.gather(*copies, return_exceptions=True)


async def _copy_stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_COPY_CHUNK_BYTES):
        writer.write(data)
        await writer.drain()
