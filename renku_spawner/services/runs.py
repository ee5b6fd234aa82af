"""The steps of a run as they happen: intent first, each step a compare-and-set, then the news."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from ..domain import instance as steps
from ..domain import names, told
from ..domain.errors import Unavailable
from ..domain.instance import Desired, Instance, Observed
from ..domain.launch import Launch
from ..domain.reasons import PAUSES, words
from ..domain.session import SessionSpec
from ..store.database import Clash, Transaction
from . import changes, outcomes, shares
from .instances import no_session
from .parts import Parts, read

_PAGE = 200  # instances, some 5 ms


async def recorded(parts: Parts, username: str, session_id: str) -> Instance | None:
    """What is stored of an instance, None if it never was."""
    return await read(parts, lambda tx: tx.instances.get(session_id, username))


async def active(parts: Parts) -> AsyncIterator[list[Instance]]:
    """All instances that run, start or stop, of everybody, some at a time: there may be very many."""
    last: Instance | None = None
    while page := await read(parts, partial(_active_after, last)):
        yield page
        last = page[-1]


def _active_after(last: Instance | None, tx: Transaction) -> list[Instance]:
    return tx.instances.active_after(last, _PAGE)


async def begin(parts: Parts, spec: SessionSpec) -> Instance:
    """Store that a start is wanted, before anything outside is called.

    Raises:
        Refused: `already_running`, if another session of this environment was faster; `limit_user` or `limit_kept`,
            if other starts have taken what its user may have.
        Unavailable: it changed under our hands again and again.
    """
    run, now = names.new_id(), parts.now()

    def work(tx: Transaction) -> Instance:
        shares.lock_user(tx, parts.policy, spec.username)
        old = present(tx, spec, now)
        if not old.active:  # what waited in line is counted already
            shares.check_limits(tx, parts.policy, old)
        new = steps.begun(
            old, run=run, claim=names.new_id(), now=now, one_active=parts.policy.one_active_per_environment,
            notices=told.of_start(spec), deadline=now + timedelta(seconds=parts.policy.start_timeout),
            idle_pause=spec.run.idle_pause, **chosen(spec),
        )  # fmt: skip
        saved = changes.put(parts, tx, old, new)
        tx.launches.add(_launch(saved))
        return saved

    changes.tell(parts, instance := await begin_or_refuse(parts, work, spec))
    outcomes.begun(parts, instance)
    return instance


def present(tx: Transaction, spec: SessionSpec, now: datetime) -> Instance:
    """What is stored of the instance that *spec* starts. Raises NotFound without the session."""
    session = tx.sessions.get(spec.session)
    if session is None:
        raise no_session()
    return tx.instances.ensure(session, spec.username, now=now)


def chosen(spec: SessionSpec) -> dict[str, Any]:
    """What of *spec* is stored with its instance."""
    return {
        "revision": spec.revision,
        "fingerprint": spec.fingerprint,
        "resource_class": spec.resource_class.name,
        "url": None,
    }


async def begin_or_refuse(parts: Parts, work: Callable[[Transaction], Instance], spec: SessionSpec) -> Instance:
    try:
        return await changes.stubbornly(parts, work)
    except shares.LimitReached as reached:
        raise await reached.read_refusal(parts) from None
    except Clash:
        slot = f"{spec.project}/{spec.environment}"
        refusal = await read(parts, lambda tx: _in_the_way(tx, spec.username, slot))
        raise refusal from None


def _in_the_way(tx: Transaction, username: str, slot: str) -> Exception:
    other = tx.instances.in_slot(username, slot)
    return shares.already_running(tx, other) if other else Unavailable("Please try again.")


def _launch(instance: Instance) -> Launch:
    return Launch(
        id=instance.run or "",
        session=instance.session,
        project=instance.project,
        username=instance.username,
        revision=instance.revision or "",
        resource_class=instance.resource_class or "",
        requested_at=instance.requested_at,  # type: ignore[arg-type]
    )


async def stage(parts: Parts, instance: Instance, observed: Observed, **seen: Any) -> Instance | None:
    """The start came further: this moves its deadline. None when it shall no longer run."""
    now = parts.now()
    seen.setdefault("deadline", now + timedelta(seconds=parts.policy.start_timeout))
    return await changes.step(parts, instance, lambda old: steps.staged(old, observed, now=now, **seen))


async def ready(parts: Parts, instance: Instance, url: str) -> Instance | None:
    """It answers. None when it shall no longer run."""
    now = parts.now()

    def record(tx: Transaction, old: Instance, _new: Instance) -> None:
        if old.run:
            tx.launches.change(old.run, outcome="running", ready_at=now, stages=steps.stages(old, now))

    return await changes.step(parts, instance, lambda old: steps.ready(old, url=url, now=now), record, outcomes.ready)


async def sighted(
    parts: Parts, instance: Instance, *, seen: bool, notices: tuple[Mapping[str, str], ...] | None = None
) -> None:
    """What runs was looked at; stored only if that changes something. *notices* None leaves them."""
    now, kept = parts.now(), instance.notices if notices is None else notices

    def change(old: Instance) -> Instance:
        return steps.sighted(old, seen=seen, now=now, notices=kept)

    if change(instance) is not instance:
        await changes.change(parts, instance.username, instance.session, change)


async def move(parts: Parts, instance: Instance, url: str) -> Instance | None:
    """Store that this very run answers at *url* now. None when it shall no longer run."""
    return await changes.step(parts, instance, lambda old: steps.moved(old, url=url))


async def stop(parts: Parts, username: str, session_id: str, *, ended_reason: str) -> Instance | None:
    """Store that it shall stop; the first reason stays. Nothing to do answers what is stored."""
    now = parts.now()

    def change(old: Instance) -> Instance:
        if not old.active or old.desired is not Desired.RUNNING:
            return old
        launching = old.observed is not Observed.READY and ended_reason == "stopped_by_user"
        return steps.stopping(old, ended_reason="cancelled" if launching else ended_reason, now=now)

    return await ended(parts, username, session_id, change)


async def stopped(parts: Parts, username: str, session_id: str, *, log: str = "") -> Instance | None:
    """Nothing of it runs any more."""
    now = parts.now()

    def change(old: Instance) -> Instance:
        return steps.stopped(old, now=now) if old.active else old

    return await ended(parts, username, session_id, change, log)


async def fail(
    parts: Parts, username: str, session_id: str, *, reason: str, log: str = "", values: Mapping[str, object] = {},
    storages: tuple[str, ...] = (), message: str | None = None,
) -> Instance | None:  # fmt: skip
    """It ended by itself or never came up: kept with its reason until somebody acts.

    A stop that was asked for is no failure, however the program ended; nor is a shutdown from inside, which is a
    pause. *storages* are directories of those that it failed for; *message* takes the place of the reason's own words.
    """
    now = parts.now()
    text, advice = words(reason, **values) if message is None else (message, "")

    def change(old: Instance) -> Instance:
        if not old.active:
            return old
        if old.desired is not Desired.RUNNING:
            return steps.stopped(old, now=now)
        if reason in PAUSES:
            return steps.stopped(steps.stopping(old, ended_reason=reason, now=now), now=now)
        return steps.failed(old, reason=reason, message=text, advice=advice, now=now, storages=storages)

    return await ended(parts, username, session_id, change, log)


async def delete(parts: Parts, username: str, session_id: str) -> Instance | None:
    """Store that its data shall go, which its owner has confirmed; without data there is nothing to do."""

    def change(old: Instance) -> Instance:
        return replace(old, desired=Desired.DELETED) if old.claim else old

    return await changes.change(parts, username, session_id, change)


async def forget(parts: Parts, username: str, session_id: str) -> Instance | None:
    """Its data are gone, unless somebody has started it meanwhile."""
    now = parts.now()

    def change(old: Instance) -> Instance:
        return steps.forgotten(old, now=now) if old.desired is Desired.DELETED else old

    return await changes.change(parts, username, session_id, change)


async def ended(
    parts: Parts, username: str, session_id: str, change: Callable[[Instance], Instance], log: str = ""
) -> Instance | None:
    """Take a step that may be the end of it, which then goes on record; it waits in line no more."""

    def record(tx: Transaction, old: Instance, new: Instance) -> None:
        if old.run and not new.active:
            if old.turn is not None:  # it never came so far
                tx.launches.add(_launch(old))
            tx.launches.change(old.run, **_outcome(parts, new, log), **_stages(old, parts.now()))

    def after(parts: Parts, old: Instance, new: Instance) -> None:
        if not new.active:
            outcomes.ended(parts, old, new)

    saved = await changes.change(parts, username, session_id, change, record, after)
    parts.line.leave(username, session_id)
    return saved


def _stages(old: Instance, now: datetime) -> dict[str, Any]:
    """Of one that was ready they are stored already."""
    found = steps.stages(old, now)
    return {} if found is None else {"stages": found}


def _outcome(parts: Parts, instance: Instance, log: str) -> dict[str, Any]:
    outcome = "failed" if instance.reason else "cancelled" if instance.ended_reason == "cancelled" else "ended"
    return {
        "outcome": outcome,
        "reason": instance.ended_reason,
        "message": instance.message,
        "log": log,
        "ended_at": parts.now(),
    }
