"""Finish after a restart what the end of an earlier hub process has interrupted."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from ..config.renku import Renku
from ..domain.instances import Instance
from ..hub.jupyterhub import HubApp
from ..lifecycle.runs import iter_active_instances, record_failure
from ..usecases.instances import list_instances_pending_deletion
from .runner import NEVER_AGAIN

RECOVERY_INTERVAL_SECONDS = 30.0
_SETTLE_PAUSE_SECONDS = 0.02  # between two instances, so that requests are answered meanwhile
log = logging.getLogger("renku_spawner")


async def settle_forgotten_instances(hub: HubApp, renku: Renku) -> timedelta | None:
    """Mark instances as failed that are active on record but unknown to the hub, and stop what is left of them.

    Return `NEVER_AGAIN` once all are settled. There can be many if the hub's database was lost, so requests are served
    between two of them.
    """
    settled = True
    async for page in iter_active_instances(renku.context):
        active = {(user.name, name) for user in hub.users.values() for name, s in user.spawners.items() if s.active}
        for instance in page:
            if instance.turn is None and (instance.username, instance.session) not in active:
                settled = await _try_settle(hub, renku, instance) and settled
                await asyncio.sleep(_SETTLE_PAUSE_SECONDS)
        await asyncio.sleep(0)
    return NEVER_AGAIN if settled else None


async def _try_settle(hub: HubApp, renku: Renku, instance: Instance) -> bool:
    try:
        await _settle_forgotten_instance(hub, renku, instance)
    except Exception as error:
        log.warning("Failed to settle lost instance %s:%s: %s", instance.username, instance.session, error)
        return False
    return True


async def _settle_forgotten_instance(hub: HubApp, renku: Renku, instance: Instance) -> None:
    user = hub.users.get(instance.username)
    spawner = user.spawners.get(instance.session) if user else None
    if spawner is not None and spawner.active:  # the user has started it meanwhile
        return
    if user is not None:
        spawner = user.spawners[instance.session]
        await spawner.stop_session(instance, now=True)
        spawner.revoke_session_tokens()
    await record_failure(renku.context, instance.username, instance.session, reason="lost")


class InterruptedDeletions:
    """The confirmed deletions that the hub's exit has interrupted; those that begin later are not among them."""

    def __init__(self, hub: HubApp, renku: Renku) -> None:
        self._hub, self._renku = hub, renku
        self._pending: list[Instance] | None = None

    async def finish(self) -> timedelta | None:
        """Try to finish all, and return `NEVER_AGAIN` once that is done."""
        if self._pending is None:
            self._pending = await list_instances_pending_deletion(self._renku.context)
        self._pending = [instance for instance in self._pending if not await self._try_delete_data(instance)]
        return None if self._pending else NEVER_AGAIN

    async def _try_delete_data(self, instance: Instance) -> bool:
        user = self._hub.users.get(instance.username)
        if user is None:
            return True
        try:
            spawner = user.spawners[instance.session]
            await spawner.delete_forever()
            spawner.revoke_session_tokens()
        except Exception as error:
            log.warning("Failed to delete data of %s:%s: %s", instance.username, instance.session, error)
            return False
        return True
