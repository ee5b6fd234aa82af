"""A registry that answers whatever a test wants, byte by byte if need be."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

from tests.fixtures.images import Made

REASONS = {200: "OK", 302: "Found", 307: "Temporary Redirect", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found"}


@dataclass(frozen=True)
class Request:
    """What was asked, its headers with names in lower case; `target` is path and query."""

    method: str
    target: str
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


@dataclass(frozen=True)
class Reply:
    """A status, headers and a body, or an endless one from `parts`."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    parts: Callable[[], AsyncIterator[bytes]] | None = None


Answer = Callable[[Request], Reply | Awaitable[Reply]]


class FakeRegistry:
    """Serves on loopback from the running loop, each connection once; `answer` may be replaced
    by the test, and the default serves what was `put`. `requests` holds everything that was asked."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.documents: dict[str, Reply] = {}
        self.answer: Answer = self.stored
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def put(self, name: str, tag: str, made: Made) -> str:
        """Serve an image from now on; its digest."""
        for digest, body in made.blobs.items():
            self.documents[f"/v2/{name}/blobs/{digest}"] = Reply(body=body)
        for digest, (body, kind) in made.manifests.items():
            headers = {"Content-Type": kind, "Docker-Content-Digest": digest}
            self.documents[f"/v2/{name}/manifests/{digest}"] = Reply(headers=headers, body=body)
        self.documents[f"/v2/{name}/manifests/{tag}"] = self.documents[f"/v2/{name}/manifests/{made.top}"]
        return made.top

    def stored(self, request: Request) -> Reply:
        return self.documents.get(request.path, Reply(404))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._one(reader, writer)
                writer.close()
                await writer.wait_closed()
        finally:
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        request = Request(method, target, headers)
        self.requests.append(request)
        reply = self.answer(request)
        if not isinstance(reply, Reply):
            reply = await reply
        own = {} if reply.parts else {"Content-Length": str(len(reply.body))}
        said = {**own, "Connection": "close", **reply.headers}
        start = f"HTTP/1.1 {reply.status} {REASONS.get(reply.status, 'Other')}\r\n"
        writer.write((start + "".join(f"{k}: {v}\r\n" for k, v in said.items()) + "\r\n").encode("latin-1"))
        if method != "HEAD":
            writer.write(reply.body)
            async for part in reply.parts() if reply.parts else _nothing():
                writer.write(part)
                await writer.drain()
        await writer.drain()


async def _nothing() -> AsyncIterator[bytes]:
    for part in ():
        yield part
