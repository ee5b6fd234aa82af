"""Follows a pod from its making until it listens, and says what it is at."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass

from . import status
from .asked import Asked
from .clock import now
from .objects import Raw
from .status import Seen
from .verdict import Verdict, judge
from .watch import Watch

_LOOK_AGAIN = 1.0  # seconds; some failures are told by lasting, which no change announces


@dataclass(frozen=True, kw_only=True)
class Look:
    """What was seen, and what to think of it."""

    seen: Seen
    verdict: Verdict


async def follow(
    watch: Watch, key: str, uid: str, asked: Callable[[], Asked], beside: Callable[[], Sequence[Raw]] = tuple
) -> AsyncGenerator[Look, None]:
    """What the pod *uid* is at: now, at each change, and each second.

    *beside* are events of its claim. A pod that the watch has not seen yet is none that has gone.
    """
    verdict, known = Verdict(since=now()), False
    with watch.listening(key) as changed:
        while True:
            changed.clear()
            pod = watch.pods.get(key)
            mine = pod if pod and pod["metadata"].get("uid") == uid else None
            known = known or mine is not None
            if known and watch.healthy:
                last = watch.last(key) if mine is None else None
                seen = status.read(mine, [*watch.events_of(key), *beside()], asked(), last=last)
                verdict = judge(seen.failure, verdict, now())
                yield Look(seen=seen, verdict=verdict)
            await _change(changed)


async def _change(changed: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(_LOOK_AGAIN):
            await changed.wait()
    except TimeoutError:
        return
