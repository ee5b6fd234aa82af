"""A periodic job is run again whatever goes wrong in one run, and is counted and logged."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from renku_spawner.domain.errors import UnavailableError
from renku_spawner.integrations.net.retry import Backoff
from renku_spawner.jobs.runner import NEVER_AGAIN, PeriodicJob, run_periodic_job
from renku_spawner.observability.metrics import TASK_FAILURES_TOTAL, TASK_LAST_SUCCESS_TIMESTAMP_SECONDS


class Runs:
    """A job whose runs end as given, and the pauses in front of its runs."""

    def __init__(self, *ends: object) -> None:
        self.ends, self.pauses = list(ends), list[float]()

    async def run(self) -> object:
        end = self.ends.pop(0)
        if isinstance(end, Exception):
            raise end
        return end

    async def wait(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)

    def build_job(self, **more: Any) -> PeriodicJob:
        defaults: dict[str, Any] = {"name": "tidying", "purpose": "tidy up", "interval_seconds": 7}
        return PeriodicJob(run=self.run, wait=self.wait, **(defaults | more))


async def get_pauses(*ends: object, **more: Any) -> list[float]:
    runs = Runs(*ends, NEVER_AGAIN)
    await run_periodic_job(runs.build_job(**more))
    assert runs.ends == []
    return runs.pauses


async def test_the_pause_is_the_interval_unless_a_run_says_another():
    assert await get_pauses(None, 3, timedelta(seconds=2), None) == [7, 7, 2, 7]


async def test_a_job_may_wait_before_its_first_run():
    assert await get_pauses(None, waits_first=True) == [7, 7]


async def test_pauses_grow_with_failures_in_a_row():
    busy = UnavailableError("busy")
    backoff = Backoff(first=1, longest=3, jitter=0)
    assert await get_pauses(busy, busy, busy, None, busy, backoff=backoff) == [1, 2, 3, 7, 1]


async def test_a_known_error_is_logged_once_until_it_changes_or_a_run_succeeds(caplog):
    busy, away = UnavailableError("busy"), UnavailableError("away")
    with caplog.at_level(logging.INFO):
        await get_pauses(busy, busy, away, away, None, away)
    assert [record.getMessage() for record in caplog.records] == [
        "Failed to tidy up: busy",
        "Failed to tidy up: away",
        "Failed to tidy up: away",
    ]
    assert not any(record.exc_info for record in caplog.records)


async def test_another_error_is_logged_each_time_with_its_traceback(caplog):
    await get_pauses(KeyError("x"), KeyError("x"))
    assert [record.getMessage() for record in caplog.records] == ["Failed to tidy up"] * 2
    assert all(record.exc_info for record in caplog.records)


async def test_successes_and_failures_are_counted():
    failures, success = TASK_FAILURES_TOTAL.labels("tidying"), TASK_LAST_SUCCESS_TIMESTAMP_SECONDS.labels("tidying")
    before = failures._value.get()
    success.set(0)
    await get_pauses(KeyError("x"), UnavailableError("busy"))
    assert failures._value.get() == before + 2
    assert success._value.get() > 0


async def test_a_job_without_a_metric_is_refused_unless_it_is_not_counted():
    with pytest.raises(ValueError, match="no metric of the job 'unheard_of'"):
        Runs().build_job(name="unheard_of")
    await run_periodic_job(Runs(KeyError("x"), NEVER_AGAIN).build_job(name="unheard_of", counted=False))


async def test_a_cancelled_job_ends():
    started = asyncio.Event()

    async def run() -> None:
        started.set()
        await asyncio.Event().wait()

    work: Callable[[], Awaitable[object]] = run
    task = asyncio.ensure_future(
        run_periodic_job(PeriodicJob(name="tidying", purpose="tidy up", interval_seconds=1, run=work))
    )
    await started.wait()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
