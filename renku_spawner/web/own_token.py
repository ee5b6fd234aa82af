"""Which of somebody's sessions asks, told by the token of its own server."""

from __future__ import annotations

import asyncio
from hmac import compare_digest
from time import monotonic
from typing import Any

from ..domain.errors import Unavailable

_KNOW_PATIENCE = 5.0  # seconds for the tokens of sessions that the hub still looks for after its own restart


async def of_token(user: Any, token: str | None) -> str | None:
    """The session of which *token* is the server's own; None for any other token.

    Raises:
        Unavailable: it may be one that the hub is still looking for after its own restart.
    """
    end = monotonic() + _KNOW_PATIENCE
    while token:
        servers = [spawner for spawner in user.spawners.values() if spawner.active]
        for spawner in servers:
            if spawner.api_token and compare_digest(spawner.api_token.encode(), token.encode()):
                return str(spawner.name)
        if all(_knows_its_token(spawner) for spawner in servers):
            return None
        if monotonic() > end:
            raise Unavailable("The hub is still looking at your sessions.", retry_after=5)
        await asyncio.sleep(0.1)
    return None


def _knows_its_token(spawner: Any) -> bool:
    knowing = getattr(spawner, "knowing", None)
    return not spawner._check_pending and (knowing is None or knowing.done())
