"""What is new at the end of a log, of which only the end can be asked for."""

from __future__ import annotations

from collections.abc import Sequence


def fresh(known: Sequence[str], now: Sequence[str]) -> list[str]:
    """The lines of *now* behind the longest end of *known* with which it begins; all of it, if they share none.

    A log that has begun anew (another start) shares no end with the one before.
    """
    for start in range(max(0, len(known) - len(now)), len(known)):
        length = len(known) - start
        if known[-1] == now[length - 1] and list(known[start:]) == list(now[:length]):
            return list(now[length:])
    return list(now)
