"""Limit how often something is done: refuse above a number in a sliding window."""

from __future__ import annotations

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
