"""A cache with expiry, and the merging of parallel requests for the same thing."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Generic, TypeVar

from ...observability.metrics import record_cache_lookup

Value = TypeVar("Value")


class TTLCache(Generic[Value]):
    """A cache of at most *size* values, each with its own lifetime; the least recently used is evicted first.

    With a *name* from `metrics.CACHE_NAMES`, hits and misses are counted.
    """

    def __init__(self, size: int, clock: Callable[[], float], *, name: str = "") -> None:
        self._size, self._name = size, name
        self._clock = clock
        self._values: OrderedDict[Hashable, tuple[float, Value]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Hashable) -> Value | None:
        value = self._get_unexpired(key)
        if self._name:
            record_cache_lookup(self._name, hit=value is not None)
        return value

    def _get_unexpired(self, key: Hashable) -> Value | None:
        until, value = self._values.get(key, (float("-inf"), None))
        if until <= self._clock():
            self._values.pop(key, None)
            return None
        self._values.move_to_end(key)
        return value

    def put(self, key: Hashable, value: Value, *, seconds: float = float("inf")) -> None:
        self._values[key] = (self._clock() + seconds, value)
        self._values.move_to_end(key)
        if len(self._values) > self._size:
            self._values.popitem(last=False)

    def delete(self, key: Hashable) -> None:
        self._values.pop(key, None)


class SingleFlight:
    """Run one task per key: parallel callers share its result.

    The cancellation of a caller does not cancel the task, so the work must end by itself in bounded time.
    """

    def __init__(self) -> None:
        self._tasks: dict[Hashable, asyncio.Task[Any]] = {}

    async def run(self, key: Hashable, work: Callable[[], Awaitable[Value]]) -> Value:
        task = self._tasks.get(key)
        if task is None:
            task = asyncio.create_task(_run_work(work), name=f"asking {key!r}"[:200])
            self._tasks[key] = task
            task.add_done_callback(lambda done: self._discard_task(key, done))
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Cancel all running tasks."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _discard_task(self, key: Hashable, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(key, None)
        if not task.cancelled():
            task.exception()  # retrieve it, in case all callers were cancelled


async def _run_work(work: Callable[[], Awaitable[Value]]) -> Value:
    return await work()
