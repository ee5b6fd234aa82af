"""Merge parallel requests: for the same thing into one task, and for many things into one query."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
from typing import Any, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class SingleFlight:
    """Run one task per key: parallel callers share its result.

    The cancellation of a caller does not cancel the task, so the work must end by itself in bounded time.
    """

    def __init__(self) -> None:
        self._tasks: dict[Hashable, asyncio.Task[Any]] = {}

    def start(self, key: Hashable, work: Callable[[], Awaitable[Value]]) -> asyncio.Task[Value]:
        """Return the running task of *key*, or start *work* as one. Nothing is logged if it fails."""
        task = self._tasks.get(key)
        if task is None:
            task = asyncio.create_task(_run_work(work), name=f"asking {key!r}"[:200])
            self._tasks[key] = task
            task.add_done_callback(lambda done: self._discard_task(key, done))
        return task

    async def run(self, key: Hashable, work: Callable[[], Awaitable[Value]]) -> Value:
        """Return the result of the running task of *key*, or of *work*; raise what it raises."""
        return await asyncio.shield(self.start(key, work))

    def list_tasks(self) -> list[asyncio.Task[Any]]:
        return list(self._tasks.values())

    async def close(self) -> None:
        """Cancel all running tasks."""
        tasks = self.list_tasks()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _discard_task(self, key: Hashable, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(key, None)
        if not task.cancelled():
            task.exception()  # retrieve it, in case all callers were cancelled


async def _run_work(work: Callable[[], Awaitable[Value]]) -> Value:
    return await work()


class BatchLoader(Generic[Key, Value]):
    """Load what is requested at the same moment with one query."""

    def __init__(self) -> None:
        self._requested: dict[Key, asyncio.Future[Value]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def load(self, key: Key, load_many: Callable[[Iterable[Key]], Awaitable[Mapping[Key, Value]]]) -> Value:
        """Return the value of *key* from *load_many*, which returns one for each key; raise what it raises."""
        if not self._requested:
            task = asyncio.ensure_future(self._load_batch(load_many))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        future = self._requested.setdefault(key, asyncio.get_running_loop().create_future())
        return await asyncio.shield(future)

    async def _load_batch(self, load_many: Callable[[Iterable[Key]], Awaitable[Mapping[Key, Value]]]) -> None:
        futures, self._requested = self._requested, {}  # all tasks that the same event woke have made their request
        try:
            values = await load_many(futures)
        except Exception as problem:
            for future in futures.values():
                future.set_exception(problem)
                future.exception()  # mark it as retrieved: the requester may be gone
            return
        for key, future in futures.items():
            future.set_result(values[key])
