"""How fast the cluster is asked for what can wait: after a restart or an outage all sessions ask at once (R42)."""

from __future__ import annotations

import asyncio
import random
from weakref import WeakKeyDictionary

from .clock import now

RATE = 20  # calls a second
_AT_ONCE = 8  # the part of a second's calls that need not wait for each other is one of so many
_ROOM = 2  # calls a second that a busy loop may make closer to each other than it should


class Pace:
    """Lets at most *rate* calls happen in any second, the first few at once, the others one by one."""

    def __init__(self, rate: int) -> None:
        self._at_once = max(1, rate // _AT_ONCE)
        # Those of before a halt of the loop may arrive together with those of after it.
        self._apart = 1 / max(1, rate - 2 * self._at_once - _ROOM)
        self._due = 0.0
        self._turn = asyncio.Lock()

    async def turn(self) -> None:
        """Wait until it is one's turn, in the order of asking; what a busy loop has missed is not made up for."""
        async with self._turn:
            wait = self._due - (self._at_once - 1) * self._apart - now()
            if wait > 0:
                await asyncio.sleep(wait + random.uniform(0, self._apart / 2))
            self._due = max(self._due, now()) + self._apart


_paces: WeakKeyDictionary[asyncio.AbstractEventLoop, Pace] = WeakKeyDictionary()


def shared(rate: int) -> Pace:
    """The one of this hub, for all of its sessions; the first to ask says how fast it is."""
    return _paces.setdefault(asyncio.get_running_loop(), Pace(rate))
