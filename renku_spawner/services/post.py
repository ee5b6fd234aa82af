"""How somebody is told who is not looking at the hub."""

from __future__ import annotations

from typing import Protocol

from ..domain.letter import Letter


class Post(Protocol):
    async def send(self, letter: Letter) -> None:
        """Deliver it, if its reader has an address there. Raises Undelivered."""

    async def close(self) -> None:
        """Send nothing any more."""
