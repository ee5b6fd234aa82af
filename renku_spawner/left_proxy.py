"""The proxy that a killed hub has left behind ends while the next hub still looks at its servers.

JupyterHub ends it too, but only when it starts its own, and does nothing else for the second or two that it waits:
seconds in which nobody reaches the hub or a session.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

from .runtime import proc

_BREATH = 0.02  # seconds


async def end(hub: Any) -> None:
    """End the process that the pid file of the hub's proxy names, if it is a proxy, and remove the file with it.

    A proxy of another class, or one that the hub does not start, leaves nothing that is ours to end.
    """
    proxy = getattr(hub, "proxy", None)
    file = Path(getattr(proxy, "pid_file", "") or os.devnull)
    left = _left(file, proxy) if getattr(proxy, "should_start", False) else None
    if left is None:
        return
    proc.send(left, signal.SIGTERM)
    while (now := proc.look(left.pid)) and now.identity == left.identity and now.alive:
        await asyncio.sleep(_BREATH)
    if _pid(file) == left.pid:  # no newer proxy's
        with suppress(OSError):
            file.unlink()


def _left(file: Path, proxy: Any) -> proc.Process | None:
    """A pid is given again and again: only what was begun by the proxy's own command is one."""
    pid = _pid(file)
    its_own = {os.path.basename(word) for word in proxy.command}
    begun_as = {os.path.basename(word) for word in proc.command(pid)}
    return proc.look(pid) if begun_as & its_own else None


def _pid(file: Path) -> int:
    """0, as no process is numbered, where the file tells none."""
    try:
        return int(file.read_text().strip())
    except (OSError, ValueError):
        return 0
