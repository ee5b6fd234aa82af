"""List and pause instances of all users, list claims, launches and audit events, and remove orphaned resources.

Viewing the data of other users is recorded in the audit log.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from ..context.app_context import AppContext, read_transaction
from ..domain.access import Person
from ..domain.administration import (
    AuditEvent,
    BackendResource,
    EnvironmentLaunchStatistics,
    FailureCount,
    InstanceFilter,
    InstanceRow,
    NodeOverview,
    NodeSessionCount,
    OrphanKind,
)
from ..domain.errors import UnavailableError, build_not_found_error
from ..domain.instances import DesiredState, Instance
from ..domain.quantities import parse_quantity
from ..lifecycle.data import restore_trashed_data
from ..lifecycle.runs import iter_active_instances, load_instance
from ..persistence.search import decode_cursor, encode_cursor
from .audit import record_audit_event
from .orphans import OrphansReport, ResourceInventory, clean_up_orphans, find_orphans

FAILED_LAUNCHES_PERIOD_DAYS = 30  # failures that the admin page counts


@dataclass(frozen=True, kw_only=True)
class ClaimWithOwner:
    """A PVC or folder that exists, with its instance if there is a database record."""

    thing: BackendResource
    row: InstanceRow | None


@dataclass(frozen=True, kw_only=True)
class ClaimsPage:
    """One page of the PVCs or folders that hold files, oldest first.

    `count` is the number on all pages, `size` their known size (a quantity in bytes). `unknown` says why the backend
    could not be queried.
    """

    rows: Sequence[ClaimWithOwner] = ()
    next: str | None = None
    count: int = 0
    size: str = ""
    pods: bool = True
    unknown: str | None = None


async def list_instances_of_all_users(
    context: AppContext, by: Person, asked: InstanceFilter, *, after: str | None, limit: int = 50
) -> tuple[list[InstanceRow], str | None]:
    """Return one page of the instances of all users. Raises InvalidInputError if there is no such page."""
    page = await read_transaction(context, lambda tx: tx.administration.list_instances(asked, after=after, limit=limit))
    await _record_admin_view(context, by, "instances", owner=asked.owner, detail=asked.query_text)
    return page


async def get_instance_to_pause(context: AppContext, by: Person, username: str, session_id: str) -> Instance:
    """Return the instance that an admin is about to pause, and record it in the audit log. Raises NotFoundError."""
    instance = await load_instance(context, username, session_id)
    if instance is None:
        raise build_not_found_error()
    await record_audit_event(context, actor=by.name, username=username, action="pause for somebody", subject=session_id)
    return instance


async def count_sessions_by_node(context: AppContext, ground: ResourceInventory) -> NodeOverview:
    """Return the nodes that sessions are on, by name; sessions on no node come first, under an empty name."""
    nodes, unknown = await _get_run_nodes(ground)
    wanted: Counter[str] = Counter()
    stopping: Counter[str] = Counter()
    async for page in iter_active_instances(context):
        for instance in page:
            counted = wanted if instance.desired is DesiredState.RUNNING else stopping
            counted[nodes.get(instance.run or "", "")] += 1
    counts = [
        NodeSessionCount(node=node, sessions=wanted[node], stopping=stopping[node])
        for node in sorted(wanted.keys() | stopping.keys())
    ]
    return NodeOverview(nodes=counts, unknown=unknown)


async def _get_run_nodes(ground: ResourceInventory) -> tuple[Mapping[str, str], str | None]:
    try:
        return await ground.get_run_nodes(), None
    except UnavailableError as problem:
        return {}, str(problem)


async def list_instances_to_pause(
    context: AppContext, by: Person, ground: ResourceInventory, node: str | None, *, dry_run: bool
) -> list[Instance]:
    """Return the instances that run or start on *node* (None: anywhere), which an admin is about to pause.

    This is recorded in the audit log, unless it is a *dry_run*. Raises UnavailableError if the instances on the node
    are
    unknown.
    """
    nodes = {} if node is None else await ground.get_run_nodes()
    instances = [
        instance
        async for page in iter_active_instances(context)
        for instance in page
        if instance.desired is DesiredState.RUNNING and (node is None or nodes.get(instance.run or "") == node)
    ]
    if not dry_run:
        subject = node if node is not None else "all nodes"
        detail = f"{len(instances)} sessions"
        await record_audit_event(
            context, actor=by.name, username="", action="pause all", subject=subject, detail=detail
        )
    return instances


async def restore_user_data(context: AppContext, by: Person, username: str, session_id: str) -> Instance:
    """Restore a user's data from the trash, and record it in the audit log. Raises NotFoundError."""
    instance = await load_instance(context, username, session_id)
    if instance is None:
        raise build_not_found_error()
    await record_audit_event(
        context, actor=by.name, username=username, action="bring back for somebody", subject=session_id
    )
    return await restore_trashed_data(context, username, session_id) or instance


async def get_orphans_report(context: AppContext, by: Person, ground: ResourceInventory) -> OrphansReport:
    """List resources and records without a counterpart. Nothing is removed."""
    await _record_admin_view(context, by, "orphans")
    return await find_orphans(context, ground)


async def list_claims(
    context: AppContext, by: Person, ground: ResourceInventory, *, owner: str = "", after: str | None, limit: int = 50
) -> ClaimsPage:
    """Return one page of the PVCs or folders that hold files. Raises InvalidInputError if there is no such page."""
    position = decode_cursor(after, str, str) if after is not None else ("", "")
    await _record_admin_view(context, by, "claims", owner=owner, detail=f"owner={owner}" if owner else "")
    inventory = await ground.load_inventory()
    kept = [t for t in inventory.things if t.has_files and owner in ("", t.username)]
    kept.sort(key=_get_claim_sort_key)
    page = [thing for thing in kept if _get_claim_sort_key(thing) > position][: limit + 1]
    rows = await read_transaction(
        context, lambda tx: tx.administration.get_instances_by_claim(thing.of for thing in page[:limit])
    )
    return ClaimsPage(
        rows=[ClaimWithOwner(thing=thing, row=rows.get(thing.of)) for thing in page[:limit]],
        next=encode_cursor(*_get_claim_sort_key(page[limit - 1])) if len(page) > limit else None,
        count=len(kept), size=_sum_claim_sizes(kept), pods=inventory.pods, unknown=inventory.unknown,
    )  # fmt: skip


def _get_claim_sort_key(thing: BackendResource) -> tuple[str, str]:
    return (thing.made_at.isoformat() if thing.made_at else "", thing.name)


def _sum_claim_sizes(kept: Sequence[BackendResource]) -> str:
    """Add up the sizes in bytes; sizes that are not valid quantities are ignored."""
    sizes = Counter(thing.size for thing in kept)
    known = {size: bytes_ for size in sizes if (bytes_ := _parse_claim_size(size)) is not None}
    return str(sum(bytes_ * sizes[size] for size, bytes_ in known.items())) if known else ""


def _parse_claim_size(size: str) -> int | None:
    try:
        return int(parse_quantity(size))
    except ValueError:
        return None


async def count_failed_launches(context: AppContext) -> list[FailureCount]:
    """Count the failed launches of the last `FAILED_LAUNCHES_PERIOD_DAYS` days, by day and reason."""
    since = context.now() - timedelta(days=FAILED_LAUNCHES_PERIOD_DAYS)
    return await read_transaction(context, lambda tx: tx.administration.count_failures(since))


async def list_launch_statistics(
    context: AppContext, *, after: str | None, limit: int = 20
) -> tuple[list[EnvironmentLaunchStatistics], str | None]:
    """Return one page of environments with their launch statistics.

    Raises InvalidInputError if there is no such page.
    """
    return await read_transaction(
        context, lambda tx: tx.administration.list_environment_starts(after=after, limit=limit)
    )


async def list_audit_events(
    context: AppContext, *, actor: str = "", action: str = "", after: str | None, limit: int = 50
) -> tuple[list[AuditEvent], str | None]:
    """Return one page of the audit log. Raises InvalidInputError if there is no such page."""
    return await read_transaction(
        context, lambda tx: tx.audit.list_page(actor=actor, action=action, after=after, limit=limit)
    )


async def remove_orphans(
    context: AppContext, by: Person, ground: ResourceInventory, kind: OrphanKind, names: Sequence[str]
) -> int:
    """Remove orphans that are still listed, and return their number. Raises UnavailableError."""
    return await clean_up_orphans(context, ground, by, kind, set(names))


async def _record_admin_view(context: AppContext, by: Person, what: str, *, owner: str = "", detail: str = "") -> None:
    action = "looked at everybody's"
    await record_audit_event(context, actor=by.name, username=owner, action=action, subject=what, detail=detail)
