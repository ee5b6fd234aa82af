"""Pauses what runs of people who may no longer see the project; their files stay theirs (decision 15)."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from . import metrics
from .domain.errors import RenkuError
from .domain.instance import Instance
from .hub_door import HubDoor
from .people import person_of
from .services import runs
from .services.parts import Parts
from .web import servers

REASON = "access_revoked"
log = logging.getLogger("renku_spawner")


async def forever(hub: Any, parts: Parts, pause: float) -> None:
    """Look every *pause* seconds; whatever goes wrong is tried again next time."""
    while True:
        await asyncio.sleep(pause)
        try:
            await look(hub, parts)
            metrics.done("access")
        except Exception:
            metrics.failed("access")
            log.exception("Whether people may still see what they run could not be checked")


async def look(hub: Any, parts: Parts) -> int:
    """Look once at everything that runs; how many were paused."""
    paused = 0
    async for page in runs.active(parts):
        for instance in page:
            paused += await _looked_at(hub, parts, instance)
    return paused


async def _looked_at(hub: Any, parts: Parts, instance: Instance) -> bool:
    user = hub.users.get(instance.username)
    if user is None or not await parts.source.lost(person_of(user), instance.project):
        return False
    log.info("Pausing %s of %s, who may no longer see the project", instance.session, instance.username)
    try:
        await servers.pause(HubDoor(hub), user, parts, instance.session, ended_reason=REASON)
    except RenkuError as problem:
        log.warning("The session %s could not be paused yet: %s", instance.session, problem)
        return False
    return True
