"""Pause idle sessions after a warning.

Due times are stored with the instances and found by an index; nothing is kept in memory.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from ..context.app_context import AppContext, write_transaction
from ..usecases.idle import IdleActions, process_idle_instances, record_processor_activity

_MAX_MISSED_RUNS = 3  # after as many missed runs, activity data has a gap and all instances are checked again
_MAX_INSTANCES_PER_STATEMENT = 1000


async def run_idle_check(context: AppContext, now: datetime, act: IdleActions, *, interval: float = 60.0) -> None:
    """Run one idle check at *now*; runs are *interval* seconds apart. Raises UnavailableError without a database."""
    if not context.activity_sources.start_job_run(now, timedelta(seconds=_MAX_MISSED_RUNS * interval)):
        await _mark_all_active_due(context, now)
    await record_processor_activity(context, now, act.load_processor_usage)
    await process_idle_instances(context, now, act)
    context.activity_sources.finish_job_run(now)


async def _mark_all_active_due(context: AppContext, now: datetime) -> None:
    """Make all active instances due for a check, since the rules or the clock may have changed meanwhile.

    It yields to the event loop between batches.
    """
    while (
        await write_transaction(context, lambda tx: tx.idle_checks.make_more_due(now, _MAX_INSTANCES_PER_STATEMENT))
        == _MAX_INSTANCES_PER_STATEMENT
    ):
        await asyncio.sleep(0)
