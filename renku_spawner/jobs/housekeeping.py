"""Delete what nobody needs: old records, data about images that are no longer used, and pods of ended sessions.

Data of paused sessions is deleted by `jobs.expiry`.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from ..context.app_context import AppContext, read_transaction, write_transaction
from ..hub.adapter import HubServerDirectory
from ..hub.jupyterhub import HubApp
from ..lifecycle.decide import ServerState
from ..lifecycle.runs import load_instance
from ..persistence.database import Transaction
from ..spawners.kubernetes.spawner import RenkuSpawner, create_detached_spawner
from .runner import NEVER_AGAIN


async def delete_old_records(context: AppContext, kept: timedelta) -> int:
    """Delete records older than *kept* and storage credentials of deleted users; return the number of deleted rows."""
    before, deleted = context.now() - kept, await _delete_credentials_of_deleted_users(context)
    while count := await write_transaction(context, lambda tx: _delete_record_batch(tx, before)):
        deleted += count  # in batches, so that the database is not locked for long
        await asyncio.sleep(0)
    return deleted


async def _delete_credentials_of_deleted_users(context: AppContext) -> int:
    """Delete storage credentials whose owner is no longer a user of the hub: a re-created name is another user."""
    gone = context.find_missing_users(await read_transaction(context, lambda tx: tx.storages.list_credentials_owners()))
    return await write_transaction(context, lambda tx: tx.storages.delete_credentials_of_users(gone)) if gone else 0


def _delete_record_batch(tx: Transaction, before: datetime) -> int:
    """Delete one batch of old records. Images come first, so that package lists of deleted images go with them."""
    return sum(store.prune(before) for store in (tx.launches, tx.audit, tx.images, tx.ci_images, tx.software))


class EndedPodCleaner:
    """Delete the pods of sessions that have ended.

    A session's end is recorded before its pod is deleted. If the hub ends in between, no server is left whose poll
    would delete the pod.
    """

    def __init__(self, hub: HubApp, context: AppContext) -> None:
        self._hub = hub
        self._context = context
        self._servers = HubServerDirectory(hub)
        self._spawner: RenkuSpawner | None = None

    async def run(self) -> timedelta | None:
        """Delete such pods once. Return `NEVER_AGAIN` where each user has a namespace: those are not watched together.

        Raises:
            ValueError: the cluster cannot be found.
            UnavailableError: the cluster or the database does not answer.
        """
        self._spawner = self._spawner or create_detached_spawner(self._hub.spawner_class, self._hub.config)
        if self._spawner.enable_user_namespaces:
            return NEVER_AGAIN
        for pod in await self._spawner.list_session_pods():
            if pod.leaving or self._servers.get_state(pod.username, pod.session) is not ServerState.NONE:
                continue  # a poll or a stop of its server deletes it
            instance = await load_instance(self._context, pod.username, pod.session)
            if instance is not None and not instance.is_active and instance.run == pod.of:
                await self._spawner.delete_session_pod(pod)
        return None
