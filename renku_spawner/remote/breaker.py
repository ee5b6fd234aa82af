"""Leaves a host alone that has failed again and again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from .cache import Cache

FAILURES = 5
PAUSE_SECONDS = 15.0
_HOSTS = 256


@dataclass(frozen=True, kw_only=True)
class _State:
    failures: int
    since: float
    until: float


class Breaker:
    """Opens for a host after five failures in a row; every 15 seconds one try is let through."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._hosts: Cache[_State] = Cache(_HOSTS, clock)

    def lets_through(self, host: str) -> bool:
        """Whether *host* may be asked now; while it is left alone, a yes counts as the one try."""
        state = self._hosts.get(host)
        if state is None or state.failures < FAILURES:
            return True
        if self._clock() < state.until:
            return False
        self._hosts.put(host, replace(state, until=self._clock() + PAUSE_SECONDS))
        return True

    def silent(self, host: str) -> float | None:
        """Seconds since the first of the failures for which *host* is left alone; None while it is not."""
        state = self._hosts.get(host)
        return None if state is None or state.failures < FAILURES else self._clock() - state.since

    def failed(self, host: str) -> None:
        state = self._hosts.get(host)
        now = self._clock()
        failures, since = (state.failures + 1, state.since) if state else (1, now)
        self._hosts.put(host, _State(failures=failures, since=since, until=now + PAUSE_SECONDS))

    def worked(self, host: str) -> None:
        self._hosts.forget(host)
