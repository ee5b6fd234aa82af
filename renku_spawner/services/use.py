"""What is heard of the use of a session while it runs."""

from __future__ import annotations

from datetime import datetime, timedelta

from ..domain.instance import Instance
from . import changes, idling
from .parts import Parts, write


async def used(parts: Parts, instance: Instance, last_activity: datetime) -> None:
    """Its owner worked in it, or a program of theirs; kept to the minute, so that looking at it does not write each
    time. Pages that warned of its pause hear that it does not."""
    before = instance.last_activity
    if before is None or last_activity - before >= timedelta(minutes=1):
        warned = idling.is_warned(parts, instance)
        await write(parts, lambda tx: tx.instances.touch(instance.session, instance.username, last_activity))
        if warned:
            changes.tell(parts, instance)
