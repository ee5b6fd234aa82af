"""A start that has to wait: on record before anybody is told, so that it outlives the hub."""

from __future__ import annotations

from ..domain import instance as steps
from ..domain import line, names, told
from ..domain.errors import RenkuError
from ..domain.instance import Instance
from ..domain.session import SessionSpec
from ..store.database import Transaction
from . import changes, runs, shares
from .line import waiting
from .parts import Parts, read


async def wait(parts: Parts, spec: SessionSpec) -> Instance:
    """Put a start in line; one that waits already, or comes up, stays as it is.

    Raises:
        Refused: `already_running`, if another session of this environment was faster; `limit_user` or `limit_kept`,
            if other starts have taken what its user may have.
        Unavailable: it changed under our hands again and again.
    """
    run, now = names.new_id(), parts.now()

    def work(tx: Transaction) -> Instance:
        shares.lock_user(tx, parts.policy, spec.username)
        old = runs.present(tx, spec, now)
        if old.active:
            return old
        shares.check_limits(tx, parts.policy, old)
        new = steps.queued(
            old, run=run, now=now, one_active=parts.policy.one_active_per_environment,
            turn=line.turn(tx.line.first(), tx.line.last_of(spec.username)),
            notices=told.of_start(spec), **runs.chosen(spec),
        )  # fmt: skip
        return tx.instances.save(old, new)

    instance = await runs.begin_or_refuse(parts, work, spec)
    parts.line.join(instance)
    changes.tell(parts, instance)
    return instance


async def refuse(parts: Parts, waited: Instance, refusal: RenkuError) -> None:
    """Its turn came, and it may not start any more: its owner reads why. What waits no more stays as it is."""
    now = parts.now()

    def change(old: Instance) -> Instance:
        if old.turn is None or old.run != waited.run:
            return old
        return steps.failed(old, reason=refusal.code, message=refusal.message, advice="", now=now)

    await runs.ended(parts, waited.username, waited.session, change)


async def take_up(parts: Parts) -> None:
    """Form the line again as it is on record, when the hub starts."""

    def work(tx: Transaction) -> tuple[list[Instance], list[Instance]]:
        return tx.line.waiting(), tx.line.starting()

    waits, starting = await read(parts, work)
    parts.line.load(filter(None, map(waiting, waits)), [(each.username, each.session) for each in starting])
