"""Record activity reported by the proxy; idle pausing is off without it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ..config.renku import Renku
from .jupyterhub import HubApp

PROXY_ACTIVITY_SOURCE = "traffic"
_MAX_MISSED_REPORTS = 3  # after as many, the proxy no longer counts as an activity source


def start_recording_proxy_activity(hub: HubApp, renku: Renku) -> None:
    """Wrap `get_all_routes` of the hub's proxy, which the hub calls every `JupyterHub.last_activity_interval`."""
    if not hub.last_activity_interval:
        return
    ask = hub.proxy.get_all_routes

    async def asked() -> Any:
        routes = await ask()
        tells = any("last_activity" in route["data"] for route in routes.values())
        renku.context.activity_sources.record_signal(PROXY_ACTIVITY_SOURCE, renku.context.now(), tells=tells)
        return routes

    hub.proxy.get_all_routes = asked
    renku.context.activity_sources.register_source(
        PROXY_ACTIVITY_SOURCE, timedelta(seconds=_MAX_MISSED_REPORTS * max(60, hub.last_activity_interval))
    )
