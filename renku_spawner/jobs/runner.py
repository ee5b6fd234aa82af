"""Run the jobs of the hub: again and again, logged and counted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from ..domain.errors import UnavailableError
from ..integrations.net.retry import Backoff
from ..observability.metrics import TASK_NAMES, record_task_failure, record_task_success

NEVER_AGAIN = timedelta.max
log = logging.getLogger("renku_spawner")


@dataclass(frozen=True, kw_only=True)
class PeriodicJob:
    """Work that is repeated while the hub runs. Runs do not overlap: a pause begins when a run has ended.

    - `name`: the label in the metrics of tasks, if it is `counted`. `purpose` completes "Failed to …" in the log.
    - `run`: one run; a `timedelta` that it returns is the pause until the next one, `NEVER_AGAIN` ends the job.
    - `backoff`: pauses after failures, in place of the interval.
    - `wait`: waits for the given seconds, or until the next run is due for another reason.
    - `waits_first`: the first run is one interval after the start.
    - `needs_images`: begins when the tags of managed environments are resolved.
    - `known_errors`: errors that say what is wrong; each is logged once until a run succeeds, without traceback.
    """

    name: str
    purpose: str
    run: Callable[[], Awaitable[object]]
    interval_seconds: float
    backoff: Backoff | None = None
    wait: Callable[[float], Awaitable[None]] = asyncio.sleep
    waits_first: bool = False
    needs_images: bool = False
    counted: bool = True
    known_errors: tuple[type[Exception], ...] = (UnavailableError,)

    def __post_init__(self) -> None:
        if self.counted and self.name not in TASK_NAMES:
            raise ValueError(f"There is no metric of the job {self.name!r}.")


async def run_periodic_job(job: PeriodicJob) -> None:
    """Run *job* until a run returns `NEVER_AGAIN`; a failure does not end it."""
    failures, known_problem = 0, ""
    if job.waits_first:
        await job.wait(job.interval_seconds)
    while True:
        pause = job.interval_seconds
        try:
            result = await job.run()
        except Exception as error:
            failures += 1
            known_problem = _report_failure(job, error, known_problem)
            pause = job.backoff.get_pause(failures) if job.backoff else pause
        else:
            failures, known_problem = 0, ""
            if job.counted:
                record_task_success(job.name)
            if result == NEVER_AGAIN:
                return
            if isinstance(result, timedelta):
                pause = result.total_seconds()
        await job.wait(pause)


def _report_failure(job: PeriodicJob, error: Exception, known_problem: str) -> str:
    """Log and count a failure, and return its text if it is a known error; *known_problem* is that of the last run."""
    if job.counted:
        record_task_failure(job.name)
    if not isinstance(error, job.known_errors):
        log.error("Failed to %s", job.purpose, exc_info=error)
        return ""
    problem = f"{error}" or type(error).__name__
    log.log(logging.DEBUG if problem == known_problem else logging.WARNING, "Failed to %s: %s", job.purpose, problem)
    return problem
