"""What would be lost if the data of an instance were deleted."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..domain.access import Person
from ..domain.instance import Instance, given_up
from ..runtime import unsaved
from ..runtime.folders import Folders
from ..runtime.unsaved import Unsaved
from ..runtime.walk import Total, total
from ..store.database import Lost, Transaction
from .instances import one
from .parts import Parts, write


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What lies in a session's working directory: the work per repository that is
    nowhere else, the files outside of repositories, and all files together."""

    unsaved: list[Unsaved]
    loose: Total
    total: Total


async def contents(parts: Parts, person: Person, session_id: str) -> Contents | None:
    """What one's own instance holds; None where that cannot be known.

    Raises:
        NotFound: one has no instance of this session.
    """
    work = _work(parts, await one(parts, person, session_id))
    return await asyncio.to_thread(_look, work) if work else None


async def give_up(parts: Parts, person: Person, session_id: str) -> None:
    """Its owner knows that the disk is gone; nothing happens to one that is there."""

    def work(tx: Transaction) -> None:
        old = tx.instances.get(session_id, person.name)
        if old is not None and old.disk_lost:
            tx.instances.save(old, given_up(old))

    with suppress(Lost):  # another click was faster
        await write(parts, work)


def _work(parts: Parts, instance: Instance) -> Path | None:
    if parts.workspace is None or instance.claim is None:
        return None
    folders = Folders(parts.workspace)
    return folders.of(instance.claim).work if folders.exists(instance.claim) else None


def _look(work: Path) -> Contents:
    directories = unsaved.repositories(work)
    return Contents(
        unsaved=unsaved.unsaved(work, directories),
        loose=unsaved.loose_files(work, [*directories, ".local"]),
        total=total(work),
    )
