"""Convert the hub's users and groups to values."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC

from jupyterhub import orm

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


def list_hub_groups(hub: object) -> list[str]:
    """Return the names of the hub's groups; none on the command line, where there is no hub."""
    session = getattr(hub, "db", None)
    return [name for (name,) in session.query(orm.Group.name)] if session else []


def list_user_groups(hub: object, name: str) -> list[str]:
    """Return the groups of the user *name*; none on the command line, where there is no hub."""
    session = getattr(hub, "db", None)
    user = orm.User.find(session, name) if session else None
    return [group.name for group in user.groups] if user else []


def find_deleted_users(hub: object, names: Collection[str]) -> set[str]:
    """Return those of *names* that are not users of the hub; none on the command line, where there is no hub."""
    session = getattr(hub, "db", None)
    if session is None:
        return set()
    return set(names) - {name for (name,) in session.query(orm.User.name)}
