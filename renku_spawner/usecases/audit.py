"""Record audit events for admins: actions on other users' data and refused requests.

Frequent repetitions are counted in one row.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from ..context.app_context import AppContext, write_transaction
from ..context.event_bus import EventBus
from ..domain.text import to_single_line

MAX_REPEATED_AUDIT_ROWS = 5  # per user and action in a window; further events are counted in one row
_REPEAT_WINDOW_SECONDS = 60.0
log = logging.getLogger("renku_spawner.audit")


@dataclass
class _RepeatedAction:
    """Count of the repetitions of an action by one user in this window, with the `subject` of the last one."""

    rows: int = 0
    counted: int = 0
    subject: str = ""


_RepeatedActionKey = tuple[str, str, str]  # actor, username, action
_repeated_actions: WeakKeyDictionary[EventBus, dict[_RepeatedActionKey, _RepeatedAction]] = WeakKeyDictionary()
_closing_tasks: set[asyncio.Task[None]] = set()


async def record_audit_event(
    context: AppContext, *, actor: str, username: str, action: str, subject: str, detail: str = ""
) -> None:
    """Record that *actor* did *action* to *subject* of *username* (empty: no user), and log it."""
    details = {"detail": to_single_line(detail)} if detail else {}
    subject = to_single_line(subject)
    _log_audit_event(actor, username, action, subject)
    event: dict[str, Any] = {"actor": actor, "action": action, "subject": subject, "detail": details}
    await write_transaction(context, lambda tx: tx.audit.add(at=context.now(), username=username or None, **event))


async def record_repeated_audit_event(
    context: AppContext, *, actor: str, username: str, action: str, subject: str
) -> None:
    """Record an event that users can trigger as often as they like.

    The first few in a minute have a row each, all others share one row with their number. Each is logged.
    """
    windows, key = _repeated_actions.setdefault(context.event_bus, {}), (actor, username, action)
    window = windows.get(key)
    if window is None:
        window = windows[key] = _RepeatedAction()
        asyncio.get_running_loop().call_later(_REPEAT_WINDOW_SECONDS, _close_repeat_window, context, key)
    if window.rows < MAX_REPEATED_AUDIT_ROWS:
        window.rows += 1
        await record_audit_event(context, actor=actor, username=username, action=action, subject=subject)
        return
    window.counted += 1
    window.subject = to_single_line(subject)
    _log_audit_event(actor, username, action, window.subject)


async def flush_repeated_audit_events(context: AppContext) -> None:
    """Write the pending counts before the hub stops."""
    for key in list(_repeated_actions.get(context.event_bus, {})):
        await _record_repeat_count(context, key)


def _close_repeat_window(context: AppContext, key: _RepeatedActionKey) -> None:
    task = asyncio.ensure_future(_record_repeat_count(context, key))
    _closing_tasks.add(task)
    task.add_done_callback(_closing_tasks.discard)


async def _record_repeat_count(context: AppContext, key: _RepeatedActionKey) -> None:
    window = _repeated_actions.get(context.event_bus, {}).pop(key, None)
    if window is not None and window.counted:
        actor, username, action = key
        detail = f"{window.counted} more within a minute"
        await record_audit_event(
            context, actor=actor, username=username, action=action, subject=window.subject, detail=detail
        )


def _log_audit_event(actor: str, username: str, action: str, subject: str) -> None:
    log.warning("%s: %s, %s of %s", to_single_line(actor), action, subject, to_single_line(username) or "no user")
