"""Where clones on the hub's own machine may connect to."""

from __future__ import annotations

from collections.abc import Sequence

from ..registry.errors import NotAllowed, Unreachable
from ..registry.guard import Guard
from ..runtime.door import Vet


def through(guard: Guard) -> Vet:
    """What *guard* lets through: public hosts at port 443, and the hosts that an admin has listed (decision 39)."""

    async def vet(host: str, port: int) -> Sequence[str]:
        try:
            return await guard.vet(host, port)
        except NotAllowed as refusal:
            raise PermissionError(refusal.detail) from None
        except Unreachable as problem:
            raise OSError(problem.detail) from None

    return vet
