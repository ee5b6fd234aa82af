"""What somebody sees of all that is theirs: in which order, and how much it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .errors import Invalid


class Sort(StrEnum):
    """The latest started, the latest used, by title, the largest, the soonest deleted first."""

    STARTED = "started"
    USED = "used"
    NAME = "name"
    SIZE = "size"
    EXPIRY = "expiry"


@dataclass(frozen=True, kw_only=True)
class Summary:
    """`active` run, start or stop, `kept` have data, of which `trashed` are in the trash. Those that have said
    so use `disk_used` bytes; `unmeasured` have not."""

    active: int = 0
    kept: int = 0
    trashed: int = 0
    disk_used: int = 0
    unmeasured: int = 0


def sort_of(said: str) -> Sort:
    """The order of that name, the usual one of none. Raises Invalid."""
    if said and said not in set(Sort):
        raise Invalid("There is no such order.", fields={"sort": f"One of {', '.join(Sort)}, please."})
    return Sort(said or Sort.STARTED)
