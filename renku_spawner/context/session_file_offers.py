"""Cache of the session files that were found in repositories."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from time import monotonic

from ..domain.session_files import SessionsDocument
from ..integrations.net.cache import TTLCache
from ..integrations.net.single_flight import SingleFlight

_MAX_CACHED_OFFERS = 1000


@dataclass(frozen=True, kw_only=True)
class SessionFileOffer:
    """A session file in the repository in *directory*.

    `content` is a hash of its bytes; `problem` is a sentence that says why there is no `document`.
    """

    directory: str
    content: str = ""
    document: SessionsDocument | None = None
    problem: str = ""


@dataclass(frozen=True)
class CachedSessionFileOffer:
    """A cached answer for one repository; `offer` is None if it has no session file."""

    offer: SessionFileOffer | None


class SessionFileOfferCache:
    """Cached answers by repository (and by user, for private repositories), and the running queries."""

    def __init__(self) -> None:
        self.seen: TTLCache[CachedSessionFileOffer] = TTLCache(_MAX_CACHED_OFFERS, monotonic)
        self.flights = SingleFlight()

    def get_cached(self, key: Hashable) -> CachedSessionFileOffer | None:
        return self.seen.get(key)

    async def close(self) -> None:
        await self.flights.close()
