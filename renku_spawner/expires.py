"""Paused data expire: what `services.expiry` needs of the hub."""

from __future__ import annotations

from typing import Any

from . import neighbours
from .hub_door import HubDoor
from .services.parts import Parts
from .web import deletions


class ExpiryDoor:
    """Its users, its servers, and who of its neighbours answers."""

    def __init__(self, hub: Any, parts: Parts) -> None:
        self._hub, self._parts = hub, parts
        self.page = f"{hub.public_url.rstrip('/')}{hub.hub.base_url[len(hub.base_url) - 1:]}renku/sessions" if (
            hub.public_url
        ) else None  # fmt: skip

    def knows(self, username: str) -> bool:
        return self._hub.users.get(username) is not None

    async def well(self) -> bool:
        """Nobody logs in while GitLab is away; what the cluster does is not known while it is."""
        gitlab = self._parts.gitlab
        if gitlab is not None and not await gitlab.answers():
            return False
        known = neighbours.of(self._parts, self._hub.spawner_class)
        return not any(each.away_since for each in known if each.kind == "kubernetes")

    async def delete(self, username: str, session_id: str) -> None:
        user = self._hub.users.get(username)
        if user is not None:
            await deletions.expire(HubDoor(self._hub), user, session_id)
