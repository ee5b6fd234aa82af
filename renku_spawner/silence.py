"""Says of a start that the cluster does not answer, as long as that is so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from time import monotonic

from .domain.errors import Unavailable
from .domain.instance import Instance
from .kube.verdict import Notice
from .services import notices
from .services.parts import Parts

_LOOK, _AGAIN = 0.25, 1.0  # seconds
_LASTING = 1.5  # seconds of silence that are worth a word: the page says it within three
_NOTICE = Notice(code="cluster_unavailable")


@dataclass(kw_only=True)
class Silence:
    """`silent` is asked whether the cluster is silent just now."""

    parts: Parts
    instance: Instance
    silent: Callable[[], bool]
    since: float | None = None
    said: bool = False

    @asynccontextmanager
    async def told(self) -> AsyncIterator[None]:
        """While the block runs, the start has a notice whenever it waits for the cluster's answer.

        A database that is busy ends neither the looking nor the start.
        """
        teller = asyncio.ensure_future(self._keep_looking())
        try:
            yield
        finally:
            teller.cancel()
            await asyncio.wait({teller})
            if self.said:
                with suppress(Unavailable):  # the first look at what runs takes it back, too
                    await notices.take_back(self.parts, self.instance, _NOTICE.code)

    async def _keep_looking(self) -> None:
        while True:
            with suppress(Unavailable):
                await self._look()
            await asyncio.sleep(_AGAIN if self.said else _LOOK)

    async def _look(self) -> None:
        self.since = (self.since or monotonic()) if self.silent() else None
        lasting = self.since is not None and monotonic() - self.since > _LASTING
        if lasting:  # again and again, since a step of the start may have taken its place
            self.said = True
            await notices.tell(self.parts, self.instance, _NOTICE.told())
        elif self.said:
            await notices.take_back(self.parts, self.instance, _NOTICE.code)
            self.said = False
