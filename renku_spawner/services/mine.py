"""All that somebody has, in all projects."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from ..domain import expiry
from ..domain.access import Person
from ..domain.mine import Sort, Summary
from ..store.database import Transaction
from .instances import MyInstance, seen
from .parts import Parts, read


async def page(
    parts: Parts, person: Person, sort: Sort = Sort.STARTED, *, after: str | None = None, limit: int = 20
) -> tuple[list[MyInstance], str | None]:
    """What runs or has data, also in projects that one has lost access to (decision 15), and where the next page
    begins. Raises Invalid, if there is no such page."""
    found, following = await read(parts, lambda tx: tx.mine.page(person.name, sort, after=after, limit=limit))
    return await seen(parts, person, found), following


async def summary(parts: Parts, person: Person) -> Summary:
    return await read(parts, lambda tx: tx.mine.summary(person.name))


async def going(parts: Parts, person: Person) -> tuple[int, datetime | None]:
    """How many have data that will soon be deleted, and when the first of them; nothing is asked where none expire."""
    if not parts.policy.expiry.on:
        return 0, None
    by = parts.now() + expiry.WARNINGS[0]
    return await read(parts, lambda tx: tx.mine.going(person.name, by))


async def active(parts: Parts, person: Person) -> list[str]:
    """The sessions of which one's own instance runs, starts or stops."""
    return await read(parts, lambda tx: tx.mine.active(person.name))


async def titles(parts: Parts, person: Person, session_ids: Iterable[str]) -> dict[str, str]:
    """What those of one's own are called that there are."""
    ids = list(session_ids)

    def work(tx: Transaction) -> dict[str, str]:
        own = tx.instances.for_sessions(person.name, ids)
        return {id: session.title for id, session in tx.sessions.some(set(own)).items()}

    return await read(parts, work) if ids else {}
