"""The proxy that a killed hub has left behind ends while the next hub still looks at its servers.

JupyterHub ends it too, but only when it starts its own, and does nothing else for the second or two that it waits:
seconds in which nobody reaches the hub or a session.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from .runtime import proc


async def end(hub: Any) -> None:
    """End the process that the pid file of the hub's proxy names, if it is a proxy, and remove the file with it.

    A proxy of another class, or one that the hub does not start, leaves nothing that is ours to end.
    """
    proxy: Any = getattr(hub, "proxy", None)
    file = Path(getattr(proxy, "pid_file", "") or os.devnull)
    left = proc.find_by_pid_file(file, proxy.command) if getattr(proxy, "should_start", False) else None
    if left is None:
        return
    await proc.end(left)
    if proc.read_pid(file) == left.pid:  # no newer proxy's
        with suppress(OSError):
            file.unlink()
