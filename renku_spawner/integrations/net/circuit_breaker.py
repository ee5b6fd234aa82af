"""A circuit breaker that stops requests to hosts after repeated failures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from .cache import TTLCache

BREAKER_FAILURE_THRESHOLD = 5
BREAKER_OPEN_SECONDS = 15.0
_MAX_TRACKED_HOSTS = 256


@dataclass(frozen=True, kw_only=True)
class _CircuitState:
    failures: int
    since: float
    until: float


class CircuitBreaker:
    """Open for a host after five failures in a row, and let one attempt through every 15 seconds.

    *clock* is monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._hosts: TTLCache[_CircuitState] = TTLCache(_MAX_TRACKED_HOSTS, clock)

    def allow_request(self, host: str) -> bool:
        """Return whether a request to *host* may be made now; with an open circuit, True uses up the one attempt."""
        state = self._hosts.get(host)
        if state is None or state.failures < BREAKER_FAILURE_THRESHOLD:
            return True
        if self._clock() < state.until:
            return False
        self._hosts.put(host, replace(state, until=self._clock() + BREAKER_OPEN_SECONDS))
        return True

    def get_outage_seconds(self, host: str) -> float | None:
        """Return the seconds since the first failure that led to an open circuit; None while it is closed."""
        state = self._hosts.get(host)
        return None if state is None or state.failures < BREAKER_FAILURE_THRESHOLD else self._clock() - state.since

    def record_failure(self, host: str) -> None:
        state = self._hosts.get(host)
        now = self._clock()
        failures, since = (state.failures + 1, state.since) if state else (1, now)
        self._hosts.put(host, _CircuitState(failures=failures, since=since, until=now + BREAKER_OPEN_SECONDS))

    def record_success(self, host: str) -> None:
        self._hosts.delete(host)
