"""A browser that costs little: plain HTTP/1.1 over connections that are kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from statistics import quantiles

from .hubs import Hub


class Connection:
    """One connection to the hub of a page with the cookies of its visitor."""

    def __init__(self, page: Page) -> None:
        self._hub, self._cookies = page.hub, page.cookies
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> Connection:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._hub.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._writer
        self._writer.close()

    async def get(self, path: str) -> bytes:
        """The body of what stands at *path* (from the root of the hub). Raises AssertionError unless it is 200."""
        assert self._reader
        headers = await self._ask(path)
        return await self._reader.readexactly(int(headers["content-length"]))

    async def post(self, path: str, body: bytes, kind: str) -> bytes:
        """The answer to *body*, of the media type *kind*. Raises AssertionError unless it is 200."""
        assert self._reader
        headers = await self._ask(path, "POST", body, f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n")
        return await self._reader.readexactly(int(headers["content-length"]))

    async def events(self, path: str) -> AsyncIterator[tuple[float, str]]:
        """Each `data:` of a stream with the moment (monotonic) when it came."""
        assert self._reader
        await self._ask(path)
        while line := await self._reader.readline():
            if line.startswith(b"data: "):
                yield time.monotonic(), line[6:].decode()

    async def _ask(self, path: str, method: str = "GET", body: bytes = b"", more: str = "") -> dict[str, str]:
        assert self._reader and self._writer
        host = f"127.0.0.1:{self._hub.port}"
        said = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {self._cookies}\r\n{more}\r\n"
        self._writer.write(said.encode() + body)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        assert " 200 " in head[0], f"{path}: {head}"
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}


@dataclass(frozen=True)
class Cost:
    """What a page has cost: CPU-ms of the hub a request, waiting in ms, and its size in bytes."""

    cpu: float
    p50: float
    p99: float
    bytes: int


@dataclass(frozen=True)
class Page:
    """What is asked for, of which hub and by whom."""

    hub: Hub
    cookies: str
    path: str


async def compared(pages: Sequence[Page], *, requests: int, at_once: int, turns: int = 25) -> list[Cost]:
    """What each page costs in so many requests over *at_once* connections.

    The pages take turns, so that whatever else the machine does meets all of them alike;
    the first answer of each connection is not counted.
    """
    async with AsyncExitStack() as stack:
        meters = [
            Meter(page, [await stack.enter_async_context(Connection(page)) for _ in range(at_once)]) for page in pages
        ]
        for meter in meters:
            await meter.turn(1)
            meter.forget()
        each = max(1, -(-requests // (at_once * turns)))
        for _ in range(turns):
            for meter in meters:
                await meter.turn(each)
        return [meter.cost() for meter in meters]


class Meter:
    def __init__(self, page: Page, connections: Sequence[Connection]) -> None:
        self._page, self._connections = page, connections
        self.forget()

    def forget(self) -> None:
        self._cpu, self._size = 0.0, 0
        self._waits: list[float] = []

    async def turn(self, requests: int) -> None:
        """So many requests over each connection."""
        begin = self._page.hub.cpu()
        await asyncio.gather(*(self._some(connection, requests) for connection in self._connections))
        self._cpu += self._page.hub.cpu() - begin

    async def _some(self, connection: Connection, requests: int) -> None:
        for _ in range(requests):
            begin = time.perf_counter()
            self._size = max(self._size, len(await connection.get(self._page.path)))
            self._waits.append((time.perf_counter() - begin) * 1000)

    def cost(self) -> Cost:
        return Cost(
            cpu=round(self._cpu * 1000 / len(self._waits), 3),
            p50=round(percentile(self._waits, 50), 2),
            p99=round(percentile(self._waits, 99), 2),
            bytes=self._size,
        )


def percentile(values: list[float], which: int) -> float:
    return quantiles(values, n=100, method="inclusive")[which - 1] if len(values) > 1 else values[0]
