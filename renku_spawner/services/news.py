"""Tells open pages that an instance has changed: a mailbox per listener, nothing stored."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Subscription:
    """What one page hears: ids of sessions, each at most once until it is fetched."""

    def __init__(self) -> None:
        self._changed: dict[str, None] = {}
        self._arrived = asyncio.Event()

    def put(self, session: str) -> None:
        self._changed[session] = None
        self._arrived.set()

    async def get(self, timeout: float) -> list[str]:
        """The ids of changed sessions in order; empty after *timeout* seconds of silence."""
        try:
            async with asyncio.timeout(timeout):
                await self._arrived.wait()
        except TimeoutError:
            return []
        self._arrived.clear()
        changed, self._changed = list(self._changed), {}
        return changed


class News:
    """The mailboxes of all open pages, by user."""

    def __init__(self) -> None:
        self._listeners: defaultdict[str, set[Subscription]] = defaultdict(set)

    def publish(self, username: str, session: str) -> None:
        for listener in self._listeners.get(username, ()):
            listener.put(session)

    @contextmanager
    def subscribe(self, username: str) -> Iterator[Subscription]:
        listener = Subscription()
        self._listeners[username].add(listener)
        try:
            yield listener
        finally:
            self._listeners[username].discard(listener)
            if not self._listeners[username]:
                del self._listeners[username]
