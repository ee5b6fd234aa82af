"""Starts that wait until the hub has room for them: in memory what the rows say, so that no page asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from ..domain import line
from ..domain.instance import Instance
from ..domain.line import Key, Waiting
from .news import News
from .pace import Pace


@dataclass(frozen=True, kw_only=True)
class Room:
    """What the hub allows (0: any number), and what of it is in use, as the hub itself counts it.

    `under_way` says whether the hub still brings a session up.
    """

    at_once: int = 0
    at_most: int = 0
    longest: int = 0
    starting: Callable[[], int] = lambda: 0
    active: Callable[[], int] = lambda: 0
    under_way: Callable[[Key], bool] = lambda key: False


class Line:
    """Who waits, who was let go and comes up, and where each stands.

    It is filled from the rows when the hub starts (`load`); until then nobody is let go.
    """

    def __init__(self, news: News) -> None:
        self.room = Room()
        self.stirred = asyncio.Event()
        self._news = news
        self._waiting: dict[Key, Waiting] = {}
        self._going: dict[Key, int] = {}  # how many hold it there; it stays while the hub brings it up, too
        self._places: Mapping[Key, int] | None = {}  # None: to be counted anew
        self._told: Mapping[Key, int] = {}
        self.pace = Pace()
        self._loaded = False
        self._full = False  # whether it is the number of sessions, and not of starts, that lets nobody go

    # ---- who waits -----------------------------------------------------------------------------

    def load(self, waiting: Iterable[Waiting], starting: Iterable[Key]) -> None:
        """Take up what waited and what was starting when a hub ended."""
        self._waiting = {each.key: each for each in waiting} | self._waiting
        self._going = dict.fromkeys(starting, 0) | self._going
        self._loaded = True
        self._changed()

    def join(self, instance: Instance) -> None:
        """It stands in line, as is on record."""
        each = waiting(instance)
        if each is not None and each.key not in self._going:
            self._waiting[each.key] = each
            self._changed()

    def leave(self, username: str, session: str) -> None:
        """It waits no more, whatever became of it."""
        if self._waiting.pop((username, session), None) is not None:
            self._changed()

    def waits(self, username: str, session: str) -> bool:
        return (username, session) in self._waiting

    @property
    def length(self) -> int:
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether nobody else may join."""
        return len(self._waiting) >= self.room.longest

    # ---- who may go ----------------------------------------------------------------------------

    def take(self) -> bool:
        """Whether a start may begin without waiting: there is room, and nobody else waits for it. It is to be `held`
        at once."""
        return not self._waiting and self._loaded and self._free() != 0

    @contextmanager
    def held(self, username: str, session: str) -> Iterator[None]:
        """It takes room within, and after that for as long as the hub brings it up."""
        key = (username, session)
        self._going[key] = self._going.get(key, 0) + 1
        self.pace.spend()
        self.leave(username, session)
        try:
            yield
        finally:
            self._going[key] -= 1
            self.stirred.set()

    def next(self) -> list[Waiting]:
        """Those who may begin now, in order; each is to be held."""
        if not self._waiting or not self._loaded:
            return []
        free = self._free()
        return sorted(self._waiting.values())[:free]

    def _free(self) -> int | None:
        room = self.room
        self._going = {key: holds for key, holds in self._going.items() if holds or room.under_way(key)}
        going = len(self._going)
        active = max(going, room.active()) if room.at_most else 0
        self._full = 0 < room.at_most <= active
        free = line.free(
            at_once=room.at_once, starting=max(going, room.starting()) if room.at_once else 0,
            at_most=room.at_most, active=active,
        )  # fmt: skip
        return None if free is None else min(free, self.pace.left)

    # ---- what is told --------------------------------------------------------------------------

    def place(self, username: str, session: str) -> int | None:
        """Where it stands, from 1; None when it does not wait."""
        if self._places is None:
            self._places = line.places(self._waiting.values())
        return self._places.get((username, session))

    def stage(self, instance: Instance) -> str | None:
        """Its stage in words; of one that waits, where it stands and what for."""
        if instance.turn is None:
            return instance.stage
        room, place = self.room, self.place(instance.username, instance.session)
        return line.words(place, at_once=room.at_once, at_most=room.at_most, full=self._full)

    def tell(self) -> None:
        """Wake the pages of everybody whose place is another one than they were told."""
        self.place("", "")
        now = self._places or {}
        for key, place in now.items():
            if self._told.get(key) != place:
                self._news.publish(*key)
        self._told = now

    def _changed(self) -> None:
        self._places = None
        self.stirred.set()


def waiting(instance: Instance) -> Waiting | None:
    """Its place on record; None if it does not wait."""
    if instance.turn is None or instance.requested_at is None:
        return None
    return Waiting(
        turn=instance.turn, since=instance.requested_at, id=instance.id,
        username=instance.username, session=instance.session,
    )  # fmt: skip
