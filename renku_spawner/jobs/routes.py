"""Add missing routes to the proxy within seconds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from aiohttp import ClientError, ClientTimeout
from jupyterhub.proxy import ConfigurableHTTPProxy
from jupyterhub.utils import url_path_join

from ..hub.jupyterhub import (
    HubApp,
    SessionServer,
    create_http_session,
    from_proxy_path,
    restore_proxy_routes,
    to_proxy_path,
)
from .runner import NEVER_AGAIN

ROUTE_CHECK_INTERVAL_SECONDS = 2.0  # not shorter: the proxy logs each request
_SERVER_CHECK_POLL_SECONDS = 1.0


class ProxyRouteCheck:
    """Restore routes while servers are checked, and while the proxy may lose its routes.

    After a restart JupyterHub adds routes only when all servers are checked, and one that is still starting can take
    long, so routes of servers that are found running are added before that. A proxy that was replaced has lost all
    routes, which JupyterHub notices only every `last_activity_interval` seconds.
    """

    def __init__(self, hub: HubApp) -> None:
        self._hub = hub
        self._checking: int | None = None  # servers in the hub's check at the last run
        self._server: SessionServer | None = None

    async def run(self) -> timedelta:
        """Check once, and return the pause until the next check, or `NEVER_AGAIN`."""
        before = self._checking
        self._checking = self._count_checking_servers() if before != 0 else 0
        if before is not None and (self._checking != before or await self._is_route_missing()):
            await restore_proxy_routes(self._hub)
        if self._checking:
            return timedelta(seconds=_SERVER_CHECK_POLL_SECONDS)
        return timedelta(seconds=ROUTE_CHECK_INTERVAL_SECONDS) if self._may_lose_routes else NEVER_AGAIN

    def _count_checking_servers(self) -> int:
        return sum(s.pending == "check" for user in self._hub.users.values() for s in user.spawners.values())

    @property
    def _may_lose_routes(self) -> bool:
        """True for a configurable-http-proxy that the hub does not start.

        JupyterHub itself watches one that it has started, and other proxies store their routes elsewhere.
        """
        proxy = self._hub.proxy
        return isinstance(proxy, ConfigurableHTTPProxy) and not proxy.should_start

    async def _is_route_missing(self) -> bool:
        """Query a single route. Return False also if the proxy does not answer, since routes cannot be added then."""
        if not self._may_lose_routes:
            return False
        server = self._find_ready_server()
        path = to_proxy_path(self._hub.proxy, server.proxy_spec) if server else ""
        try:
            status, body = await self._fetch_route(path)
        except (ClientError, OSError, TimeoutError, ValueError):
            return False
        if server is None:  # the query was for all routes: the hub's own and those of services
            proxy = self._hub.proxy
            routes = {from_proxy_path(proxy, path) for path, route in body.items() if "jupyterhub" in route}
            return status == 200 and self._hub.hub.routespec not in routes
        ready = server.ready and server.server is not None
        return ready and (status == 404 or (status == 200 and body.get("target") != server.server.host))

    async def _fetch_route(self, path: str) -> tuple[int, Mapping[str, Any]]:
        proxy = self._hub.proxy
        url, headers = url_path_join(proxy.api_url, "api/routes", path), {"Authorization": f"token {proxy.auth_token}"}
        timeout = ClientTimeout(total=ROUTE_CHECK_INTERVAL_SECONDS)
        async with create_http_session() as client, client.get(url, headers=headers, timeout=timeout) as answer:
            return answer.status, json.loads(await answer.read()) if answer.status == 200 else {}

    def _find_ready_server(self) -> SessionServer | None:
        """Return a server that has a route, always the same one as long as it is ready."""
        if self._server is None or not self._server.ready:
            servers = (server for user in self._hub.users.values() for server in user.spawners.values())
            self._server = next((server for server in servers if server.ready), None)
        return self._server
