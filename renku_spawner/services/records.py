"""What goes on record for admins: who did something to somebody else's things, and what was refused."""

from __future__ import annotations

import logging

from ..domain.text import one_line
from .parts import Parts, write

log = logging.getLogger("renku_spawner.audit")


async def record(parts: Parts, *, actor: str, username: str, action: str, subject: str, detail: str = "") -> None:
    """Keep that *actor* did *action* to *username*'s *subject*; also a line in the hub's log, and an event."""
    said = {"detail": one_line(detail)} if detail else {}
    log.warning("%s: %s, %s of %s", one_line(actor), action, one_line(subject), one_line(username))
    await write(
        parts,
        lambda tx: tx.audit.add(
            at=parts.now(), actor=actor, username=username, action=action, subject=one_line(subject), detail=said
        ),
    )
    event = {"actor": actor, "username": username, "action": action, "subject": one_line(subject)}
    parts.emit("audit", event | ({"detail": said} if said else {}))
