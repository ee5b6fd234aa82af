"""An HTTP proxy on loopback for another program (rclone) that makes each request itself, through the guard.

The program requests `http://host` through the proxy, and the proxy requests `https://host`. So the program needs no
extra CA certificate, every request is checked with the address that was looked up, and redirects are not followed.
Signatures stay valid, since they cover the host and not the scheme.
"""

from __future__ import annotations

import hmac
import secrets
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ssl import SSLContext

from aiohttp import web

from .errors import ConnectionNotAllowed, RemoteError
from .guarded_http import EgressGuard, GuardedHTTPClient, GuardedResponse

_MAX_PROXIED_BODY_BYTES = 4 * 1024**2
# Headers of one connection (RFC 9110, section 7.6.1), and those that no longer fit the decoded body.
_HOP_BY_HOP_HEADERS = {
    "connection", "proxy-connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
    "transfer-encoding", "upgrade", "content-length", "content-encoding", "host", "location",
}  # fmt: skip
_PROXY_USERNAME = "rclone"


class EgressProxy:
    """The proxy of one program; `refused` is set once it requested a host that the guard does not allow."""

    def __init__(self, wire: GuardedHTTPClient, *, plain: bool) -> None:
        self._wire, self._plain = wire, plain
        self._password = secrets.token_urlsafe(24)
        self.port = 0
        self.refused = False

    @property
    def proxy_url(self) -> str:
        """The proxy's URL for the program; it has a password, so that other users of this machine cannot use it."""
        return f"http://{_PROXY_USERNAME}:{self._password}@127.0.0.1:{self.port}"

    async def handle_request(self, request: web.BaseRequest) -> web.StreamResponse:
        expected = "Basic " + b64encode(f"{_PROXY_USERNAME}:{self._password}".encode()).decode()
        if not hmac.compare_digest(request.headers.get("Proxy-Authorization", ""), expected):
            return web.Response(status=407)
        try:
            return _build_proxy_response(await self._forward_request(request))
        except ConnectionNotAllowed:
            self.refused = True
        except (RemoteError, ValueError, web.HTTPException):
            pass
        return web.Response(status=502)

    async def _forward_request(self, request: web.BaseRequest) -> GuardedResponse:
        url = request.url if self._plain else request.url.with_scheme("https")
        body = await request.read() if request.body_exists else None
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP_HEADERS}
        return await self._wire.request_without_redirects(
            request.method, url, headers=headers, limit=_MAX_PROXIED_BODY_BYTES, body=body
        )


class EgressProxyFactory:
    """Create egress proxies that are checked by *guard*. *ssl* replaces the system's trust store."""

    def __init__(self, guard: EgressGuard, *, ssl: SSLContext | None = None) -> None:
        self.guard = guard
        self._wire = GuardedHTTPClient(guard, ssl=ssl)

    @asynccontextmanager
    async def open_proxy(self, *, plain: bool = False) -> AsyncIterator[EgressProxy]:
        """Run a proxy for the duration of the context; with *plain*, it requests http where the guard allows it."""
        proxy = EgressProxy(self._wire, plain=plain)
        server = web.Server(proxy.handle_request, access_log=None, max_line_size=16_384)
        runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            proxy.port = runner.addresses[0][1]
            yield proxy
        finally:
            await runner.cleanup()

    async def close(self) -> None:
        await self._wire.close()


def _build_proxy_response(answer: GuardedResponse) -> web.Response:
    headers = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP_HEADERS}
    return web.Response(status=answer.status, headers=headers, body=answer.body)
