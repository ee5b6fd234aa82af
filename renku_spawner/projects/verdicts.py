"""What GitLab has said of who may see what, for as long as it counts (T11).

A verdict belongs to a GitLab user and a project, both by number, and counts from the
moment at which the question was *begun*: what was asked earlier never takes the place
of what was asked later, in whatever order the answers come. An error is no verdict.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..domain import gitlab as facts
from ..domain.access import Action
from ..remote.cache import Cache

VIEW_SECONDS = 300.0
ACT_SECONDS = 60.0
DENIED_SECONDS = 15.0
STALE_SECONDS = 900.0  # how long a page may show what GitLab said, while it does not answer (R19)
_SIZE = 50_000  # verdicts, some 200 bytes each

Key = tuple[int, int]  # GitLab user, project
Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class Need:
    """What an action needs to know: how old it may be, and from which level on it does not matter how much more
    somebody has; 0 where it is enough that they see the project."""

    seconds: float
    enough: int


NEEDS = {
    Action.READ: Need(seconds=VIEW_SECONDS, enough=facts.DEVELOPER),
    Action.LAUNCH: Need(seconds=ACT_SECONDS, enough=0),
    Action.WRITE: Need(seconds=ACT_SECONDS, enough=facts.DEVELOPER),
    Action.MANAGE: Need(seconds=ACT_SECONDS, enough=facts.DEVELOPER),
}


@dataclass(frozen=True, kw_only=True)
class Sight:
    """The person sees the project, in this state, and has at least this level there; `ssh` is that of `Seen`."""

    archived: bool
    repository: bool
    least: int
    ssh: str = ""


@dataclass(frozen=True, kw_only=True)
class Access:
    """A person's access to a project, as GitLab said it *age* seconds ago."""

    sight: Sight
    level: int
    age: float


@dataclass(frozen=True, kw_only=True)
class _Said(Generic[Value]):
    begun: float
    value: Value | None


class Verdicts:
    """*clock* is monotonic, in seconds: a clock that is set back makes nothing younger (R23)."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._sights: Cache[_Said[Sight]] = Cache(_SIZE, clock)
        self._levels: Cache[_Said[int]] = Cache(_SIZE, clock)
        self._purged: Cache[float] = Cache(_SIZE, clock)

    def access(self, key: Key, need: Need) -> Access | None:
        """What is known and good enough for *need*; None of what is denied too."""
        sight, exact = self._good(self._sights, key, need.seconds), self._good(self._levels, key, need.seconds)
        if sight is None or sight.value is None:
            return None
        level, begun = sight.value.least, sight.begun
        known = None if exact is None else exact.value
        if exact and known is not None and (exact.begun > begun or known > level):
            level, begun = known, min(begun, exact.begun) if need.enough else begun
        elif known is None and level < need.enough:
            return None
        return Access(sight=sight.value, level=level, age=max(self._clock() - begun, 0.0))

    def denied(self, key: Key) -> bool:
        """Whether GitLab has just said no."""
        sight = self._good(self._sights, key, DENIED_SECONDS)
        return sight is not None and sight.value is None

    def sees(self, key: Key, sight: Sight, *, begun: float) -> None:
        self._put(self._sights, key, _Said(begun=begun, value=sight))

    def has(self, key: Key, level: int, *, begun: float) -> None:
        self._put(self._levels, key, _Said(begun=begun, value=level))

    def deny(self, key: Key, *, begun: float) -> None:
        """A definite no: nothing that was asked before it counts any more."""
        self._put(self._sights, key, _Said(begun=begun, value=None))
        self._put(self._levels, key, _Said(begun=begun, value=None))

    def purge(self, user: int) -> None:
        """GitLab no longer takes this user's token: nothing counts that was asked with it."""
        self._purged.put(user, self._clock(), seconds=STALE_SECONDS)

    def counts(self, user: int, begun: float) -> bool:
        """Whether what was asked then has been asked with a token that GitLab still took later."""
        purged = self._purged.get(user)
        return purged is None or begun > purged

    def _good(self, cache: Cache[_Said[Value]], key: Key, seconds: float) -> _Said[Value] | None:
        said = cache.get(key)
        if said is None or self._clock() - said.begun > seconds or not self.counts(key[0], said.begun):
            return None
        return said

    def _put(self, cache: Cache[_Said[Value]], key: Key, said: _Said[Value]) -> None:
        old = cache.get(key)
        if old is not None and (old.begun, old.value is None) > (said.begun, said.value is None):
            return
        cache.put(key, said, seconds=STALE_SECONDS)
