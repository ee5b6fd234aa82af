"""What the owner of an instance says of its data."""

from __future__ import annotations

from contextlib import suppress

from ..domain.access import Person
from ..domain.instance import given_up
from ..store.database import Lost, Transaction
from .parts import Parts, write


async def give_up(parts: Parts, person: Person, session_id: str) -> None:
    """Its owner knows that the disk is gone; nothing happens to one that is there."""

    def work(tx: Transaction) -> None:
        old = tx.instances.get(session_id, person.name)
        if old is not None and old.disk_lost:
            tx.instances.save(old, given_up(old))

    with suppress(Lost):  # another click was faster
        await write(parts, work)
