"""Convert the hub's users to values."""

from __future__ import annotations

from datetime import UTC

from ..domain.access import Person
from .jupyterhub import HubUser


def to_person(user: HubUser) -> Person:
    """Convert a hub user to a `Person`. The hub stores `created` in UTC without a time zone."""
    created = user.created
    return Person(
        name=user.name,
        groups=frozenset(group.name for group in user.groups),
        admin=bool(user.admin),
        since=created.replace(tzinfo=UTC) if created else None,
    )
