"""What an operator looks at and does. Who looks at the status of others is on record (decision 5)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from ..domain import quantity
from ..domain.access import Person
from ..domain.audit import Event
from ..domain.errors import Unavailable, not_found
from ..domain.instance import Desired, Instance
from ..domain.inventory import Kind, Thing
from ..domain.operating import EnvironmentStarts, FailureCount, InstanceFilter, InstanceRow, NodeOverview, NodeSessions
from ..store.search import cursor, place
from . import data, orphans, records, runs
from .orphans import Ground, Orphans
from .parts import Parts, read

DAYS = 30  # of failures that are told


@dataclass(frozen=True, kw_only=True)
class ClaimRow:
    """A claim or folder that is there, and whose it is if that is on record."""

    thing: Thing
    row: InstanceRow | None


@dataclass(frozen=True, kw_only=True)
class Claims:
    """One page of what keeps files, the oldest first; how many there are in all, and of what size as far as
    that is known (a quantity). `unknown` says why nobody can tell."""

    rows: Sequence[ClaimRow] = ()
    next: str | None = None
    count: int = 0
    size: str = ""
    pods: bool = True
    unknown: str | None = None


async def instances(
    parts: Parts, by: Person, asked: InstanceFilter, *, after: str | None, limit: int = 50
) -> tuple[list[InstanceRow], str | None]:
    """One page of everybody's instances. Raises Invalid, if there is no such page."""
    found = await read(parts, lambda tx: tx.operating.instances(asked, after=after, limit=limit))
    await _seen(parts, by, "instances", owner=asked.owner, detail=asked.words)
    return found


async def pausing(parts: Parts, by: Person, username: str, session_id: str) -> Instance:
    """The instance that an admin is about to pause; that is on record from now on. Raises NotFound."""
    found = await runs.recorded(parts, username, session_id)
    if found is None:
        raise not_found()
    await records.record(parts, actor=by.name, username=username, action="pause for somebody", subject=session_id)
    return found


async def list_nodes(parts: Parts, ground: Ground) -> NodeOverview:
    """Return the nodes that sessions are on, by name; what is on no node comes first, under an empty name."""
    nodes, unknown = await _nodes(ground)
    wanted: Counter[str] = Counter()
    stopping: Counter[str] = Counter()
    async for page in runs.active(parts):
        for instance in page:
            counted = wanted if instance.desired is Desired.RUNNING else stopping
            counted[nodes.get(instance.run or "", "")] += 1
    found = [
        NodeSessions(node=node, sessions=wanted[node], stopping=stopping[node])
        for node in sorted(wanted.keys() | stopping.keys())
    ]
    return NodeOverview(nodes=found, unknown=unknown)


async def _nodes(ground: Ground) -> tuple[Mapping[str, str], str | None]:
    try:
        return await ground.nodes(), None
    except Unavailable as problem:
        return {}, str(problem)


async def choose_all(parts: Parts, by: Person, ground: Ground, node: str | None, *, dry_run: bool) -> list[Instance]:
    """Return the instances that run or start on *node* (None: anywhere), which an admin is about to pause; that is on
    record from now on, unless it is a *dry_run*.

    Raises Unavailable: nobody can tell what runs on that node.
    """
    nodes = {} if node is None else await ground.nodes()
    found = [
        instance
        async for page in runs.active(parts)
        for instance in page
        if instance.desired is Desired.RUNNING and (node is None or nodes.get(instance.run or "") == node)
    ]
    if not dry_run:
        subject = node if node is not None else "all nodes"
        detail = f"{len(found)} sessions"
        await records.record(parts, actor=by.name, username="", action="pause all", subject=subject, detail=detail)
    return found


async def bring_back(parts: Parts, by: Person, username: str, session_id: str) -> Instance:
    """Somebody's data out of the trash, which is on record. Raises NotFound."""
    found = await runs.recorded(parts, username, session_id)
    if found is None:
        raise not_found()
    await records.record(parts, actor=by.name, username=username, action="bring back for somebody", subject=session_id)
    return await data.bring_back(parts, username, session_id) or found


async def see_orphans(parts: Parts, by: Person, ground: Ground) -> Orphans:
    """What has no counterpart; nothing is removed by looking."""
    await _seen(parts, by, "orphans")
    return await orphans.look(parts, ground)


async def claims(
    parts: Parts, by: Person, ground: Ground, *, owner: str = "", after: str | None, limit: int = 50
) -> Claims:
    """One page of what keeps files. Raises Invalid, if there is no such page."""
    begin = place(after, str, str) if after is not None else ("", "")
    await _seen(parts, by, "claims", owner=owner, detail=f"owner={owner}" if owner else "")
    there = await ground.inventory()
    kept = [t for t in there.things if t.keeps_files and owner in ("", t.username)]
    kept.sort(key=_age)
    page = [thing for thing in kept if _age(thing) > begin][: limit + 1]
    rows = await read(parts, lambda tx: tx.operating.of_claims(thing.of for thing in page[:limit]))
    return Claims(
        rows=[ClaimRow(thing=thing, row=rows.get(thing.of)) for thing in page[:limit]],
        next=cursor(*_age(page[limit - 1])) if len(page) > limit else None,
        count=len(kept), size=_sum(kept), pods=there.pods, unknown=there.unknown,
    )  # fmt: skip


def _age(thing: Thing) -> tuple[str, str]:
    return (thing.made_at.isoformat() if thing.made_at else "", thing.name)


def _sum(kept: Sequence[Thing]) -> str:
    """Whole bytes; what the cluster says of a size that is none counts nothing."""
    sizes = Counter(thing.size for thing in kept)
    known = {size: bytes_ for size in sizes if (bytes_ := _bytes(size)) is not None}
    return str(sum(bytes_ * sizes[size] for size, bytes_ in known.items())) if known else ""


def _bytes(size: str) -> int | None:
    try:
        return int(quantity.parse(size))
    except ValueError:
        return None


async def failures(parts: Parts) -> list[FailureCount]:
    """How many starts failed in the last `DAYS` days, by day and reason."""
    since = parts.now() - timedelta(days=DAYS)
    return await read(parts, lambda tx: tx.operating.failures(since))


async def starts(parts: Parts, *, after: str | None, limit: int = 20) -> tuple[list[EnvironmentStarts], str | None]:
    """One page of environments with how their starts went. Raises Invalid, if there is no such page."""
    return await read(parts, lambda tx: tx.operating.starts(after=after, limit=limit))


async def audit(
    parts: Parts, *, actor: str = "", action: str = "", after: str | None, limit: int = 50
) -> tuple[list[Event], str | None]:
    """One page of what is on record. Raises Invalid, if there is no such page."""
    return await read(parts, lambda tx: tx.audit.page(actor=actor, action=action, after=after, limit=limit))


async def clean(parts: Parts, by: Person, ground: Ground, kind: Kind, names: Sequence[str]) -> int:
    """Remove orphans that are still offered; how many. Raises Unavailable."""
    return await orphans.clean(parts, ground, by, kind, set(names))


async def _seen(parts: Parts, by: Person, what: str, *, owner: str = "", detail: str = "") -> None:
    action = "looked at everybody's"
    await records.record(parts, actor=by.name, username=owner, action=action, subject=what, detail=detail)
