"""What is said of an instance's data: by its owner, or by an operator who has seen that they are gone."""

from __future__ import annotations

from contextlib import suppress

from .. import metrics
from ..domain import expiry
from ..domain.access import Person
from ..domain.instance import Instance, forgotten, given_up
from ..store.database import Lost, Transaction
from . import changes
from .parts import Parts, write


async def give_up(parts: Parts, person: Person, session_id: str) -> None:
    """Its owner knows that the disk is gone; nothing happens to one that is there."""

    def work(tx: Transaction) -> None:
        old = tx.instances.get(session_id, person.name)
        if old is not None and old.disk_lost:
            tx.instances.save(old, given_up(old))

    with suppress(Lost):  # another click was faster
        await write(parts, work)


async def bring_back(parts: Parts, username: str, session_id: str) -> Instance | None:
    """Out of the trash: paused as before, with all the days again. What is not in it stays as it is."""
    now, rules = parts.now(), parts.policy.expiry

    def changed(_parts: Parts, _old: Instance, _new: Instance) -> None:
        metrics.expired("brought_back")

    return await changes.change(
        parts, username, session_id, lambda old: expiry.brought_back(old, rules, now), after=changed
    )


async def write_off(parts: Parts, username: str, session_id: str) -> None:
    """Its disk is gone, and nobody has deleted it here: what remains is an inactive session."""
    now = parts.now()

    def change(old: Instance) -> Instance:
        return old if old.active else forgotten(old, now=now, ended_reason="volume_lost")

    await changes.change(parts, username, session_id, change)
