"""How fast starts may follow each other, so that the hub keeps answering while a class begins."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

AT_ONCE = 10  # starts that may begin at the same moment
A_SECOND = 20  # and further ones; a start takes the hub some 30 ms of its processor


class Pace:
    """A bucket of leave to start, which fills up again with time."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock, self._left, self._at = clock, float(AT_ONCE), clock()

    @property
    def left(self) -> int:
        """How many may begin now."""
        now = self._clock()
        self._left, self._at = min(AT_ONCE, max(0.0, self._left + (now - self._at) * A_SECOND)), now
        return max(0, int(self._left))

    def late(self, seconds: float) -> None:
        """The hub came round so much later than it was asked to: no leave to start came from that time."""
        self._left -= max(0.0, seconds) * A_SECOND

    def spend(self) -> None:
        """One begins."""
        self._left -= 1
