"""How often somebody may write, where an admin has set a limit, and have registries asked (T16)."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from math import ceil
from time import monotonic
from weakref import WeakKeyDictionary

from ..domain.errors import TooMany
from ..services.news import News
from ..services.parts import Parts

_WINDOW = 60.0  # seconds
_LOOKS = 30  # into storages, of one user in that time
_DOCUMENTS = 60  # documents of sessions, of one user in that time: each may take a quarter of a second of processor
_GIT = 120  # requests of one user in that time: a fetch asks once, and a few repositories are cloned at once


class Throttle:
    """Remembers the writes of the last minute: per user at most as many as are allowed,
    and nobody who has written nothing for a minute. *clock* gives seconds that never go back,
    *rule* says what a limit is about."""

    def __init__(self, clock: Callable[[], float] = monotonic, rule: Callable[[int], str] | None = None) -> None:
        self._clock, self._rule = clock, rule or _of_changes
        self._writes: OrderedDict[str, deque[float]] = OrderedDict()  # who wrote last stands last

    def __len__(self) -> int:
        """How many users are remembered."""
        return len(self._writes)

    def count(self, username: str, limit: int) -> None:
        """Note that *username* writes; what is refused does not count.

        Raises:
            TooMany: there were *limit* writes in the last minute.
        """
        now = self._clock()
        self._forget(now)
        writes = self._writes.setdefault(username, deque())
        while writes and now - writes[0] >= _WINDOW:
            writes.popleft()
        if len(writes) >= limit:
            wait = max(1, ceil(_WINDOW - (now - writes[0])))
            raise TooMany(f"{self._rule(limit)} Please try again in {wait} s.", retry_after=wait)
        writes.append(now)
        self._writes.move_to_end(username)

    def _forget(self, now: float) -> None:
        while self._writes and now - next(iter(self._writes.values()))[-1] >= _WINDOW:
            self._writes.popitem(last=False)


def _of_changes(limit: int) -> str:
    changes = "one change" if limit == 1 else f"{limit} changes"
    return f"Each user may make {changes} a minute, the limit that an admin has set."


def _of_checks(limit: int) -> str:
    images = "one image" if limit == 1 else f"{limit} images"
    return f"Each user may have {images} checked a minute on this hub."


def _of_looks(limit: int) -> str:
    return f"Each user may have {limit} storages looked into a minute on this hub."


def _of_documents(limit: int) -> str:
    return f"Each user may have {limit} documents of sessions compared or applied a minute on this hub."


def _of_git(limit: int) -> str:
    return f"Sessions of each user may ask for git credentials {limit} times a minute."


def _of_reports(limit: int) -> str:
    return f"Sessions of each user may ask for themselves {limit} times a minute."


_throttles: WeakKeyDictionary[News, Throttle] = WeakKeyDictionary()
_checks: WeakKeyDictionary[News, Throttle] = WeakKeyDictionary()
_looks: WeakKeyDictionary[News, Throttle] = WeakKeyDictionary()
_documents: WeakKeyDictionary[News, Throttle] = WeakKeyDictionary()
_git: WeakKeyDictionary[News, Throttle] = WeakKeyDictionary()
_own: WeakKeyDictionary[News, Throttle] = WeakKeyDictionary()


def count(parts: Parts, username: str) -> None:
    """Note that *username* writes. Raises TooMany; never where no admin has set a limit (decision 9)."""
    limit = parts.policy.writes_per_minute
    if limit is not None:
        _throttles.setdefault(parts.news, Throttle()).count(username, limit)


def count_check(parts: Parts, username: str) -> None:
    """Note that *username* has a registry asked: unlimited, the hub would scan ports for them.

    Raises:
        TooMany: more often than `Renku.image_checks_per_minute`.
    """
    limit = parts.policy.image_checks_per_minute
    _checks.setdefault(parts.news, Throttle(rule=_of_checks)).count(username, limit)


def count_look(parts: Parts, username: str) -> None:
    """Note that *username* has a storage looked into, which starts a program. Raises TooMany."""
    _looks.setdefault(parts.news, Throttle(rule=_of_looks)).count(username, _LOOKS)


def count_document(parts: Parts, username: str) -> None:
    """Note that *username* has a document compared with a project, or applied. Raises TooMany."""
    _documents.setdefault(parts.news, Throttle(rule=_of_documents)).count(username, _DOCUMENTS)


def count_git(parts: Parts, username: str) -> None:
    """Note that a session of *username* asks for git credentials. Raises TooMany."""
    _git.setdefault(parts.news, Throttle(rule=_of_git)).count(username, _GIT)


def count_own(parts: Parts, username: str) -> None:
    """Note that a session of *username* tells what it does. Raises TooMany."""
    _own.setdefault(parts.news, Throttle(rule=_of_reports)).count(username, _GIT)
