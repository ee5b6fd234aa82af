"""Starts that leave some storages out, because their owner wants to go on without them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from ..domain.access import Person
from ..store.database import Transaction
from . import changes
from .parts import Parts, read


async def recorded(parts: Parts, person: Person, session_id: str) -> tuple[str, ...]:
    """What the start that is under way leaves out, or else the next one."""
    mine = await read(parts, lambda tx: tx.instances.get(session_id, person.name))
    return mine.without_storages if mine else ()


async def leave_out(parts: Parts, person: Person, session_id: str, directories: Collection[str]) -> None:
    """The next start does without the storages in *directories*, and that one alone; one that is active stays as it
    is. On record, since a hub that restarts meanwhile has to go on with the same."""
    wanted = tuple(sorted(directories))

    def work(tx: Transaction) -> None:
        session = tx.sessions.get(session_id)
        old = tx.instances.get(session_id, person.name)
        if session is None or (old is None and not wanted):
            return
        old = old or tx.instances.ensure(session, person.name, now=parts.now())
        if not old.active and old.without_storages != wanted:
            tx.instances.save(old, replace(old, without_storages=wanted))

    await changes.stubbornly(parts, work)
