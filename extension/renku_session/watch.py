"""Report the activity of kernels and terminals to the hub at intervals."""

from __future__ import annotations

import asyncio
import os
from time import monotonic
from typing import Any

from . import size
from .hub import Hub, NoRenku

_LEAST, _MOST, _AGAIN = 15, 600, 60  # seconds between two reports: shortest, longest, and after a failure
_COUNTED = 1800.0  # seconds until the size is measured again


class Watch:
    """Report activity periodically.

    `told` is the hub's last response, None before the first; `renku` turns False if the hub has no Renku.
    """

    def __init__(self, app: Any, hub: Hub, root: str | None) -> None:
        self._app, self._hub, self._root = app, hub, root
        self._counted, self._size = -_COUNTED, None
        self._at = 0.0
        self.told: dict[str, Any] | None = None
        self.renku = True

    async def forever(self) -> None:
        while self.renku:
            pause = _AGAIN
            try:
                told = await self.report()
                pause = min(max(_LEAST, int(told.get("ask_again", _AGAIN))), _MOST)
            except NoRenku:
                self._app.log.info("The hub has no Renku for this server; nothing is reported.")
            except Exception as error:
                self._app.log.debug("Failed to report to the hub: %s", error)
            await asyncio.sleep(pause)

    async def report(self, **more: Any) -> dict[str, Any]:
        """Report the present activity and return the hub's response. Raises NoRenku, and any error of the request."""
        if self._root and monotonic() - self._counted >= _COUNTED:
            self._counted = monotonic()
            self._size = await asyncio.to_thread(size.of, self._root)
        kernels, terminals = self._kernels(), self._terminals()
        said = {"kernels": len(kernels), "terminals": len(terminals), "busy": sum(kernels) + sum(terminals), **more}
        if self._size is not None:
            said["disk_used"] = self._size
        try:
            self.told = await self._hub.tell(said)
        except NoRenku:
            self.renku, self.told = False, None
            raise
        self._at = monotonic()
        return self.told

    def is_fresh(self) -> bool:
        """Return whether the last response is recent, and complete: the first may come before the session runs."""
        said = not self.renku or (self.told or {}).get("pauses_in") is not None
        return said and monotonic() - self._at < _LEAST

    def now(self) -> dict[str, Any] | None:
        """Return the hub's last response, with the remaining seconds adjusted to the present."""
        if self.told is None or self.told.get("pauses_in") is None:
            return self.told
        return {**self.told, "pauses_in": max(0, self.told["pauses_in"] - int(monotonic() - self._at))}

    def _kernels(self) -> list[bool]:
        """Return for each kernel whether it is busy."""
        return [kernel.get("execution_state") == "busy" for kernel in self._app.kernel_manager.list_kernels()]

    def _terminals(self) -> list[bool]:
        """Return for each terminal whether a program runs in its foreground."""
        manager = self._app.web_app.settings.get("terminal_manager")
        return [_works(terminal.ptyproc) for terminal in getattr(manager, "terminals", {}).values()]


def _works(shell: Any) -> bool:
    try:
        return os.tcgetpgrp(shell.fd) != shell.pid
    except OSError:  # the terminal has just ended
        return False
