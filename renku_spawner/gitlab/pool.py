"""A few threads for calls that block, with a queue that ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .errors import Away
from .wire import Call

THREADS = 16
WAITING = 64


class Pool:
    """Runs calls in threads of its own, so that a GitLab that hangs keeps no one else's from running.

    The hub's loop waits for none of them: a call that has no thread, or no answer, in
    its time is given up, and what it holds is cut off.
    """

    def __init__(self, *, threads: int = THREADS, waiting: int = WAITING) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="gitlab")
        self._most = threads + waiting
        self._inside = 0

    async def run(self, work: Callable[[Call], Any], *, within: float) -> Any:
        """What *work* returns, in at most *within* seconds.

        Raises:
            Away: too many wait already, or the time is up.
        """
        if self._inside >= self._most:
            raise Away
        self._inside += 1
        call = Call(within)
        try:
            future = self._executor.submit(_called, call, work)
        except RuntimeError:  # it is closed
            self._inside -= 1
            raise Away from None
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: _tell(loop, self._left))
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), within)
        except TimeoutError:
            raise Away from None
        finally:
            if not future.done():
                call.cut()

    def close(self) -> None:
        """Begin nothing more; what is under way ends by itself in its time."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _left(self) -> None:
        self._inside -= 1


def _called(call: Call, work: Callable[[Call], Any]) -> Any:
    with call:
        return work(call)


def _tell(loop: asyncio.AbstractEventLoop, what: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended, nobody counts any more
        loop.call_soon_threadsafe(what)
