"""Endpoint for the notice in JupyterLab."""

from __future__ import annotations

from typing import Any

from jupyter_server.base.handlers import APIHandler
from tornado import web

from .hub import NoRenku
from .watch import Watch

_SHOWN = ("title", "pauses_at", "pauses_in", "pauses_because", "awake_until", "keep_awake_max")
_HOUR = 3600  # seconds


class Me(APIHandler):
    """Return when this session pauses (GET), or keep it awake (POST); 404 without a Renku hub."""

    _track_activity = False  # polling by an open page must not count as activity

    def initialize(self, watch: Watch) -> None:
        self._watch = watch

    @web.authenticated
    async def get(self) -> None:
        if not self._watch.is_fresh():
            await self._tell()
        self._show()

    @web.authenticated
    async def post(self) -> None:
        most = (self._watch.told or {}).get("keep_awake_max") or _HOUR
        await self._tell(keep_awake=min(_HOUR, most))
        self._show()

    async def _tell(self, **more: Any) -> None:
        try:
            await self._watch.report(**more)
        except NoRenku:
            pass
        except Exception:
            raise web.HTTPError(503, "The hub does not answer") from None

    def _show(self) -> None:
        if not self._watch.renku:
            raise web.HTTPError(404, "No session of a Renku hub")
        told: dict[str, Any] = self._watch.now() or {}
        self.finish({name: told.get(name) for name in _SHOWN})
