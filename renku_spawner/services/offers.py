"""What repositories describe of sessions, as far as somebody has looked lately."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from time import monotonic

from ..domain.as_code import Document
from ..remote.cache import Cache, Flights

_MOST = 1000


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A file of sessions in the repository in *directory*; `content` names just these bytes, and `problem` is a
    sentence why there is no `document`."""

    directory: str
    content: str = ""
    document: Document | None = None
    problem: str = ""


@dataclass(frozen=True)
class Seen:
    """The answer of one repository; None is that it describes nothing."""

    offer: Offer | None


class Offers:
    """Answers by repository (and by person, where it is theirs to read), and the questions under way."""

    def __init__(self) -> None:
        self.seen: Cache[Seen] = Cache(_MOST, monotonic)
        self.flights = Flights()

    def known(self, key: Hashable) -> Seen | None:
        return self.seen.get(key)

    async def close(self) -> None:
        await self.flights.close()
