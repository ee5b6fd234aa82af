"""Sessions that calculate are used, however silent: what they use of processors is heard now and then."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta

from ..domain.errors import Unavailable
from . import use
from .parts import Parts

EVERY = timedelta(seconds=55)  # a round each minute is sometimes a little early
AGAIN = timedelta(minutes=10)  # where nobody could tell
log = logging.getLogger("renku_spawner")

Key = tuple[str, str]  # user and session


async def listen(parts: Parts, now: datetime, ask: Callable[[], Awaitable[Mapping[Key, float] | None]]) -> None:
    """Whoever uses more than `IdleRules.processor` cores is not idle. Where nobody can tell, there is no such signal.

    Raises Unavailable: the database is away.
    """
    known, least = parts.hearing.processors, parts.policy.idle.processor
    if not least or not known.is_time(now, AGAIN if known.silent else EVERY):
        return
    try:
        cores = await ask()
    except Unavailable as problem:
        if not known.silent:
            log.warning("What sessions use of processors does not count as use: %s", problem)
        known.asked_at, known.silent, known.tells, known.busy = now, True, False, frozenset()
        return
    if cores is None:
        return
    before = known.busy
    known.asked_at, known.silent, known.tells = now, False, bool(cores)
    known.busy = frozenset(key for key, used in cores.items() if used > least)
    await use.all_used(parts, sorted(known.busy), now)
    for username, session in known.busy - before:  # pages may have warned of its pause
        parts.news.publish(username, session)
