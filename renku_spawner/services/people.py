"""Who is who: a name that was deleted and made again is somebody else."""

from __future__ import annotations

from ..domain.access import Person
from .parts import Parts, write

_LIMIT = 10_000  # people remembered in memory


async def seen(parts: Parts, person: Person) -> None:
    """Notice when a name was deleted and made again: the newcomer inherits nothing
    (decision 23). Each person is looked up once in the life of a hub."""
    if person.name in parts.known and parts.known[person.name] == person.since:
        return
    await write(parts, lambda tx: tx.people.seen(person.name, person.since))
    if len(parts.known) >= _LIMIT:
        parts.known.clear()
    parts.known[person.name] = person.since
