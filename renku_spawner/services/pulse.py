"""Looks at the database now and then, without keeping anybody: whether it answers, and how many instances there are."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from .. import metrics
from ..domain.instance import Status
from ..store.database import Database

PAUSE = 5.0  # seconds
SHARE = 100  # times as long as it took; a database with very many instances is not asked all the time
_SURE = 2  # looks in a row; once it may only have been busy
log = logging.getLogger("renku_spawner")


@dataclass(kw_only=True)
class Pulse:
    """`missed` counts the looks in a row that were in vain, `since` is when the first of them was."""

    missed: int = 0
    since: datetime | None = None

    @property
    def away_since(self) -> datetime | None:
        """None while the database answers."""
        return self.since if self.missed >= _SURE else None

    async def forever(self, db: Database, now: Callable[[], datetime]) -> None:
        """Look every 5 seconds, in a thread: a server that is away would stop the hub's loop for two."""
        clock = asyncio.get_running_loop().time
        while True:
            began, at = clock(), now()
            if await self._look(db):
                self.missed, self.since = 0, None
            else:
                self.missed, self.since = self.missed + 1, self.since or at
            await asyncio.sleep(max(PAUSE, SHARE * (clock() - began) if not self.missed else 0))

    async def _look(self, db: Database) -> bool:
        counting = asyncio.ensure_future(asyncio.to_thread(_count, db))
        try:
            counts = await asyncio.shield(counting)
        except asyncio.CancelledError:
            await asyncio.wait({counting})  # whoever closes the database next has all connections back
            raise
        except Exception as problem:
            metrics.failed("counting")
            log.debug("The instances were not counted: %s", type(problem).__name__)
            return False
        metrics.done("counting")
        for status in metrics.STATUSES:
            metrics.instances.labels(status).set(counts.get(status, 0))
        return True


def _count(db: Database) -> dict[Status, int]:
    with db.read() as tx:
        return tx.instances.by_status()
