"""The actions that users repeat within a minute: the first have a row each in the audit log, the others share one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

REPEAT_WINDOW_SECONDS = 60.0
RepeatedActionKey = tuple[str, str, str]  # actor, username, action


@dataclass(kw_only=True)
class RepeatedAction:
    """The repetitions of an action by one user in one window, with the `subject` of the last one.

    `rows` of them have a row of their own, `counted` of them are to share one.
    """

    rows: int = 0
    counted: int = 0
    subject: str = ""
    timer: asyncio.TimerHandle = field(init=False)


class RepeatedActions:
    """The open windows of this hub; each is closed `REPEAT_WINDOW_SECONDS` after its first action."""

    def __init__(self) -> None:
        self._windows: dict[RepeatedActionKey, RepeatedAction] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def open_window(
        self, key: RepeatedActionKey, close: Callable[[RepeatedActionKey], Awaitable[None]]
    ) -> RepeatedAction:
        """Return the window of *key*; *close* is run at the end of a new one, and takes it out."""
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = RepeatedAction()
            window.timer = asyncio.get_running_loop().call_later(REPEAT_WINDOW_SECONDS, self._close_window, key, close)
        return window

    def take_window(self, key: RepeatedActionKey) -> RepeatedAction | None:
        """Remove the window of *key* and return it, None if another caller has taken it."""
        window = self._windows.pop(key, None)
        if window is not None:
            window.timer.cancel()
        return window

    def list_keys(self) -> list[RepeatedActionKey]:
        return list(self._windows)

    def _close_window(self, key: RepeatedActionKey, close: Callable[[RepeatedActionKey], Awaitable[None]]) -> None:
        task = asyncio.ensure_future(close(key))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
