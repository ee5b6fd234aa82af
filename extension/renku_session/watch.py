"""Looks now and then at what works in this server, and tells the hub."""

from __future__ import annotations

import asyncio
import os
from time import monotonic
from typing import Any

from . import size
from .hub import Hub, NoRenku

_LEAST, _MOST, _AGAIN = 15, 600, 60  # seconds between two reports, and after a hub that did not answer
_COUNTED = 1800.0  # seconds for which a size is good


class Watch:
    """`told` is what the hub said last, None before that; `renku` turns false when it is no hub for us."""

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
                self._app.log.info("This hub has no Renku for this server: nothing is reported.")
            except Exception as error:
                self._app.log.debug("The hub was not told: %s", error)
            await asyncio.sleep(pause)

    async def report(self, **more: Any) -> dict[str, Any]:
        """Tell the hub what works now. Raises NoRenku, and whatever keeps it from being told."""
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
        """Whether what the hub said last may be shown. Before it knew that the session runs, it said nothing of use."""
        said = not self.renku or (self.told or {}).get("pauses_in") is not None
        return said and monotonic() - self._at < _LEAST

    def now(self) -> dict[str, Any] | None:
        """What the hub said last, with the seconds that have gone by since."""
        if self.told is None or self.told.get("pauses_in") is None:
            return self.told
        return {**self.told, "pauses_in": max(0, self.told["pauses_in"] - int(monotonic() - self._at))}

    def _kernels(self) -> list[bool]:
        """Of each kernel whether it works."""
        return [kernel.get("execution_state") == "busy" for kernel in self._app.kernel_manager.list_kernels()]

    def _terminals(self) -> list[bool]:
        """Of each terminal whether a program runs in the foreground beside its shell."""
        manager = self._app.web_app.settings.get("terminal_manager")
        return [_works(terminal.ptyproc) for terminal in getattr(manager, "terminals", {}).values()]


def _works(shell: Any) -> bool:
    try:
        return os.tcgetpgrp(shell.fd) != shell.pid
    except OSError:  # it has just ended
        return False
