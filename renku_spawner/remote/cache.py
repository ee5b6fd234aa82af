"""Remembers answers, and asks only once what many want to know at the same time."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Generic, TypeVar

from .. import metrics

Value = TypeVar("Value")


class Cache(Generic[Value]):
    """At most *size* values, the least recently used forgotten first; each until its time has come.

    With a *name* of `metrics.CACHES` it is counted how often it had the answer.
    """

    def __init__(self, size: int, clock: Callable[[], float], *, name: str = "") -> None:
        self._size, self._name = size, name
        self._clock = clock
        self._values: OrderedDict[Hashable, tuple[float, Value]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Hashable) -> Value | None:
        value = self._get(key)
        if self._name:
            metrics.looked_up(self._name, hit=value is not None)
        return value

    def _get(self, key: Hashable) -> Value | None:
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

    def forget(self, key: Hashable) -> None:
        self._values.pop(key, None)


class Flights:
    """One task per key; whoever comes while it is under way gets its result, and nobody who
    leaves takes it away from the others. The work must end by itself in bounded time."""

    def __init__(self) -> None:
        self._tasks: dict[Hashable, asyncio.Task[Any]] = {}

    async def run(self, key: Hashable, work: Callable[[], Awaitable[Value]]) -> Value:
        task = self._tasks.get(key)
        if task is None:
            task = asyncio.create_task(_whole(work), name=f"asking {key!r}"[:200])
            self._tasks[key] = task
            task.add_done_callback(lambda done: self._landed(key, done))
        return await asyncio.shield(task)

    async def close(self) -> None:
        """End what is under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _landed(self, key: Hashable, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(key, None)
        if not task.cancelled():
            task.exception()  # seen, even when everybody who waited has left


async def _whole(work: Callable[[], Awaitable[Value]]) -> Value:
    return await work()
