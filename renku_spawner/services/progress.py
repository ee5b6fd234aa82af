"""How one's own instances stand, for pages that listen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..domain.instance import Instance, Status
from ..store.database import Transaction
from .parts import Parts, read

_MOST = 100  # instances that a page hears of at once when it begins to listen


@dataclass(frozen=True, kw_only=True)
class Standing:
    """An instance, and the usual time of its start in seconds (None without history)."""

    instance: Instance
    usual: float | None


async def all_of(parts: Parts, username: str) -> list[Standing]:
    """How all of a user's instances stand that are not inactive."""

    def work(tx: Transaction) -> list[Standing]:
        return _standing(tx, tx.instances.of_user(username, limit=_MOST)[0])

    return await read(parts, work)


async def some_of(parts: Parts, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Standing]:
    """How the instances of these (user name, session) stand; what never was is left out."""

    def work(tx: Transaction) -> dict[tuple[str, str], Standing]:
        found = tx.instances.some(pairs)
        return dict(zip(found, _standing(tx, list(found.values())), strict=True))

    return await read(parts, work)


def _standing(tx: Transaction, instances: list[Instance]) -> list[Standing]:
    starts = [each.revision for each in instances if each.status is Status.LAUNCHING and each.revision]
    usual = tx.launches.usual_of(starts) if starts else {}
    return [Standing(instance=each, usual=usual.get(each.revision or "")) for each in instances]
