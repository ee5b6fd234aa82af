"""Sessions that nobody uses: looked at when it is time, warned of, and paused."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from ..domain import idle, reasons, spans
from ..domain import instance as steps
from ..domain.errors import RenkuError
from ..domain.idle import Heard, Outlook
from ..domain.instance import Instance, Status
from . import changes
from .parts import Parts, read, write

_PAGE, _PAGES = 200, 50  # instances of which one round looks at so many together, and how often
_AT_ONCE = 8  # that are being stopped
_AGAIN = timedelta(minutes=5)  # where nobody can tell, and where a stop did not come through
log = logging.getLogger("renku_spawner")

Seen = tuple[Instance, Outlook | None]


class Act(Protocol):
    """What the rounds do, by the same doors as a click."""

    def used(self, instance: Instance) -> datetime | None:
        """When the hub last heard of its use; None if it does not know."""

    async def processors(self) -> Mapping[tuple[str, str], float] | None:
        """Cores that sessions use, by user and session, as far as that is known; None while nothing runs.

        Raises Unavailable: nobody can tell."""

    async def pause(self, instance: Instance) -> None:
        """See a stop through that is on record. Raises RenkuError; it is then tried again."""


def outlook(parts: Parts, instance: Instance) -> Outlook | None:
    """When it pauses if nothing happens, None for never or if nobody can tell now."""
    now = parts.now()
    return idle.outlook(instance, parts.policy, parts.hearing.heard(now), now)


def is_warned(parts: Parts, instance: Instance) -> bool:
    found = outlook(parts, instance)
    return found is not None and found.is_warned(parts.now())


async def look(parts: Parts, now: datetime, act: Act) -> None:
    """Look at all that is due at *now*. Raises Unavailable."""
    heard = parts.hearing.heard(now)
    for _ in range(_PAGES if heard.since else 0):
        page = await read(parts, lambda tx: tx.due.idle(now, _PAGE))
        await _look_at(parts, now, act, page, heard)
        if len(page) < _PAGE:
            return
        await asyncio.sleep(0)


async def _look_at(parts: Parts, now: datetime, act: Act, page: Sequence[Instance], heard: Heard) -> None:
    await asyncio.sleep(0)  # between reading, thinking and writing others come first
    seen = [_seen(parts, each, act, heard, now) for each in page]
    if seen:
        later = [(each, _next(parts, each, found, now)) for each, found in seen]
        await asyncio.sleep(0)
        await write(parts, lambda tx: tx.due.postpone(later))
    ends = []
    for each, found in seen:
        if each.status is Status.STOPPING or (found and found.is_due(now)):
            ends.append((each, found))
        elif found and found.is_warned(now):
            changes.tell(parts, each)
    await _end(parts, ends, act, heard, now)


def _seen(parts: Parts, instance: Instance, act: Act, heard: Heard, now: datetime) -> Seen:
    """Before anybody is warned, the hub itself is asked: our record is some minutes behind."""
    found = idle.outlook(instance, parts.policy, heard, now)
    if found is not None and found.is_warned(now):
        used = act.used(instance)
        if used and (instance.last_activity is None or used > instance.last_activity):
            instance = replace(instance, last_activity=used)
            found = idle.outlook(instance, parts.policy, heard, now)
    return instance, found


def _next(parts: Parts, instance: Instance, found: Outlook | None, now: datetime) -> datetime | None:
    if found is not None:
        return next((at for at in (found.warned_from, found.at) if at > now), now + _AGAIN)
    ends = instance.status in (Status.RUNNING, Status.UNKNOWN) and idle.ends(instance, parts.policy)
    return now + _AGAIN if ends or instance.status is Status.STOPPING else None


async def _end(parts: Parts, ends: Sequence[Seen], act: Act, heard: Heard, now: datetime) -> None:
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(instance: Instance, found: Outlook | None) -> None:
        async with room:
            try:
                current = await _claimed(parts, instance, found, heard, now) if found else instance
                if current is not None:
                    await act.pause(current)
            except RenkuError as problem:
                log.warning("The session %s could not be paused yet: %s", instance.session, problem)

    await asyncio.gather(*(one(*each) for each in ends))


async def _claimed(parts: Parts, instance: Instance, found: Outlook, heard: Heard, now: datetime) -> Instance | None:
    """The stop on record, unless something has happened in the meantime: then None."""

    def still(old: Instance) -> bool:
        again = idle.outlook(old, parts.policy, heard, now)
        return old.run == instance.run and again is not None and again.is_due(now)

    message, advice = reasons.words(found.reason, **_values(instance, found, heard, now))

    def change(old: Instance) -> Instance:
        said = {"message": message, "advice": advice, "due_at": now + _AGAIN}
        return steps.stopping(old, ended_reason=found.reason, now=now, **said) if still(old) else old

    stopped = await changes.change(parts, instance.username, instance.session, change)
    if stopped is None or stopped.status is not Status.STOPPING or stopped.ended_reason != found.reason:
        return None
    log.info("Pausing %s of %s: %s", instance.session, instance.username, stopped.message)
    return stopped


def _values(instance: Instance, found: Outlook, heard: Heard, now: datetime) -> dict[str, str]:
    since = (instance.ready_at if found.reason == "culled_age" else instance.last_activity) or now
    return {"span": spans.words(now - since), "signals": ", ".join(idle.signals(instance, heard))}
