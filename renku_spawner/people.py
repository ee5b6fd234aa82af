"""The hub's user as a value."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from .domain.access import Person


def person_of(user: Any) -> Person:
    """Who *user* of the hub is now. The hub stores `created` in UTC without a zone."""
    created = user.created
    return Person(
        name=user.name,
        groups=frozenset(group.name for group in user.groups),
        admin=bool(user.admin),
        since=created.replace(tzinfo=UTC) if created else None,
    )
