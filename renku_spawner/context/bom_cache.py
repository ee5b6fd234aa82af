"""Cache of rendered bills of materials."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from time import monotonic

from ..integrations.net.cache import TTLCache

_MAX_CACHED_DOCUMENTS = 8  # of several megabytes each


class BomCache:
    """Documents that take half a second of CPU time each, so they are rendered in a thread, one at a time."""

    def __init__(self) -> None:
        self._documents: TTLCache[str] = TTLCache(_MAX_CACHED_DOCUMENTS, monotonic)
        self._rendering = asyncio.Lock()

    async def get_or_render(self, key: Hashable, render: Callable[[], str]) -> str:
        """Return the cached document of *key*, or what *render* returns in a thread."""
        async with self._rendering:
            document = self._documents.get(key)
            if document is None:
                document = await asyncio.to_thread(render)
                self._documents.put(key, document)
            return document
