"""Find and clean up resources without a database record, and records without resources.

Nothing is reported as an orphan while the backend cannot be queried. A clean-up queries the backend again and does
not trust the page that requested it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from ..context.app_context import AppContext, read_transaction
from ..domain.access import Person
from ..domain.administration import (
    BackendInventory,
    BackendResource,
    InstanceRow,
    OrphanedResource,
    OrphanKind,
    build_orphan_from_record,
    build_orphan_from_resource,
    list_resource_owners,
)
from ..domain.errors import UnavailableError
from ..domain.instances import Instance
from ..lifecycle.data import record_volume_loss
from ..lifecycle.runs import iter_active_instances, record_failure
from ..persistence.database import Transaction
from .audit import record_audit_event

MAX_LISTED_ORPHANS = 200  # per kind; further ones are listed once these are removed
_CLAIMS_PAGE_SIZE, _INSTANCES_BATCH_SIZE = 2000, 200


class ResourceInventory(Protocol):
    """The backend that sessions run on: a cluster, or one machine."""

    async def load_inventory(self) -> BackendInventory:
        """Return all resources of this hub's sessions. Raises nothing."""

    async def get_run_nodes(self) -> Mapping[str, str]:
        """Return the nodes of running sessions, by the id of the run. Raises UnavailableError."""

    async def remove_resource(self, orphan: OrphanedResource) -> None:
        """Remove exactly this pod, PVC or folder. Raises UnavailableError."""


@dataclass(frozen=True, kw_only=True)
class OrphansReport:
    """At most `MAX_LISTED_ORPHANS` of each kind, oldest first, and the number of each kind.

    `unknown` and `warning` are those of the inventory.
    """

    found: tuple[OrphanedResource, ...] = ()
    counts: dict[OrphanKind, int]
    pods: bool = True
    unknown: str | None = None
    warning: str | None = None

    def list_of_kind(self, kind: OrphanKind) -> list[OrphanedResource]:
        return [orphan for orphan in self.found if orphan.kind is kind]


async def find_orphans(context: AppContext, ground: ResourceInventory) -> OrphansReport:
    """Compare the resources of the backend with the database.

    The backend is queried first: a resource that is created later has a database record before it exists.
    """
    inventory = await ground.load_inventory()
    if inventory.unknown:
        return OrphansReport(counts={}, unknown=inventory.unknown, pods=inventory.pods)
    claims = await _load_recorded_claims(context)
    kept = {thing.of: thing for thing in inventory.things if thing.has_files}
    pods = {thing.of: thing for thing in inventory.things if thing.kind is OrphanKind.POD}
    lost_runs, running = await _split_active_runs(context, pods.keys()) if inventory.pods else ([], set())
    # A storage's resources are deleted with their pod, unless the pod was deleted without its dependents.
    lone_storages = [
        t for t in inventory.things if t.kind is OrphanKind.STORAGE and t.of not in running and t.of not in pods
    ]
    lone_resources = [
        *_sort_oldest_things(pods[run] for run in pods.keys() - running),
        *_sort_oldest_things(kept[c] for c in kept.keys() - claims),
        *_sort_oldest_things(lone_storages),
    ]
    lost_claims = sorted(claims - kept.keys())
    orphans = [
        *await _build_resource_orphans(
            context, lone_resources, list_resource_owners(pods.values()), foreign=inventory.warning is not None
        ),
        *await _build_record_orphans(context, OrphanKind.RUN, lost_runs[:MAX_LISTED_ORPHANS]),
        *await _build_record_orphans(
            context, OrphanKind.RECORD, await _list_instances_of_claims(context, lost_claims[:MAX_LISTED_ORPHANS])
        ),
    ]
    pod_counts = {
        OrphanKind.POD: len(pods.keys() - running),
        OrphanKind.RUN: len(lost_runs),
        OrphanKind.STORAGE: len(lone_storages),
    }
    counts = pod_counts if inventory.pods else {}
    counts[OrphanKind.CLAIM if inventory.pods else OrphanKind.FOLDER] = len(kept.keys() - claims)
    counts[OrphanKind.RECORD] = len(lost_claims)
    return OrphansReport(found=tuple(orphans), counts=counts, pods=inventory.pods, warning=inventory.warning)


def _sort_oldest_things(things: Iterable[BackendResource]) -> list[BackendResource]:
    return sorted(things, key=lambda thing: (thing.made_at is not None, thing.made_at, thing.name))[:MAX_LISTED_ORPHANS]


async def _load_recorded_claims(context: AppContext) -> set[str]:
    """Return the ids of all PVCs on record, read from an index page by page."""
    claims: list[str] = []
    while page := await read_transaction(context, partial(_list_recorded_claims_after, claims[-1] if claims else "")):
        claims += page
        await asyncio.sleep(0)
    return set(claims)


def _list_recorded_claims_after(last: str, tx: Transaction) -> list[str]:
    return tx.administration.list_claims_after(last, _CLAIMS_PAGE_SIZE)


async def _split_active_runs(context: AppContext, pods: Collection[str]) -> tuple[list[Instance], set[str]]:
    """Return the active instances that have no pod, and the runs of all active instances."""
    lost, running = [], set[str]()
    async for page in iter_active_instances(context):
        running |= {instance.run or "" for instance in page}
        lost += [instance for instance in page if instance.run not in pods]
        await asyncio.sleep(0)
    return lost, running


async def _build_resource_orphans(
    context: AppContext, alone: Sequence[BackendResource], with_pods: set[tuple[str, str]], *, foreign: bool
) -> list[OrphanedResource]:
    instances: dict[tuple[str, str], Instance] = {}
    now = context.now()
    for number in range(0, len(alone), _INSTANCES_BATCH_SIZE):
        instances |= await read_transaction(
            context,
            partial(_get_instances_by_key, list_resource_owners(alone[number : number + _INSTANCES_BATCH_SIZE])),
        )
    keys = [(thing.username, thing.session) for thing in alone]
    return [
        build_orphan_from_resource(thing, instances.get(key), has_pod=key in with_pods, foreign=foreign, now=now)
        for thing, key in zip(alone, keys, strict=True)
    ]


def _get_instances_by_key(pairs: set[tuple[str, str]], tx: Transaction) -> dict[tuple[str, str], Instance]:
    return tx.instances.get_many(pairs)


async def _list_instances_of_claims(context: AppContext, claims: Sequence[str]) -> list[Instance]:
    rows: dict[str, InstanceRow] = await read_transaction(
        context, lambda tx: tx.administration.get_instances_by_claim(claims)
    )
    return [row.instance for row in rows.values()]


async def _build_record_orphans(
    context: AppContext, kind: OrphanKind, instances: Sequence[Instance]
) -> list[OrphanedResource]:
    sessions = await read_transaction(
        context, lambda tx: tx.sessions.get_many({instance.session for instance in instances})
    )
    now = context.now()
    titles = {id: session.title for id, session in sessions.items()}
    return [build_orphan_from_record(kind, each, titles.get(each.session, each.session), now=now) for each in instances]


async def clean_up_orphans(
    context: AppContext, ground: ResourceInventory, by: Person, kind: OrphanKind, names: Collection[str]
) -> int:
    """Remove the named orphans of *kind* that are still orphans, and return their number.

    Raises:
        UnavailableError: the backend cannot be queried, or a resource cannot be removed now.
    """
    report = await find_orphans(context, ground)
    if report.unknown:
        raise UnavailableError(report.unknown)
    wanted = [orphan for orphan in report.list_of_kind(kind) if orphan.name in names and orphan.hindrance is None]
    for orphan in wanted:
        await record_audit_event(
            context, actor=by.name, username=orphan.username, action=f"{kind} removed", subject=orphan.name
        )
        await _remove_orphan(context, ground, orphan)
    return len(wanted)


async def _remove_orphan(context: AppContext, ground: ResourceInventory, orphan: OrphanedResource) -> None:
    if orphan.kind is OrphanKind.RUN:
        await record_failure(context, orphan.username, orphan.session, reason="lost")
    elif orphan.kind is OrphanKind.RECORD:
        await record_volume_loss(context, orphan.username, orphan.session)
    else:
        await ground.remove_resource(orphan)
