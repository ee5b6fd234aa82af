"""Limit how often a user may make changes, check images and storages, and call from sessions."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from math import ceil
from time import monotonic
from weakref import WeakKeyDictionary

from ..context.app_context import AppContext
from ..context.event_bus import EventBus
from ..domain.errors import TooManyRequestsError

_RATE_WINDOW_SECONDS = 60.0
_MAX_STORAGE_CHECKS_PER_MINUTE = 30  # per user
_MAX_DOCUMENTS_PER_MINUTE = 60  # per user; each may take a quarter of a second of CPU time
_MAX_SESSION_REQUESTS_PER_MINUTE = (
    120  # per user; each fetch makes one request, and several repositories are cloned at once
)


class RequestRateLimiter:
    """Limit the requests of each user in a sliding window of a minute.

    Users without a request in that window are forgotten. *clock* returns monotonic seconds, *rule* formats a limit
    for the error message.
    """

    def __init__(self, clock: Callable[[], float] = monotonic, rule: Callable[[int], str] | None = None) -> None:
        self._clock, self._rule = clock, rule or _format_change_limit
        self._writes: OrderedDict[str, deque[float]] = OrderedDict()  # the most recent user is last

    def __len__(self) -> int:
        """Return the number of remembered users."""
        return len(self._writes)

    def count_or_reject(self, username: str, limit: int) -> None:
        """Count a request of *username*; a refused one does not count.

        Raises:
            TooManyRequestsError: there were *limit* requests in the last minute.
        """
        now = self._clock()
        self._drop_expired_users(now)
        writes = self._writes.setdefault(username, deque())
        while writes and now - writes[0] >= _RATE_WINDOW_SECONDS:
            writes.popleft()
        if len(writes) >= limit:
            wait = max(1, ceil(_RATE_WINDOW_SECONDS - (now - writes[0])))
            raise TooManyRequestsError(f"{self._rule(limit)} Please try again in {wait} s.", retry_after=wait)
        writes.append(now)
        self._writes.move_to_end(username)

    def _drop_expired_users(self, now: float) -> None:
        while self._writes and now - next(iter(self._writes.values()))[-1] >= _RATE_WINDOW_SECONDS:
            self._writes.popitem(last=False)


def _format_change_limit(limit: int) -> str:
    changes = "one change" if limit == 1 else f"{limit} changes"
    return f"Each user may make {changes} a minute, the limit that an admin has set."


def _format_image_check_limit(limit: int) -> str:
    images = "one image" if limit == 1 else f"{limit} images"
    return f"Each user may have {images} checked a minute on this hub."


def _format_storage_check_limit(limit: int) -> str:
    return f"Each user may check {limit} storages a minute on this hub."


def _format_document_limit(limit: int) -> str:
    return f"Each user may have {limit} documents of sessions compared or applied a minute on this hub."


def _format_git_request_limit(limit: int) -> str:
    return f"Sessions of each user may ask for git credentials {limit} times a minute."


def _format_session_report_limit(limit: int) -> str:
    return f"Sessions of each user may ask for themselves {limit} times a minute."


_change_limiters: WeakKeyDictionary[EventBus, RequestRateLimiter] = WeakKeyDictionary()
_image_check_limiters: WeakKeyDictionary[EventBus, RequestRateLimiter] = WeakKeyDictionary()
_storage_check_limiters: WeakKeyDictionary[EventBus, RequestRateLimiter] = WeakKeyDictionary()
_document_limiters: WeakKeyDictionary[EventBus, RequestRateLimiter] = WeakKeyDictionary()
_git_request_limiters: WeakKeyDictionary[EventBus, RequestRateLimiter] = WeakKeyDictionary()
_session_report_limiters: WeakKeyDictionary[EventBus, RequestRateLimiter] = WeakKeyDictionary()


def count_change(context: AppContext, username: str) -> None:
    """Count a change by *username*, if an admin has set a limit. Raises TooManyRequestsError."""
    limit = context.policy.writes_per_minute
    if limit is not None:
        _change_limiters.setdefault(context.event_bus, RequestRateLimiter()).count_or_reject(username, limit)


def count_image_check(context: AppContext, username: str) -> None:
    """Count an image check by *username*; unlimited checks would scan ports for them.

    Raises:
        TooManyRequestsError: there were more than `Renku.image_checks_per_minute`.
    """
    limit = context.policy.image_checks_per_minute
    _image_check_limiters.setdefault(
        context.event_bus, RequestRateLimiter(rule=_format_image_check_limit)
    ).count_or_reject(username, limit)


def count_storage_check(context: AppContext, username: str) -> None:
    """Count a storage check by *username*, which starts a program. Raises TooManyRequestsError."""
    _storage_check_limiters.setdefault(
        context.event_bus, RequestRateLimiter(rule=_format_storage_check_limit)
    ).count_or_reject(username, _MAX_STORAGE_CHECKS_PER_MINUTE)


def count_document(context: AppContext, username: str) -> None:
    """Count a session file that *username* compares or applies. Raises TooManyRequestsError."""
    _document_limiters.setdefault(context.event_bus, RequestRateLimiter(rule=_format_document_limit)).count_or_reject(
        username, _MAX_DOCUMENTS_PER_MINUTE
    )


def count_git_request(context: AppContext, username: str) -> None:
    """Count a request for git credentials by a session of *username*. Raises TooManyRequestsError."""
    _git_request_limiters.setdefault(
        context.event_bus, RequestRateLimiter(rule=_format_git_request_limit)
    ).count_or_reject(username, _MAX_SESSION_REQUESTS_PER_MINUTE)


def count_session_report(context: AppContext, username: str) -> None:
    """Count a report by a session of *username*. Raises TooManyRequestsError."""
    _session_report_limiters.setdefault(
        context.event_bus, RequestRateLimiter(rule=_format_session_report_limit)
    ).count_or_reject(username, _MAX_SESSION_REQUESTS_PER_MINUTE)
