"""Limit how often something is done: refuse what is too much, let it wait for its turn, or count what may begin."""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from time import monotonic


class SlidingWindowLimiter:
    """Count events of each key in a sliding window of *seconds*; a key without events in it is forgotten.

    *clock* returns monotonic seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = monotonic) -> None:
        self._seconds, self._clock = seconds, clock
        self._events: OrderedDict[Hashable, deque[float]] = OrderedDict()  # the key with the latest event is last

    def __len__(self) -> int:
        """Return the number of remembered keys."""
        return len(self._events)

    def try_acquire(self, key: Hashable, limit: int) -> float:
        """Count an event of *key* and return 0, or return the seconds until one fits.

        It does not fit, and is not counted, if there were *limit* events in the window.
        """
        now = self._clock()
        while self._events and now - next(iter(self._events.values()))[-1] >= self._seconds:
            self._events.popitem(last=False)
        events = self._events.get(key, deque())
        while events and now - events[0] >= self._seconds:
            events.popleft()
        if len(events) >= limit:
            return self._seconds - (now - events[0])
        events.append(now)
        self._events[key] = events
        self._events.move_to_end(key)
        return 0.0


_DEFAULT_CALLS_PER_SECOND = 20
_BURST_DIVISOR = 8  # the burst is the rate divided by this
_SPARE_CALLS_PER_SECOND = 2  # reserve for calls that a busy event loop makes too close to each other


class CallPacer:
    """Let calls wait, so that there are at most *rate* in any second, with a small burst at the beginning."""

    def __init__(self, rate: int = _DEFAULT_CALLS_PER_SECOND) -> None:
        self._at_once = max(1, rate // _BURST_DIVISOR)
        # Calls from before and after a pause of the event loop may fall into the same second, hence twice the burst.
        self._apart = 1 / max(1, rate - 2 * self._at_once - _SPARE_CALLS_PER_SECOND)
        self._due = 0.0
        self._turn = asyncio.Lock()

    async def acquire(self) -> None:
        """Wait for a turn, first come, first served; time that a busy loop missed is not made up for."""
        clock = asyncio.get_running_loop().time
        async with self._turn:
            wait = self._due - (self._at_once - 1) * self._apart - clock()
            if wait > 0:
                await asyncio.sleep(wait + random.uniform(0, self._apart / 2))
            self._due = max(self._due, clock()) + self._apart


class TokenBucket:
    """Count what may begin now: *burst* at the same moment, and *per_second* afterwards. *clock* is monotonic."""

    def __init__(self, *, burst: int, per_second: float, clock: Callable[[], float] = monotonic) -> None:
        self._burst, self._per_second, self._clock = burst, per_second, clock
        self._left, self._at = float(burst), clock()

    @property
    def available(self) -> int:
        now = self._clock()
        self._left, self._at = min(self._burst, max(0.0, self._left + (now - self._at) * self._per_second)), now
        return max(0, int(self._left))

    def take(self) -> None:
        """Take one token."""
        self._left -= 1

    def discount_delay(self, seconds: float) -> None:
        """Add no tokens for *seconds* in which the event loop was blocked."""
        self._left -= max(0.0, seconds) * self._per_second
