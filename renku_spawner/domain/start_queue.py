"""The queue of starts that wait for capacity, in an order that is fair between users.

Each start gets a number (`turn`) when it joins; the lowest starts first, and among equal ones the one that
waited longest. A user's own starts have successive numbers, so that the second of their ten starts comes after
the first of all other users. A new start gets at least the lowest number in the queue, so that no waiting
start is overtaken for ever (start-time fair queueing).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

QueueKey = tuple[str, str]  # user name and session


@dataclass(frozen=True, kw_only=True, order=True)
class QueuedStart:
    """A queued start; sorted, queued starts are in the order in which they begin."""

    turn: int
    since: datetime
    id: str
    username: str
    session: str

    @property
    def key(self) -> QueueKey:
        return (self.username, self.session)


def get_next_queue_turn(first: int | None, own: int | None) -> int:
    """Return the turn of a start that joins the queue.

    *first* is the lowest turn in the queue, *own* the user's highest; None without one.
    """
    return max(first or 0, -1 if own is None else own + 1)


def get_queue_positions(waiting: Iterable[QueuedStart]) -> Mapping[QueueKey, int]:
    """Return the position of each start in the queue; the next one to begin has position 1."""
    return {each.key: place for place, each in enumerate(sorted(waiting), 1)}


def count_free_starts(*, at_once: int, starting: int, at_most: int, active: int) -> int | None:
    """Return how many starts may begin now; None without a limit.

    *at_once* limits the starts under way (*starting*), and *at_most* the active sessions (*active*); 0 is no limit.
    """
    rooms = [limit - used for limit, used in ((at_once, starting), (at_most, active)) if limit > 0]
    return max(0, min(rooms)) if rooms else None


def format_queue_position(place: int | None, *, at_once: int, at_most: int, full: bool) -> str:
    """Describe a position in the queue and its cause; *full*: the hub has reached its limit of active sessions."""
    if place is None:
        return "Queued"
    why = f"the hub runs {at_most} at most" if full else f"the hub starts {at_once} at a time"
    return f"{format_ordinal(place)} in line; {why}"


def format_ordinal(number: int) -> str:
    """Format an ordinal number: `1st`, `2nd`, `3rd`, `4th`, `11th`, `21st`."""
    last = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number % 100 in (11, 12, 13) else last}"
