"""What GitLab has lately said of the hub's users and their tokens, so that it need not be asked again."""

from __future__ import annotations

import math
import time

TAKEN = 60.0  # seconds for which an answer says that its token is good (T11)
ONCE = 1.0  # seconds after a wait in vain within which the same page does not wait once more


class Heard:
    """By name of the hub's user; times are monotonic."""

    def __init__(self) -> None:
        self._asked: dict[str, float] = {}
        self._taken: dict[str, tuple[str, float]] = {}
        self._in_vain: dict[str, float] = {}

    def asked(self, name: str) -> None:
        """GitLab has just answered the question who *name* is, whatever it was."""
        self._asked[name] = time.monotonic()

    def asked_since(self, name: str, moment: float) -> bool:
        return self._asked.get(name, -math.inf) >= moment

    def took(self, name: str, access: str, *, ago: float = 0.0) -> None:
        """GitLab has given *name* what was asked for with the token *access*, *ago* seconds ago."""
        self._taken[name] = (access, time.monotonic() - ago)

    def refused(self, name: str, access: str | None) -> None:
        if access is not None and self._taken.get(name, (None, 0.0))[0] == access:
            del self._taken[name]

    def is_good(self, name: str, access: str, *, within: float) -> bool:
        """Whether GitLab took this very token lately, and has said within so many seconds who the person is."""
        token, taken = self._taken.get(name, ("", -math.inf))
        now = time.monotonic()
        return token == access and now - taken <= TAKEN and self.asked_since(name, now - within)

    def in_vain(self, name: str) -> None:
        """A wait for GitLab has just ended without an answer."""
        self._in_vain[name] = time.monotonic()

    def was_in_vain(self, name: str) -> bool:
        return time.monotonic() - self._in_vain.get(name, -math.inf) < ONCE
