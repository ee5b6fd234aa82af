"""Detect user names that were deleted and re-created."""

from __future__ import annotations

from ..context.app_context import AppContext, write_transaction
from ..domain.access import Person

_MAX_REMEMBERED_USERS = 10_000


async def detect_recreated_user(context: AppContext, person: Person) -> None:
    """Detect a user name that was deleted and re-created: the new user inherits nothing.

    Each user is looked up once in the lifetime of a hub.
    """
    if person.name in context.known_users and context.known_users[person.name] == person.since:
        return
    await write_transaction(context, lambda tx: tx.known_users.record_user(person.name, person.since))
    if len(context.known_users) >= _MAX_REMEMBERED_USERS:
        context.known_users.clear()
    context.known_users[person.name] = person.since
