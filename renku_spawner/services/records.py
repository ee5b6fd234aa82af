"""What goes on record for admins: who did something to somebody else's things, and what was refused."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from ..domain.text import one_line
from .news import News
from .parts import Parts, write

ROWS = 5  # of one person and action in a window; what is more is counted in one row
_WINDOW_SECONDS = 60.0
log = logging.getLogger("renku_spawner.audit")


@dataclass
class _Repeated:
    """How often one person did the same in this window; `subject` is that of the last time."""

    rows: int = 0
    counted: int = 0
    subject: str = ""


_Key = tuple[str, str, str]  # actor, username, action
_repeated: WeakKeyDictionary[News, dict[_Key, _Repeated]] = WeakKeyDictionary()
_closing: set[asyncio.Task[None]] = set()


async def record(parts: Parts, *, actor: str, username: str, action: str, subject: str, detail: str = "") -> None:
    """Keep that *actor* did *action* to *username*'s *subject* (nobody's, if that is empty); also a line in the hub's
    log."""
    said = {"detail": one_line(detail)} if detail else {}
    subject = one_line(subject)
    _log(actor, username, action, subject)
    event: dict[str, Any] = {"actor": actor, "action": action, "subject": subject, "detail": said}
    await write(parts, lambda tx: tx.audit.add(at=parts.now(), username=username or None, **event))


async def record_repeated(parts: Parts, *, actor: str, username: str, action: str, subject: str) -> None:
    """Keep it like `record`, for what anyone can do as often as they like: of a minute the first few have a row each,
    and all others together one with their number. Each has its line in the hub's log."""
    windows, key = _repeated.setdefault(parts.news, {}), (actor, username, action)
    window = windows.get(key)
    if window is None:
        window = windows[key] = _Repeated()
        asyncio.get_running_loop().call_later(_WINDOW_SECONDS, _close, parts, key)
    if window.rows < ROWS:
        window.rows += 1
        await record(parts, actor=actor, username=username, action=action, subject=subject)
        return
    window.counted += 1
    window.subject = one_line(subject)
    _log(actor, username, action, window.subject)


async def flush_repeated(parts: Parts) -> None:
    """Write the numbers of what is only counted yet, before the hub ends."""
    for key in list(_repeated.get(parts.news, {})):
        await _record_count(parts, key)


def _close(parts: Parts, key: _Key) -> None:
    task = asyncio.ensure_future(_record_count(parts, key))
    _closing.add(task)
    task.add_done_callback(_closing.discard)


async def _record_count(parts: Parts, key: _Key) -> None:
    window = _repeated.get(parts.news, {}).pop(key, None)
    if window is not None and window.counted:
        actor, username, action = key
        detail = f"{window.counted} more within a minute"
        await record(parts, actor=actor, username=username, action=action, subject=window.subject, detail=detail)


def _log(actor: str, username: str, action: str, subject: str) -> None:
    log.warning("%s: %s, %s of %s", one_line(actor), action, subject, one_line(username) or "nobody")
