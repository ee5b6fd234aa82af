"""How long GitLab asks us to wait, and how long we do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST = 30  # seconds, whatever GitLab asks for (R22)
SHORTEST = 1
DEFAULT = 5


def _utcnow() -> datetime:
    return datetime.now(UTC)


def retry_after(value: str | None, now: Callable[[], datetime] = _utcnow) -> int:
    """Seconds, 1 to 30, of a `Retry-After` (RFC 9110 §10.2.3: seconds or a date); 5 where it says nothing
    that could be meant.

    GitLab asks for up to an hour; we come back sooner, by other people's requests, and are told again.
    """
    said = (value or "").strip()
    if said.isascii() and said.isdigit():
        return _bounded(float(said[:12]))
    try:
        when = parsedate_to_datetime(said)
    except (ValueError, OverflowError, TypeError):
        return DEFAULT
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return _bounded((when - now()).total_seconds())


def _bounded(seconds: float) -> int:
    return round(min(max(seconds, SHORTEST), LONGEST))
