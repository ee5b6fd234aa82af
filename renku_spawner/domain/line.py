"""The line of starts that wait for room: whose turn it is, fairly between people.

Each start gets a number when it joins (`turn`); the lowest goes first, and among equal ones the
longest waiting. A person's own starts have numbers of their own, one after the other, so that of
somebody's ten the second comes after the first of everybody else; and whoever comes begins where
the line is now, so that nobody is overtaken for ever (start-time fair queueing).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

Key = tuple[str, str]  # user name and session


@dataclass(frozen=True, kw_only=True, order=True)
class Waiting:
    """One start that waits; sorted, they are in the order in which they begin."""

    turn: int
    since: datetime
    id: str
    username: str
    session: str

    @property
    def key(self) -> Key:
        return (self.username, self.session)


def turn(first: int | None, own: int | None) -> int:
    """The number of a start that joins: *first* is the lowest of all that wait, *own* the person's
    highest; None where there is none."""
    return max(first or 0, -1 if own is None else own + 1)


def places(waiting: Iterable[Waiting]) -> Mapping[Key, int]:
    """Where each stands; the next one has place 1."""
    return {each.key: place for place, each in enumerate(sorted(waiting), 1)}


def free(*, at_once: int, starting: int, at_most: int, active: int) -> int | None:
    """How many may begin now: *at_once* and *at_most* are the hub's limits of starts and of what is active, 0 where
    there is none. None: any number."""
    rooms = [limit - used for limit, used in ((at_once, starting), (at_most, active)) if limit > 0]
    return max(0, min(rooms)) if rooms else None


def words(place: int | None, *, at_once: int, at_most: int, full: bool) -> str:
    """Where a start stands, and what it waits for; *full*: the hub has as many sessions as it may."""
    if place is None:
        return "Queued"
    why = f"the hub runs {at_most} at most" if full else f"the hub starts {at_once} at a time"
    return f"{ordinal(place)} in line; {why}"


def ordinal(number: int) -> str:
    """`1st`, `2nd`, `3rd`, `4th`, `11th`, `21st`."""
    last = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number % 100 in (11, 12, 13) else last}"
