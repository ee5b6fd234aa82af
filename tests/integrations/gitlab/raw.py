"""A server that says exactly which bytes it is told to say, when it is told to: a GitLab at its worst."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from renku_spawner.integrations.gitlab.auth_state import GitLabToken
from renku_spawner.integrations.gitlab.client import GitLabLoginRequired

Says = Callable[[asyncio.StreamWriter], Awaitable[None]]


def answer(status: int = 200, body: object = None, *, type_: str = "application/json", **headers: str) -> bytes:
    """A whole HTTP answer; *body* is JSON, or bytes as they are."""
    said = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Said", f"Content-Type: {type_}", f"Content-Length: {len(said)}"]
    lines += [f"{key.replace('_', '-')}: {value}" for key, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + said


async def hang(_writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


def drip(text: bytes) -> Says:
    """One byte now and one later, each soon enough for a limit on single reads."""

    async def say(writer: asyncio.StreamWriter) -> None:
        for byte in text:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.05)

    return say


@dataclass
class Raw:
    """`says`: bytes or a function, for all requests; `requests` is what was asked, head by head."""

    port: int = 0
    says: bytes | Says | Callable[[str], bytes] = b""
    requests: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.requests.append(head)
                await self._say(head, writer)
        writer.close()

    async def _say(self, head: str, writer: asyncio.StreamWriter) -> None:
        says = self.says
        if not isinstance(says, bytes) and asyncio.iscoroutinefunction(says):
            await says(writer)
            return
        writer.write(says if isinstance(says, bytes) else says(head))  # type: ignore[operator, arg-type]
        await writer.drain()


@contextlib.asynccontextmanager
async def raw(tls: ssl.SSLContext | None = None) -> AsyncIterator[Raw]:
    made, tasks = Raw(), set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        with contextlib.suppress(asyncio.CancelledError):
            await made.serve(reader, writer)
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.01)  # transports close in the next turns of the loop


@dataclass
class OneToken:
    """Tokens that are counted: `<name>-1`, and the next one when that is refused, until none is left."""

    left: int = 3
    given: dict[str, int] = field(default_factory=dict)

    async def get_token(self, name: str, *, left: float = 60.0, not_this: str | None = None) -> GitLabToken:
        number = self.given.get(name, 1) + (not_this == f"{name}-{self.given.get(name, 1)}")
        if number > self.left:
            raise GitLabLoginRequired
        self.given[name] = number
        return GitLabToken(access=f"{name}-{number}", user_id=7, scopes=frozenset({"read_api"}), expires_at=9e9)

    def record_accepted(self, name: str, token: GitLabToken, *, ago: float) -> None: ...
