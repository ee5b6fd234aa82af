"""Background tasks that are kept referenced until they finish."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from ..observability.metrics import record_task_failure, record_task_success

log = logging.getLogger("renku_spawner")
_background_tasks: set[asyncio.Task[Any]] = set()  # the loop itself keeps only weak references to tasks


def start_background_task(work: Coroutine[Any, Any, None], what: str) -> asyncio.Task[None]:
    """Run *work* in the background and keep it referenced until it finishes; log a failure as "*what* failed"."""
    task = asyncio.ensure_future(work)
    _background_tasks.add(task)
    task.add_done_callback(lambda done: _finish_background_task(done, what))
    return task


def _finish_background_task(task: asyncio.Task[None], what: str) -> None:
    _background_tasks.discard(task)
    if task.cancelled():
        return
    if error := task.exception():
        record_task_failure("beside")
        log.error("%s failed", what, exc_info=error)
    else:
        record_task_success("beside")
