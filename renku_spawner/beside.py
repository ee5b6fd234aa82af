"""Work that goes on beside: nobody waits for it, and it must not be forgotten."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from . import metrics

log = logging.getLogger("renku_spawner")
_under_way: set[asyncio.Task[Any]] = set()  # the loop itself keeps only weak references to tasks


def begin(work: Coroutine[Any, Any, None], what: str) -> asyncio.Task[None]:
    """Do *work* from now on; it lives until it ends, and that it failed is logged as *what*."""
    task = asyncio.ensure_future(work)
    _under_way.add(task)
    task.add_done_callback(lambda done: _ended(done, what))
    return task


def _ended(task: asyncio.Task[None], what: str) -> None:
    _under_way.discard(task)
    if task.cancelled():
        return
    if error := task.exception():
        metrics.failed("beside")
        log.error("%s failed", what, exc_info=error)
    else:
        metrics.done("beside")
