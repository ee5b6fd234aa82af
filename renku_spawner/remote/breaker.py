"""Leaves a host alone that has failed again and again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .cache import Cache

FAILURES = 5
PAUSE_SECONDS = 15.0
_HOSTS = 256


@dataclass(frozen=True, kw_only=True)
class _State:
    failures: int
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
        self._hosts.put(host, _State(failures=state.failures, until=self._clock() + PAUSE_SECONDS))
        return True

    def failed(self, host: str) -> None:
        state = self._hosts.get(host)
        failures = state.failures + 1 if state else 1
        self._hosts.put(host, _State(failures=failures, until=self._clock() + PAUSE_SECONDS))

    def worked(self, host: str) -> None:
        self._hosts.forget(host)
