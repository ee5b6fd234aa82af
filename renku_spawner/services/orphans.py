"""What is there without a record, and what is on record without being there.

Nothing is an orphan while nobody can tell what is there, and nothing is removed on the word of a
page: whatever is asked to be cleaned up is looked at again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from ..domain import inventory as rules
from ..domain.access import Person
from ..domain.errors import Unavailable
from ..domain.instance import Instance
from ..domain.inventory import Inventory, Kind, Orphan, Thing
from ..domain.operating import InstanceRow
from ..store.database import Transaction
from . import data, records, runs
from .parts import Parts, read

MOST = 200  # of each kind that are told; the others come when these are gone
_PAGE, _SOME = 2000, 200


class Ground(Protocol):
    """What sessions run on: a cluster, or one machine."""

    async def inventory(self) -> Inventory:
        """Everything that is there of this hub's sessions. Raises nothing."""

    async def nodes(self) -> Mapping[str, str]:
        """Return the nodes of running sessions, by the id of the run. Raises Unavailable."""

    async def remove(self, orphan: Orphan) -> None:
        """Remove this very pod, claim or folder. Raises Unavailable."""


@dataclass(frozen=True, kw_only=True)
class Orphans:
    """At most `MOST` of each kind, the oldest first, and how many there are of each.

    `unknown` and `warning` are those of the inventory.
    """

    found: tuple[Orphan, ...] = ()
    counts: dict[Kind, int]
    pods: bool = True
    unknown: str | None = None
    warning: str | None = None

    def of(self, kind: Kind) -> list[Orphan]:
        return [orphan for orphan in self.found if orphan.kind is kind]


async def look(parts: Parts, ground: Ground) -> Orphans:
    """Compare what is there with what is on record. The ground is asked first: what comes after that is on record
    before it is there."""
    there = await ground.inventory()
    if there.unknown:
        return Orphans(counts={}, unknown=there.unknown, pods=there.pods)
    claims = await _claims(parts)
    kept = {thing.of: thing for thing in there.things if thing.keeps_files}
    pods = {thing.of: thing for thing in there.things if thing.kind is Kind.POD}
    lost_runs, running = await _runs(parts, pods.keys()) if there.pods else ([], set())
    # What opens a remote goes with its pod, and is left where somebody has deleted that without what it owns.
    left = [t for t in there.things if t.kind is Kind.STORAGE and t.of not in running and t.of not in pods]
    alone = [
        *_oldest(pods[run] for run in pods.keys() - running),
        *_oldest(kept[c] for c in kept.keys() - claims),
        *_oldest(left),
    ]
    lost_claims = sorted(claims - kept.keys())
    found = [
        *await _found(parts, alone, rules.pairs(pods.values()), foreign=there.warning is not None),
        *await _records(parts, Kind.RUN, lost_runs[:MOST]),
        *await _records(parts, Kind.RECORD, await _of_claims(parts, lost_claims[:MOST])),
    ]
    of_pods = {Kind.POD: len(pods.keys() - running), Kind.RUN: len(lost_runs), Kind.STORAGE: len(left)}
    counts = of_pods if there.pods else {}
    counts[Kind.CLAIM if there.pods else Kind.FOLDER] = len(kept.keys() - claims)
    counts[Kind.RECORD] = len(lost_claims)
    return Orphans(found=tuple(found), counts=counts, pods=there.pods, warning=there.warning)


def _oldest(things: Iterable[Thing]) -> list[Thing]:
    return sorted(things, key=lambda thing: (thing.made_at is not None, thing.made_at, thing.name))[:MOST]


async def _claims(parts: Parts) -> set[str]:
    """The ids of all claims on record, read from an index some at a time."""
    found: list[str] = []
    while page := await read(parts, partial(_claims_after, found[-1] if found else "")):
        found += page
        await asyncio.sleep(0)
    return set(found)


def _claims_after(last: str, tx: Transaction) -> list[str]:
    return tx.operating.claims_after(last, _PAGE)


async def _runs(parts: Parts, pods: Collection[str]) -> tuple[list[Instance], set[str]]:
    """Those on record as active that have no pod, and the runs of all that are."""
    lost, running = [], set[str]()
    async for page in runs.active(parts):
        running |= {instance.run or "" for instance in page}
        lost += [instance for instance in page if instance.run not in pods]
        await asyncio.sleep(0)
    return lost, running


async def _found(
    parts: Parts, alone: Sequence[Thing], with_pods: set[tuple[str, str]], *, foreign: bool
) -> list[Orphan]:
    beside: dict[tuple[str, str], Instance] = {}
    now = parts.now()
    for number in range(0, len(alone), _SOME):
        beside |= await read(parts, partial(_some, rules.pairs(alone[number : number + _SOME])))
    keys = [(thing.username, thing.session) for thing in alone]
    return [
        rules.of_thing(thing, beside.get(key), has_pod=key in with_pods, foreign=foreign, now=now)
        for thing, key in zip(alone, keys, strict=True)
    ]


def _some(pairs: set[tuple[str, str]], tx: Transaction) -> dict[tuple[str, str], Instance]:
    return tx.instances.some(pairs)


async def _of_claims(parts: Parts, claims: Sequence[str]) -> list[Instance]:
    rows: dict[str, InstanceRow] = await read(parts, lambda tx: tx.operating.of_claims(claims))
    return [row.instance for row in rows.values()]


async def _records(parts: Parts, kind: Kind, instances: Sequence[Instance]) -> list[Orphan]:
    sessions = await read(parts, lambda tx: tx.sessions.some({instance.session for instance in instances}))
    now = parts.now()
    titles = {id: session.title for id, session in sessions.items()}
    return [rules.of_record(kind, each, titles.get(each.session, each.session), now=now) for each in instances]


async def clean(parts: Parts, ground: Ground, by: Person, kind: Kind, names: Collection[str]) -> int:
    """Remove those orphans of *kind* that are named and, looked at now, still offered; how many were.

    Raises:
        Unavailable: nobody can tell now what is there, or it cannot be removed now.
    """
    seen = await look(parts, ground)
    if seen.unknown:
        raise Unavailable(seen.unknown)
    wanted = [orphan for orphan in seen.of(kind) if orphan.name in names and orphan.hindrance is None]
    for orphan in wanted:
        await records.record(
            parts, actor=by.name, username=orphan.username, action=f"{kind} removed", subject=orphan.name
        )
        await _removed(parts, ground, orphan)
    return len(wanted)


async def _removed(parts: Parts, ground: Ground, orphan: Orphan) -> None:
    if orphan.kind is Kind.RUN:
        await runs.fail(parts, orphan.username, orphan.session, reason="lost")
    elif orphan.kind is Kind.RECORD:
        await data.write_off(parts, orphan.username, orphan.session)
    else:
        await ground.remove(orphan)
