"""From an HTTP request to a handler of the fake GitLab and back: faults, headers, who asked for what."""

import asyncio
import base64
import json
import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from aiohttp import web

from . import gitlab_api, gitlab_images, gitlab_repository
from .gitlab_auth import authenticate, check_scope
from .gitlab_call import Call, Refusal, Reply, routed
from .gitlab_faults import Fault, never
from .gitlab_git_http import PATH as GIT
from .gitlab_git_http import git
from .gitlab_oauth import ENDPOINTS
from .gitlab_pages import PAGES
from .gitlab_registry import auth, registry

if TYPE_CHECKING:
    from .gitlab import FakeGitLab

COMMON = {
    "Server": "nginx",
    "Content-Type": "application/json",
    "Cache-Control": "max-age=0, private, must-revalidate",
    "Vary": "Origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Strict-Transport-Security": "max-age=63072000",
}
APIS = (gitlab_api, gitlab_images, gitlab_repository)  # to import them makes their routes
OTHERS = PAGES | ENDPOINTS | {("GET", "/jwt/auth"): auth}
LIMIT, HOUR = 7200, 3600


class Server:
    """Answers every request to one fake GitLab."""

    def __init__(self, lab: "FakeGitLab") -> None:
        self.lab = lab

    async def handle(self, http: web.BaseRequest) -> web.StreamResponse:
        path, _, query = http.raw_path.partition("?")
        call = Call(self.lab, http.method, path, query, http.headers, await http.content.read(-1))
        fault = self.lab.faults.of(path)
        self.lab.calls.append((call.method, path, _name(call)))
        if fault.mode == "hang":
            await never()
        if fault.mode == "slow":
            await asyncio.sleep(self.lab.slow_seconds)
        reply = fault.reply() or await self.reply(call)
        return await self.sent(http, call, reply, fault)

    async def reply(self, call: Call) -> Reply:
        try:
            if GIT.fullmatch(call.path):
                return await asyncio.to_thread(git, call)
            other = OTHERS.get((call.method, call.path))
            return other(call) if other else await self.api(call)
        except Refusal as refusal:
            return refusal.reply

    async def registry(self, http: web.BaseRequest) -> web.StreamResponse:
        """Answer at the registry's own port."""
        path, _, query = http.raw_path.partition("?")
        call = Call(self.lab, http.method, path, query, http.headers)
        self.lab.registry_calls.append((call.method, path))
        try:
            reply = registry(call)
        except Refusal as refusal:
            reply = refusal.reply
        return web.Response(body=reply.raw, status=reply.status, headers=reply.headers)

    async def api(self, call: Call) -> Reply:
        call.token = authenticate(call)
        route = routed(call)
        check_scope(call.token, route.scopes)
        return await asyncio.to_thread(route.handler, call) if route.slow else route.handler(call)

    async def sent(self, http: web.BaseRequest, call: Call, reply: Reply, fault: Fault) -> web.StreamResponse:
        page = reply.headers.get("Content-Type", "").startswith("text/html")
        common = self.headers(call) if call.path.startswith("/api/") and not page else {}
        headers = common | reply.headers
        if fault.mode == "reset" and http.transport:
            http.transport.abort()
        if fault.mode not in {"drip", "truncated"}:
            return web.Response(body=reply.raw, status=reply.status, headers=headers)
        return await self.slowly(http, reply, headers, fault)

    async def slowly(
        self, http: web.BaseRequest, reply: Reply, headers: dict[str, str], fault: Fault
    ) -> web.StreamResponse:
        """Send the answer byte by byte, or only half of it."""
        response = web.StreamResponse(status=reply.status, headers=headers)
        response.content_length = len(reply.raw)
        await response.prepare(http)
        if fault.mode == "truncated":
            await response.write(reply.raw[: len(reply.raw) // 2])
            await asyncio.sleep(0.02)  # let it leave before the connection breaks
            if http.transport:
                http.transport.abort()
            return response
        with suppress(ConnectionError):
            for byte in reply.raw:
                await response.write(bytes([byte]))
                await asyncio.sleep(self.lab.drip_seconds)
        return response

    def headers(self, call: Call) -> dict[str, str]:
        """What every answer of the API has, with a limiter that is far away."""
        ident, now = secrets.token_hex(13).upper(), int(time.time())
        kind = "authenticated" if "Authorization" in call.headers else "unauthenticated"
        own = {"X-Request-Id": ident, "X-Runtime": "0.084213", "RateLimit-Limit": str(LIMIT * 60 // HOUR)}
        own |= {"X-Gitlab-Meta": json.dumps({"correlation_id": ident, "version": "1"}, separators=(",", ":"))}
        own |= {"RateLimit-Name": f"throttle_{kind}_api", "RateLimit-Observed": "1"}
        own |= {"RateLimit-Remaining": str(LIMIT - 1), "RateLimit-Reset": str(now - now % HOUR + HOUR)}
        return COMMON | own


def _name(call: Call) -> str:
    """Who asks, whatever their token is still good for; empty for nobody."""
    given = call.headers.get("Authorization", "")
    access = given.partition(" ")[2]
    if given.lower().startswith("basic "):
        with suppress(ValueError):
            access = base64.b64decode(access).decode().partition(":")[2]
    found = call.lab.world.token(access or call.query.get("access_token", ""))
    return found.user.username if found else ""
