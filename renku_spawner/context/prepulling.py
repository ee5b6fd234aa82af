"""The state of the image pre-puller: its connection, its last problem and the cached node coverage."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic

from ..domain.administration import ImageNodeCoverage, ImagePrepuller
from ..integrations.net.cache import TTLCache


@dataclass(frozen=True, kw_only=True)
class NodeCoverageSnapshot:
    """Node coverage of images by environment id.

    `problem` says why the coverage is unknown, or why images are missing on nodes.
    """

    spread: Mapping[str, ImageNodeCoverage] = field(default_factory=dict)
    problem: str = ""


class PrepullerState:
    """The pre-puller of this hub.

    `puller` is None where no images are pre-pulled; `problem` is the error of the last failed attempt.
    """

    def __init__(self) -> None:
        self.puller: ImagePrepuller | None = None
        self.problem = ""
        self.known: TTLCache[NodeCoverageSnapshot] = TTLCache(100, monotonic)
        self._changed = asyncio.Event()

    def notify_change(self) -> None:
        """Signal that the offered environments or their images have changed."""
        self._changed.set()

    async def wait_for_change(self, within: float) -> None:
        """Wait for a change since the last call, at most *within* seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._changed.wait()
        self._changed.clear()
