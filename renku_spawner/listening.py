"""Who tells this hub of the use of sessions: without them nothing is paused by itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from .app import Renku

TRAFFIC = "traffic"
_MISSED = 3  # looks


def begin(hub: Any, renku: Renku) -> None:
    """Notice whenever the hub asks its proxy, which it does every `JupyterHub.last_activity_interval`."""
    if not hub.last_activity_interval:
        return
    ask = hub.proxy.get_all_routes

    async def asked() -> Any:
        routes = await ask()
        tells = any("last_activity" in route["data"] for route in routes.values())
        renku.parts.hearing.hear(TRAFFIC, renku.parts.now(), tells=tells)
        return routes

    hub.proxy.get_all_routes = asked
    renku.parts.hearing.expect(TRAFFIC, timedelta(seconds=_MISSED * max(60, hub.last_activity_interval)))
