"""What goes on record for admins: who did something to somebody else's things, and what was refused."""

from __future__ import annotations

import logging
from typing import Any

from ..domain.text import one_line
from .parts import Parts, write

log = logging.getLogger("renku_spawner.audit")


async def record(parts: Parts, *, actor: str, username: str, action: str, subject: str, detail: str = "") -> None:
    """Keep that *actor* did *action* to *username*'s *subject* (nobody's, if that is empty); also a line in the hub's
    log."""
    said = {"detail": one_line(detail)} if detail else {}
    subject = one_line(subject)
    log.warning("%s: %s, %s of %s", one_line(actor), action, subject, one_line(username) or "nobody")
    event: dict[str, Any] = {"actor": actor, "action": action, "subject": subject, "detail": said}
    await write(parts, lambda tx: tx.audit.add(at=parts.now(), username=username or None, **event))
