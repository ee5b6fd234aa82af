"""Check in the background whether the database answers, and count instances by status for the metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..domain.errors import UnavailableError
from ..domain.instances import InstanceStatus
from ..observability.metrics import COUNTED_STATUSES, INSTANCES_BY_STATUS
from ..persistence.database import Database

DATABASE_CHECK_INTERVAL_SECONDS = 5.0
DATABASE_CHECK_PAUSE_FACTOR = 100  # pause this many times as long as the check took, to spare large databases
_MIN_FAILED_CHECKS = 2  # in a row; after a single failure the database may only have been busy


@dataclass(kw_only=True)
class DatabaseHealth:
    """The result of the database checks.

    `missed` counts the failed checks in a row, `since` is the time of the first of them.
    """

    missed: int = 0
    since: datetime | None = None

    @property
    def unreachable_since(self) -> datetime | None:
        """The time of the first failed check, or None while the database answers."""
        return self.since if self.missed >= _MIN_FAILED_CHECKS else None

    async def check(self, db: Database, now: Callable[[], datetime]) -> timedelta:
        """Count the instances by status, and return the pause until the next check.

        Raises:
            UnavailableError: the database does not answer.
        """
        clock = asyncio.get_running_loop().time
        began, at = clock(), now()
        # In a thread: connecting to a dead server would block the event loop.
        counting = asyncio.ensure_future(asyncio.to_thread(_count_instances_by_status, db))
        try:
            counts = await asyncio.shield(counting)
        except asyncio.CancelledError:
            await asyncio.wait({counting})  # return the connection to the pool before the database is closed
            raise
        except Exception as problem:
            self.missed, self.since = self.missed + 1, self.since or at
            raise UnavailableError(f"The database does not answer ({type(problem).__name__}).") from problem
        self.missed, self.since = 0, None
        for status in COUNTED_STATUSES:
            INSTANCES_BY_STATUS.labels(status).set(counts.get(status, 0))
        took = clock() - began
        return timedelta(seconds=max(DATABASE_CHECK_INTERVAL_SECONDS, DATABASE_CHECK_PAUSE_FACTOR * took))


def _count_instances_by_status(db: Database) -> dict[InstanceStatus, int]:
    with db.read() as tx:
        return tx.instances.count_by_status()
