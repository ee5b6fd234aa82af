"""What is heard of the use of a session while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ..domain import spans
from ..domain.access import Person
from ..domain.errors import Invalid
from ..domain.idle import REPORTS
from ..domain.instance import Instance, Status
from . import changes, idling, instances
from .parts import Parts, write
from .taking import refused

_HOUR, _SOON = 3600, 30  # seconds
_TOGETHER = 200  # that are written in one transaction


async def keep_awake(
    parts: Parts, person: Person, session_id: str, *, seconds: int | None = None, until: datetime | None = None
) -> Instance:
    """Put off the pause of one's own session that nobody uses, *until* then or for so many *seconds*: an hour, if
    nothing is said; 0 takes it back.

    Raises:
        NotFound: there is none.
        Refused: `not_running`, or `keep_awake_off`, where the admins let nobody.
        Invalid: *until* is over, or further ahead than they let anybody.
    """
    await instances.one(parts, person, session_id)
    end = None if seconds == 0 and until is None else _end(parts, seconds, until)

    def change(old: Instance) -> Instance:
        if old.status is not Status.RUNNING:
            raise refused("not_running")
        return old if old.awake_until == end else replace(old, awake_until=end, due_at=parts.now())

    changed = await changes.change(parts, person.name, session_id, change)
    assert changed is not None
    return changed


def _end(parts: Parts, seconds: int | None, until: datetime | None) -> datetime:
    most, now = parts.policy.idle.awake_max, parts.now()
    if not most:
        raise refused("keep_awake_off")
    until = until or now + timedelta(seconds=min(_HOUR, most) if seconds is None else seconds)
    if not now < until <= now + timedelta(seconds=most, minutes=1):
        said = f"From now on, and at most {spans.words(timedelta(seconds=most))} ahead."
        raise Invalid(said, fields={"until": said})
    return until


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a session's own server says: how many kernels and terminals it has, how many of them work, and how many
    bytes there are below the working directory, None if it has not counted."""

    kernels: int
    terminals: int
    busy: int
    disk_used: int | None = None


async def report(parts: Parts, instance: Instance, said: Report) -> None:
    """Take it down: who works is not idle, and whose server falls silent after that is unknown. A server tells
    before the hub knows that it answers."""
    if not instance.active:
        return
    now = parts.now()
    await write(parts, lambda tx: tx.due.report(instance.session, instance.username, now, said.disk_used))
    if said.busy and instance.status is Status.RUNNING:
        await used(parts, instance, now)


def ask_again(parts: Parts, instance: Instance) -> int:
    """In how many seconds its server should report next: sooner when it is about to pause."""
    found, usual = idling.outlook(parts, instance), int(REPORTS.total_seconds())
    if found is None:
        return usual
    left = int((found.warned_from - parts.now()).total_seconds())
    return min(usual, max(_SOON, left))


async def used(parts: Parts, instance: Instance, last_activity: datetime) -> None:
    """Its owner worked in it, or a program of theirs; kept to the minute, so that looking at it does not write each
    time. Pages that warned of its pause hear that it does not."""
    before = instance.last_activity
    if before is None or last_activity - before >= timedelta(minutes=1):
        warned = idling.is_warned(parts, instance)
        await write(parts, lambda tx: tx.instances.touch(instance.session, instance.username, last_activity))
        if warned:
            changes.tell(parts, instance)


async def all_used(parts: Parts, keys: Sequence[tuple[str, str]], at: datetime) -> None:
    """Programs of these, by user and session, worked just then, in those of them that run."""
    for start in range(0, len(keys), _TOGETHER):
        await _used_together(parts, keys[start : start + _TOGETHER], at)
        await asyncio.sleep(0)


async def _used_together(parts: Parts, keys: Sequence[tuple[str, str]], at: datetime) -> None:
    await write(parts, lambda tx: tx.due.used(keys, at))
