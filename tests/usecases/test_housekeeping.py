"""What is to be tidied up now and then is tidied up, whatever goes wrong in one round."""

import asyncio
import sqlite3
from datetime import timedelta
from functools import partial

import pytest

from renku_spawner.context.app_context import AppContext, read_transaction, write_transaction
from renku_spawner.jobs.housekeeping import delete_old_records
from renku_spawner.jobs.runner import PeriodicJob, run_periodic_job
from tests.fixtures.renku import until

from .conftest import NOW

LONG_AGO = NOW - timedelta(days=99)


async def test_a_round_that_fails_is_not_the_last_one(parts: AppContext, caplog: pytest.LogCaptureFixture) -> None:
    await write_transaction(
        parts,
        lambda tx: tx.audit.add(at=LONG_AGO, actor="a", username=None, action="view", subject="s", detail={}),
    )
    other = sqlite3.connect(parts.db.url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("ALTER TABLE renku_audit RENAME TO elsewhere")
    run = partial(delete_old_records, parts, timedelta(days=30))
    job = PeriodicJob(name="tidying", purpose="delete old records", interval_seconds=0.05, run=run)
    going_on = asyncio.ensure_future(run_periodic_job(job))
    await until(lambda: caplog.text.count("Failed to delete old records") > 1, seconds=30)
    other.execute("ALTER TABLE elsewhere RENAME TO renku_audit")
    other.close()

    async def tidy() -> bool:
        return not await read_transaction(parts, lambda tx: tx.audit.list_recent(9))

    await until(tidy, seconds=30)
    going_on.cancel()
    await asyncio.wait({going_on})
