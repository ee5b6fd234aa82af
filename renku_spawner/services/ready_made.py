"""Ready-made environments as their admins see them: in every state, with how much they are used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from ..domain.curation import COUNTED, Usage
from ..domain.environment import Environment, Revision, State
from ..store.database import Transaction
from . import prepulling
from .curation import of
from .parts import Parts, read
from .prepuller import Known

IN_USE = (State.DRAFT, State.ACTIVE, State.DEPRECATED)
_MOST_SUCCESSORS = 100


@dataclass(frozen=True, kw_only=True)
class ReadyMade:
    """An environment with its use; `successor` is the one that comes in its place."""

    environment: Environment
    usage: Usage = field(default_factory=Usage)
    successor: Environment | None = None


@dataclass(frozen=True, kw_only=True)
class Page:
    """`movable` are the ids of those that can change places, in their order; `nodes` is None where nothing is pulled
    beforehand."""

    items: list[ReadyMade]
    next: str | None
    keywords: list[str]
    movable: list[str]
    nodes: Known | None = None


@dataclass(frozen=True, kw_only=True)
class Whole(ReadyMade):
    """One with its history, newest first, and those that could be its successor."""

    revisions: list[Revision]
    successors: list[Environment]
    nodes: Known | None = None


async def listed(
    parts: Parts,
    *,
    states: Iterable[State] = IN_USE,
    keyword: str | None = None,
    after: str | None = None,
    limit: int = 20,
) -> Page:
    """One page of them, in the order in which they are offered. Raises Invalid: no such page."""

    def work(tx: Transaction) -> Page:
        found, following = tx.environments.listed(states, keyword, after, limit)
        items = _with_use(tx, parts, found)
        return Page(
            items=items, next=following, keywords=tx.environments.keywords(), movable=tx.environments.in_order()
        )

    page = await read(parts, work)
    return replace(page, nodes=await prepulling.known(parts, [each.environment for each in page.items]))


async def one(parts: Parts, id: str) -> Whole:
    """Everything about one. Raises NotFound."""

    def work(tx: Transaction) -> Whole:
        found = of(tx, id)
        [known] = _with_use(tx, parts, [found])
        active, _ = tx.environments.listed([State.ACTIVE], limit=_MOST_SUCCESSORS)
        return Whole(
            environment=found,
            usage=known.usage,
            successor=known.successor,
            revisions=tx.environments.revisions(id),
            successors=[each for each in active if each.id != id],
        )

    whole = await read(parts, work)
    return replace(whole, nodes=await prepulling.known(parts, [whole.environment]))


def _with_use(tx: Transaction, parts: Parts, found: list[Environment]) -> list[ReadyMade]:
    usage = tx.usage.of([each.id for each in found], parts.now() - COUNTED)
    heirs = tx.environments.some(each.successor for each in found if each.successor)
    return [
        ReadyMade(environment=each, usage=usage[each.id], successor=heirs.get(each.successor or "")) for each in found
    ]
