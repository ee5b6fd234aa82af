"""Record audit events for admins: actions on other users' data and refused requests.

Frequent repetitions are counted in one row.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from ..context.app_context import AppContext, write_transaction
from ..context.repeated_actions import RepeatedActionKey
from ..domain.text import to_single_line

MAX_REPEATED_AUDIT_ROWS = 5  # per user and action in a window; further events are counted in one row
log = logging.getLogger("renku_spawner.audit")


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
    key = (actor, username, action)
    window = context.repeated_actions.open_window(key, partial(_record_repeat_count, context))
    if window.rows < MAX_REPEATED_AUDIT_ROWS:
        window.rows += 1
        await record_audit_event(context, actor=actor, username=username, action=action, subject=subject)
        return
    window.counted += 1
    window.subject = to_single_line(subject)
    _log_audit_event(actor, username, action, window.subject)


async def flush_repeated_audit_events(context: AppContext) -> None:
    """Write the pending counts before the hub stops."""
    for key in context.repeated_actions.list_keys():
        await _record_repeat_count(context, key)


async def _record_repeat_count(context: AppContext, key: RepeatedActionKey) -> None:
    window = context.repeated_actions.take_window(key)
    if window is not None and window.counted:
        actor, username, action = key
        detail = f"{window.counted} more within a minute"
        await record_audit_event(
            context, actor=actor, username=username, action=action, subject=window.subject, detail=detail
        )


def _log_audit_event(actor: str, username: str, action: str, subject: str) -> None:
    log.warning("%s: %s, %s of %s", to_single_line(actor), action, subject, to_single_line(username) or "no user")
