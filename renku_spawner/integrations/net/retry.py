"""Try again what has failed, after pauses that grow."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """Pauses between attempts, in seconds: *first*, then *factor* times as long after each failure, at most *longest*.

    Each is shortened by a random part of up to *jitter*, so that what failed together does not try again together.
    """

    first: float
    longest: float
    factor: float = 2.0
    jitter: float = 0.5

    def get_pause(self, failures: int) -> float:
        """Return the seconds to wait after *failures* in a row, at least one."""
        pause = min(self.longest, self.first * self.factor ** min(failures - 1, 64))
        return pause * random.uniform(1 - self.jitter, 1)


async def retry(
    work: Callable[[], Awaitable[Value]],
    *,
    errors: type[Exception] | tuple[type[Exception], ...],
    backoff: Backoff,
    attempts: float = math.inf,
    within: float = math.inf,
    on_failure: Callable[[Exception, int], None] = lambda _error, _failures: None,
) -> Value:
    """Return the result of the first attempt that raises none of *errors*.

    The last error is raised after *attempts*, or when the next attempt would begin later than *within* seconds from
    now. *on_failure* is told each error and the number of failures so far.
    """
    loop = asyncio.get_running_loop()
    end, failures = loop.time() + within, 0
    while True:
        try:
            return await work()
        except errors as error:
            failures += 1
            on_failure(error, failures)
            pause = backoff.get_pause(failures)
            if failures >= attempts or loop.time() + pause > end:
                raise
        await asyncio.sleep(pause)
