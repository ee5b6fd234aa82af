"""What happens by itself goes through the same doors as a click."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from .app import Renku
from .domain.instance import Instance
from .web import servers

_PATIENCE = 30.0  # seconds for one stop, before the next is looked at


class HubDoor:
    """What the door to the hub needs of a handler, where nobody has asked for a page."""

    def __init__(self, hub: Any) -> None:
        self._hub, self.log = hub, hub.log

    async def stop_single_user(self, user: Any, name: str) -> None:
        """As the hub's own handlers do it: no longer reached, then stopped."""
        spawner = user.spawners[name]
        spawner._stop_pending = True
        spawner._stop_future = asyncio.ensure_future(self._stop(user, spawner))
        await asyncio.wait({spawner._stop_future}, timeout=_PATIENCE)

    async def _stop(self, user: Any, spawner: Any) -> None:
        try:
            await self._hub.proxy.delete_user(user, spawner.name)
            await user.stop(spawner.name)
        finally:
            spawner._stop_future = None
            spawner._stop_pending = False


class Hand:
    """What the rounds do (`services.rounds`)."""

    def __init__(self, hub: Any, renku: Renku) -> None:
        self._hub, self._renku, self._door = hub, renku, HubDoor(hub)

    def used(self, instance: Instance) -> datetime | None:
        """From the hub's proxy and from what the server itself posts."""
        user = self._hub.users.get(instance.username)
        row = user.orm_spawners.get(instance.session) if user else None
        return row.last_activity.replace(tzinfo=UTC) if row is not None and row.last_activity else None

    async def processors(self) -> Mapping[tuple[str, str], float] | None:
        """Any spawner knows what all sessions run on."""
        spawners = (spawner for user in self._hub.users.values() for spawner in user.spawners.values())
        ground = next((each for each in spawners if each.active and not each.plain), None)
        return await ground.processors() if ground is not None else None

    async def pause(self, instance: Instance) -> None:
        user = self._hub.users.get(instance.username)
        if user is not None:
            reason = instance.ended_reason or ""
            await servers.pause(self._door, user, self._renku.parts, instance.session, ended_reason=reason)
