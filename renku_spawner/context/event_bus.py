"""Publish changed instances to the open pages of their owners. Events are kept in memory only."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class EventSubscription:
    """The events of one page: ids of changed sessions, each at most once until they are fetched."""

    def __init__(self) -> None:
        self._changed: dict[str, None] = {}
        self._arrived = asyncio.Event()

    def add_change(self, session: str) -> None:
        self._changed[session] = None
        self._arrived.set()

    async def wait_for_changes(self, timeout: float) -> list[str]:
        """Return the ids of changed sessions in order, or an empty list after *timeout* seconds without a change."""
        try:
            async with asyncio.timeout(timeout):
                await self._arrived.wait()
        except TimeoutError:
            return []
        self._arrived.clear()
        changed, self._changed = list(self._changed), {}
        return changed


class EventBus:
    """The mailboxes of all open pages, by user."""

    def __init__(self) -> None:
        self._listeners: defaultdict[str, set[EventSubscription]] = defaultdict(set)

    def publish(self, username: str, session: str) -> None:
        for listener in self._listeners.get(username, ()):
            listener.add_change(session)

    @contextmanager
    def subscribe(self, username: str) -> Iterator[EventSubscription]:
        listener = EventSubscription()
        self._listeners[username].add(listener)
        try:
            yield listener
        finally:
            self._listeners[username].discard(listener)
            if not self._listeners[username]:
                del self._listeners[username]
