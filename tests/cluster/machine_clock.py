"""An event loop for which idle time passes at once: an hour of waiting costs milliseconds, and work takes the same
time in every run, whatever else the machine does: even the processor time of a process grows with others' load."""

import asyncio
import selectors
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from tornado.ioloop import IOLoop

MARGIN = 0.001  # seconds in which what is on its way over the loopback device arrives
TURN = 0.001  # seconds that one turn of the loop is said to take, about as long as on a quiet machine


class Leaping(selectors.DefaultSelector):  # type: ignore[misc,valid-type]
    """Instead of waiting for a timer puts the clock on, unless a thread or a socket has something to say."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = 0.0
        self.threads = 0

    def select(self, timeout: float | None = None) -> Any:
        self.ahead += TURN
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        found = super().select(MARGIN)
        while not found and self.threads:
            found = super().select(MARGIN)
        self.ahead += 0.0 if found else timeout
        return found


class Loop(asyncio.SelectorEventLoop):
    """Its `owner` is noted of every task that is made: `tasks_of` tells what somebody has left."""

    def __init__(self) -> None:
        self.leaping = Leaping()
        super().__init__(self.leaping)
        self.set_default_executor(ThreadPoolExecutor(1))  # one that is always there: no thread is taken for a leak
        self.set_exception_handler(self.complain)
        self.complaints: list[dict[str, Any]] = []

    def time(self) -> float:
        return self.leaping.ahead

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        self.leaping.threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self.returned)
        return future

    def returned(self, future: object) -> None:
        self.leaping.threads -= 1

    def complain(self, loop: object, context: dict[str, Any]) -> None:
        """What nobody has caught; not what a killed hub still says, nor the hub itself when it goes after its start."""
        if "killed" not in str(context.get("exception")) and "log_init_time" not in str(context["message"]):
            self.complaints.append(context)


@contextmanager
def clock(loop: Loop) -> Iterator[None]:
    """Let the hub's and our own durations be those of *loop*."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(IOLoop, "time", lambda self: loop.time())
        for name, module in list(sys.modules.items()):
            if name.startswith("renku_spawner.") and getattr(module, "monotonic", None) is time.monotonic:
                patch.setattr(module, "monotonic", loop.time)
        yield


async def within(seconds: float, condition: Callable[[], Any]) -> Any:
    """What *condition* (also an async one) becomes within so many seconds, or its last answer."""
    end = asyncio.get_running_loop().time() + seconds
    while True:
        value = condition()
        if asyncio.iscoroutine(value):
            value = await value
        if value or asyncio.get_running_loop().time() > end:
            return value
        await asyncio.sleep(0.2)
