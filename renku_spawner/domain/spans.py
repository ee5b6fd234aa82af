"""Lengths of time in words."""

from __future__ import annotations

from datetime import timedelta


def words(span: timedelta) -> str:
    """`45 s`, `10 min`, `1 h`, `1 h 30 min`, `24 h`, `3 days`: as an admin would have said it."""
    seconds = max(0, round(span.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    return f"{round(hours / 24)} days"
