"""The hub's user as a value."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC
from typing import Any

from jupyterhub import orm

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


def groups(hub: Any) -> list[str]:
    """The names of the hub's groups as they are now; none on the command line, where there is no hub."""
    session = getattr(hub, "db", None)
    return [name for (name,) in session.query(orm.Group.name)] if session else []


def groups_of(hub: Any, name: str) -> list[str]:
    """Those of one user."""
    session = getattr(hub, "db", None)
    user = orm.User.find(session, name) if session else None
    return [group.name for group in user.groups] if user else []


def gone(hub: Any, names: Collection[str]) -> set[str]:
    """Those of *names* whom the hub knows no more; nobody on the command line, where there is no hub."""
    session = getattr(hub, "db", None)
    if session is None:
        return set()
    return set(names) - {name for (name,) in session.query(orm.User.name)}
