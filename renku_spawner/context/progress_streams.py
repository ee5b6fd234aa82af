"""Pass the changes of a user's instances on to the user's open event streams; each change is loaded once for all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Generic, TypeVar

from ..domain.errors import UnavailableError
from ..integrations.net.single_flight import BatchLoader
from .event_bus import EventBus

Answer = TypeVar("Answer")
_EVENT_WAIT_SECONDS = 3600.0  # a broadcaster has no reason to wake but events


class ProgressSubscriber(Generic[Answer]):
    """Pending progress of one stream by session; only the latest change of each is kept.

    `replaced` is set when newer streams of the user take its place; the stream then ends.
    """

    def __init__(self) -> None:
        self.replaced = False
        self._pending: dict[str, Answer] = {}
        self._arrived = asyncio.Event()

    def put(self, session: str, answer: Answer) -> None:
        self._pending[session] = answer
        self.wake()

    def wake(self) -> None:
        self._arrived.set()

    def mark_replaced(self) -> None:
        self.replaced = True
        self.wake()

    async def wait_for_changes(self, timeout: float) -> list[Answer]:
        """Return the changes; empty after *timeout* seconds without any."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._arrived.wait()
        self._arrived.clear()
        pending, self._pending = self._pending, {}
        return list(pending.values())


class _Broadcaster(Generic[Answer]):
    """The open streams of one user, the oldest first, and the task that loads changes for them."""

    def __init__(self) -> None:
        self.subscribers: dict[ProgressSubscriber[Answer], None] = {}
        self.task: asyncio.Task[None] | None = None

    async def run(self, event_bus: EventBus, username: str, load: Callable[[str], Awaitable[Answer]]) -> None:
        with event_bus.subscribe(username) as subscription:
            while True:
                for session in await subscription.wait_for_changes(_EVENT_WAIT_SECONDS):
                    try:
                        answer = await load(session)
                    except UnavailableError:
                        subscription.add_change(session)
                        continue
                    for subscriber in self.subscribers:
                        subscriber.put(session, answer)


class ProgressStreams(Generic[Answer]):
    """The open event streams of this hub, by user. `loader` joins what many of them load at the same moment."""

    def __init__(self) -> None:
        self._broadcasters: dict[str, _Broadcaster[Answer]] = {}
        self.loader: BatchLoader[tuple[str, str], Answer] = BatchLoader()

    def __len__(self) -> int:
        """Return the number of users with open streams."""
        return len(self._broadcasters)

    @contextmanager
    def subscribe(
        self, event_bus: EventBus, username: str, load: Callable[[str], Awaitable[Answer]], *, most: int
    ) -> Iterator[ProgressSubscriber[Answer]]:
        """Subscribe to all changes of *username*, which *load* loads by session id.

        The oldest subscriber is replaced if the user has more than *most*. The task that loads changes ends with the
        last one.
        """
        broadcaster = self._broadcasters.setdefault(username, _Broadcaster())
        if broadcaster.task is None or broadcaster.task.done():
            broadcaster.task = asyncio.ensure_future(broadcaster.run(event_bus, username, load))
        subscriber: ProgressSubscriber[Answer] = ProgressSubscriber()
        broadcaster.subscribers[subscriber] = None
        if len(broadcaster.subscribers) > most:
            oldest = next(iter(broadcaster.subscribers))
            del broadcaster.subscribers[oldest]
            oldest.mark_replaced()
        try:
            yield subscriber
        finally:
            broadcaster.subscribers.pop(subscriber, None)
            if not broadcaster.subscribers:
                broadcaster.task.cancel()
                self._broadcasters.pop(username, None)
