"""What is known of the pre-puller: who it is, whether it has to be told something, and what it said last."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic

from ..domain.spread import Puller, Spread
from ..remote.cache import Cache


@dataclass(frozen=True, kw_only=True)
class Known:
    """Where images are, by the id of their environment; `problem` is why that is not known, or why some are missing."""

    spread: Mapping[str, Spread] = field(default_factory=dict)
    problem: str = ""


class Prepulling:
    """`puller` is None where nothing is pulled beforehand; `problem` says why the last try to keep images failed."""

    def __init__(self) -> None:
        self.puller: Puller | None = None
        self.problem = ""
        self.known: Cache[Known] = Cache(100, monotonic)
        self._changed = asyncio.Event()

    def changed(self) -> None:
        """What is offered, or an image of it, is another one now."""
        self._changed.set()

    async def change(self, within: float) -> None:
        """Until something has changed since this was last awaited, or so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._changed.wait()
        self._changed.clear()
