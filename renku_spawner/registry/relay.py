"""A way out for a program that speaks HTTP: each of its requests is judged, and made by us.

The program is told to ask `http://host` through a proxy on loopback, and we ask `https://host` for it. So it needs
no trust in a certificate of ours, whatever it asks for passes the guard with the address that was looked up, and a
redirect leads nowhere. What it signs stays right: a signature is over the host, not over the scheme.
"""

from __future__ import annotations

import hmac
import secrets
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ssl import SSLContext

from aiohttp import web

from .errors import NotAllowed, RegistryError
from .guard import Guard
from .wire import Answer, Wire

_ANSWERED = 4 * 1024**2  # bytes
# Of one connection (RFC 9110, 7.6.1), or not as they were once the body is unpacked.
_HOPS = {
    "connection", "proxy-connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
    "transfer-encoding", "upgrade", "content-length", "content-encoding", "host", "location",
}  # fmt: skip
_USER = "rclone"


class Way:
    """One program's way out; `refused` tells whether it was stopped at a host where we may not connect."""

    def __init__(self, wire: Wire, *, plain: bool) -> None:
        self._wire, self._plain = wire, plain
        self._password = secrets.token_urlsafe(24)
        self.port = 0
        self.refused = False

    @property
    def address(self) -> str:
        """What the program gets as its proxy; nobody else on this machine can use it."""
        return f"http://{_USER}:{self._password}@127.0.0.1:{self.port}"

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        expected = "Basic " + b64encode(f"{_USER}:{self._password}".encode()).decode()
        if not hmac.compare_digest(request.headers.get("Proxy-Authorization", ""), expected):
            return web.Response(status=407)
        try:
            return _passed_on(await self._ask(request))
        except NotAllowed:
            self.refused = True
        except (RegistryError, ValueError, web.HTTPException):
            pass
        return web.Response(status=502)

    async def _ask(self, request: web.BaseRequest) -> Answer:
        url = request.url if self._plain else request.url.with_scheme("https")
        body = await request.read() if request.body_exists else None
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOPS}
        return await self._wire.once(request.method, url, headers=headers, limit=_ANSWERED, body=body)


class Relay:
    """Makes ways out, past *guard*. *ssl* replaces the system's trust."""

    def __init__(self, guard: Guard, *, ssl: SSLContext | None = None) -> None:
        self.guard = guard
        self._wire = Wire(guard, ssl=ssl)

    @asynccontextmanager
    async def way(self, *, plain: bool = False) -> AsyncIterator[Way]:
        """A way out that is closed again; a *plain* one asks by http, where the guard lets it."""
        way = Way(self._wire, plain=plain)
        server = web.Server(way.answer, access_log=None, max_line_size=16_384)
        runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            way.port = runner.addresses[0][1]
            yield way
        finally:
            await runner.cleanup()

    async def close(self) -> None:
        await self._wire.close()


def _passed_on(answer: Answer) -> web.Response:
    headers = {name: value for name, value in answer.headers.items() if name.lower() not in _HOPS}
    return web.Response(status=answer.status, headers=headers, body=answer.body)
