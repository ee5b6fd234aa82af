"""Whether the cluster is seen: one wait for all who want to know, of whom there may be thousands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

_LOOKS, _LOOK = 6, 0.5  # so many looks in a row that find nothing new, each after so many seconds: three in all


class Sight:
    """*heard* says when the API server was last heard; `changes` is told whether all is seen that there is.

    Looks are counted, not seconds: a hub that is busy with thousands of sessions reads an answer late.
    """

    def __init__(self, heard: Callable[[], float]) -> None:
        self._heard, self._seen = heard, asyncio.Event()
        self._looking: asyncio.Task[None] | None = None

    @property
    def whole(self) -> bool:
        """Whether all is seen that there is, now."""
        return self._seen.is_set()

    def changes(self, seen: bool) -> None:
        if seen:
            self._seen.set()
        else:
            self._seen.clear()

    async def is_due(self) -> bool:
        """Wait as long as the cluster is heard but not all seen yet. False when nothing is heard: it is away."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.ensure_future(self._look())
        await asyncio.shield(self._looking)
        return self.whole

    async def comes(self) -> None:
        """Until it is seen, however long that takes."""
        await self._seen.wait()

    def ends(self) -> None:
        """Nobody will see anything any more."""
        if self._looking is not None:
            self._looking.cancel()

    async def _look(self) -> None:
        heard, silent = self._heard(), 0
        while silent < _LOOKS and not self.whole:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK):
                    await self._seen.wait()
            silent = silent + 1 if self._heard() == heard else 0
            heard = self._heard()
