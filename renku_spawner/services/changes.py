"""How a step of an instance is put in place: a compare-and-set, again if somebody was faster, then the news."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ..domain import expiry
from ..domain.errors import Unavailable
from ..domain.instance import Desired, Instance
from ..store.database import Lost, Transaction
from .parts import Parts, write

T = TypeVar("T")
After = Callable[[Parts, Instance, Instance], None]
_TRIES = 5


def _nothing(_tx: Transaction, _old: Instance, _new: Instance) -> None:
    """A step that stands for itself."""


def _quietly(_parts: Parts, _old: Instance, _new: Instance) -> None:
    """A step of which only the news tell."""


async def step(
    parts: Parts,
    instance: Instance,
    to: Callable[[Instance], Instance],
    beside: Callable[[Transaction, Instance, Instance], None] = _nothing,
    after: After = _quietly,
) -> Instance | None:
    """A step of this very run: nothing happens when another run or a stop came between."""

    def guarded(old: Instance) -> Instance:
        return to(old) if old.run == instance.run and old.desired is Desired.RUNNING else old

    saved = await change(parts, instance.username, instance.session, guarded, beside, after)
    current = saved is not None and saved.run == instance.run and saved.desired is Desired.RUNNING
    return saved if current else None


async def change(
    parts: Parts,
    username: str,
    session_id: str,
    to: Callable[[Instance], Instance],
    beside: Callable[[Transaction, Instance, Instance], None] = _nothing,
    after: After = _quietly,
) -> Instance | None:
    """Put the next step in place of what is stored, and what *beside* writes in the same transaction;
    *after* is called when that is committed, and not at all when there was nothing to do."""

    def work(tx: Transaction) -> tuple[Instance | None, Instance | None]:
        old = tx.instances.get(session_id, username)
        new = to(old) if old else None
        if old is None or new is None or new is old:
            return old, old
        saved = put(parts, tx, old, new)
        beside(tx, old, saved)
        return old, saved

    before, saved = await stubbornly(parts, work)
    if before is not None and saved is not None and before is not saved:
        after(parts, before, saved)
    tell(parts, saved)
    return saved


def put(parts: Parts, tx: Transaction, old: Instance, new: Instance) -> Instance:
    """*new* in the place of *old*, with the dates on which its data expire. Raises Lost, Clash."""
    return tx.instances.save(old, expiry.dated(new, parts.policy.expiry, parts.now()))


async def stubbornly(parts: Parts, work: Callable[[Transaction], T]) -> T:
    """Run *work* again when somebody else changed the instance in between."""
    for _ in range(_TRIES):
        try:
            return await write(parts, work)
        except Lost:
            continue
    raise Unavailable("This session changes all the time. Please try again.")


def tell(parts: Parts, instance: Instance | None) -> None:
    if instance is not None:
        parts.news.publish(instance.username, instance.session)
