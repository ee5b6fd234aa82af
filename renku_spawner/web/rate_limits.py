"""Limit how often a user may make changes, check images and storages, and call from sessions.

The counts are in `AppContext.request_counts`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from math import ceil

from ..context.app_context import AppContext
from ..domain.errors import TooManyRequestsError
from ..domain.policy import HubPolicy


class LimitedRequest(StrEnum):
    """Kinds of requests that each user may make so many times a minute."""

    CHANGE = "change"
    IMAGE_CHECK = "image_check"
    STORAGE_CHECK = "storage_check"
    SESSION_FILE = "session_file"
    GIT_CREDENTIAL = "git_credential"
    SESSION_REPORT = "session_report"


@dataclass(frozen=True, kw_only=True)
class _RequestLimit:
    """`per_minute` is the number for each user, None without a limit; `rule` says it to a user."""

    per_minute: Callable[[HubPolicy], int | None]
    rule: Callable[[int], str]


def _format_change_limit(limit: int) -> str:
    changes = "one change" if limit == 1 else f"{limit} changes"
    return f"Each user may make {changes} a minute, the limit that an admin has set."


def _format_image_check_limit(limit: int) -> str:
    images = "one image" if limit == 1 else f"{limit} images"
    return f"Each user may have {images} checked a minute on this hub."


_REQUEST_LIMITS = {
    LimitedRequest.CHANGE: _RequestLimit(per_minute=lambda policy: policy.writes_per_minute, rule=_format_change_limit),
    # Unlimited checks of images would scan ports for their users.
    LimitedRequest.IMAGE_CHECK: _RequestLimit(
        per_minute=lambda policy: policy.image_checks_per_minute, rule=_format_image_check_limit
    ),
    LimitedRequest.STORAGE_CHECK: _RequestLimit(  # each starts a program
        per_minute=lambda _policy: 30,
        rule=lambda limit: f"Each user may check {limit} storages a minute on this hub.",
    ),
    LimitedRequest.SESSION_FILE: _RequestLimit(  # each may take a quarter of a second of CPU time
        per_minute=lambda _policy: 60,
        rule=lambda limit: (
            f"Each user may have {limit} documents of sessions compared or applied a minute on this hub."
        ),
    ),
    LimitedRequest.GIT_CREDENTIAL: _RequestLimit(  # each fetch makes one, and several repositories are cloned at once
        per_minute=lambda _policy: 120,
        rule=lambda limit: f"Sessions of each user may ask for git credentials {limit} times a minute.",
    ),
    LimitedRequest.SESSION_REPORT: _RequestLimit(
        per_minute=lambda _policy: 120,
        rule=lambda limit: f"Sessions of each user may ask for themselves {limit} times a minute.",
    ),
}


def count_request(context: AppContext, username: str, kind: LimitedRequest) -> None:
    """Count a request of *username*; a refused one does not count.

    Raises:
        TooManyRequestsError: the user made as many in the last minute as are allowed.
    """
    limit = _REQUEST_LIMITS[kind].per_minute(context.policy)
    if limit is None:
        return
    wait = context.request_counts.try_acquire((kind, username), limit)
    if wait:
        seconds = max(1, ceil(wait))
        raise TooManyRequestsError(
            f"{_REQUEST_LIMITS[kind].rule(limit)} Please try again in {seconds} s.", retry_after=seconds
        )
