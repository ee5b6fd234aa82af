"""The in-memory queue of starts that wait for capacity on the hub.

The database rows remain authoritative.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from ..domain.instances import Instance
from ..domain.start_queue import QueuedStart, QueueKey, count_free_starts, format_queue_position, get_queue_positions
from ..integrations.net.rate_limiter import TokenBucket
from .event_bus import EventBus

START_BURST_SIZE = 10  # starts that may begin at the same moment
STARTS_PER_SECOND = 20  # after the burst; a start takes about 30 ms of the hub's CPU time


@dataclass(frozen=True, kw_only=True)
class StartCapacity:
    """The capacity of the hub (0: unlimited) and its use, as the hub itself counts it.

    `at_once` limits concurrent starts, `at_most` active sessions and `longest` the length of the queue. `under_way`
    returns True while the hub still starts a session.
    """

    at_once: int = 0
    at_most: int = 0
    longest: int = 0
    starting: Callable[[], int] = lambda: 0
    active: Callable[[], int] = lambda: 0
    under_way: Callable[[QueueKey], bool] = lambda key: False


class StartQueue:
    """Queued starts, starts that hold capacity, and the position of each queued start.

    `load` fills it from the database when the hub starts; until then no queued start may begin.
    """

    def __init__(self) -> None:
        self.room = StartCapacity()
        self.stirred = asyncio.Event()
        self._waiting: dict[QueueKey, QueuedStart] = {}
        self._going: dict[QueueKey, int] = {}  # number of holders; an entry also stays while the hub starts it
        self._places: Mapping[QueueKey, int] | None = {}  # None: must be counted again
        self._told: Mapping[QueueKey, int] = {}
        self.pace = TokenBucket(burst=START_BURST_SIZE, per_second=STARTS_PER_SECOND)
        self._loaded = False
        self._full = False  # True if the limit of active sessions, not of starts, blocks the queue

    def load(self, waiting: Iterable[QueuedStart], starting: Iterable[QueueKey]) -> None:
        """Restore the starts that were queued or starting when the last hub stopped."""
        self._waiting = {start.key: start for start in waiting} | self._waiting
        self._going = dict.fromkeys(starting, 0) | self._going
        self._loaded = True
        self._mark_changed()

    def enqueue(self, instance: Instance) -> None:
        """Add the start of *instance* if its stored row says that it is queued."""
        start = get_queued_start(instance)
        if start is not None and start.key not in self._going:
            self._waiting[start.key] = start
            self._mark_changed()

    def remove(self, username: str, session: str) -> None:
        """Remove a start from the queue, whatever its outcome."""
        if self._waiting.pop((username, session), None) is not None:
            self._mark_changed()

    def is_queued(self, username: str, session: str) -> bool:
        return (username, session) in self._waiting

    @property
    def length(self) -> int:
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        """True if no further start may join the queue."""
        return len(self._waiting) >= self.room.longest

    def can_start_now(self) -> bool:
        """Return True if a start may begin without queueing: there is capacity, and no other start waits for it.

        Call `reserve_capacity` immediately afterwards.
        """
        return not self._waiting and self._loaded and self._count_free_starts() != 0

    @contextmanager
    def reserve_capacity(self, username: str, session: str) -> Iterator[None]:
        """Hold capacity for a start within the context, and after it while the hub still starts the session."""
        key = (username, session)
        self._going[key] = self._going.get(key, 0) + 1
        self.pace.take()
        self.remove(username, session)
        try:
            yield
        finally:
            self._going[key] -= 1
            self.stirred.set()

    def list_startable(self) -> list[QueuedStart]:
        """Return the starts that may begin now, in order; call `reserve_capacity` for each."""
        if not self._waiting or not self._loaded:
            return []
        free = self._count_free_starts()
        return sorted(self._waiting.values())[:free]

    def _count_free_starts(self) -> int | None:
        room = self.room
        self._going = {key: holds for key, holds in self._going.items() if holds or room.under_way(key)}
        going = len(self._going)
        active = max(going, room.active()) if room.at_most else 0
        self._full = 0 < room.at_most <= active
        free = count_free_starts(
            at_once=room.at_once, starting=max(going, room.starting()) if room.at_once else 0,
            at_most=room.at_most, active=active,
        )  # fmt: skip
        return None if free is None else min(free, self.pace.available)

    def get_position(self, username: str, session: str) -> int | None:
        """Return the position in the queue, from 1, or None if the start is not queued."""
        if self._places is None:
            self._places = get_queue_positions(self._waiting.values())
        return self._places.get((username, session))

    def describe_stage(self, instance: Instance) -> str | None:
        """Return the stage as text; for a queued start its position and what it waits for."""
        if instance.turn is None:
            return instance.stage
        room, place = self.room, self.get_position(instance.username, instance.session)
        return format_queue_position(place, at_once=room.at_once, at_most=room.at_most, full=self._full)

    def publish_positions(self, event_bus: EventBus) -> None:
        """Notify the pages of users whose queue position has changed."""
        self.get_position("", "")
        now = self._places or {}
        for key, place in now.items():
            if self._told.get(key) != place:
                event_bus.publish(*key)
        self._told = now

    def _mark_changed(self) -> None:
        self._places = None
        self.stirred.set()


def get_queued_start(instance: Instance) -> QueuedStart | None:
    """Return the queue entry of *instance*, or None if it is not queued."""
    if instance.turn is None or instance.requested_at is None:
        return None
    return QueuedStart(
        turn=instance.turn, since=instance.requested_at, id=instance.id,
        username=instance.username, session=instance.session,
    )  # fmt: skip
