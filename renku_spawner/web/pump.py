"""What open pages hear: an instance that changed is read once, for all pages of its user."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from weakref import WeakKeyDictionary

from ..domain.errors import Unavailable
from ..domain.instance import Status
from ..services import idling, progress
from ..services.news import News
from ..services.parts import Parts
from . import answers_instance
from .answer_models_instance import ProgressAnswer

log = logging.getLogger("renku_spawner")
_IDLE = 3600.0  # seconds; the pump waits for news and has no other reason to wake
MAX_STREAMS = 50  # of one user, of all kinds; each holds a descriptor in the hub and two in the proxy


class Listener:
    """What one stream has still to send, by session: of several changes the last one counts.

    `replaced` says that it shall end, since newer streams of its user have taken its place.
    """

    def __init__(self) -> None:
        self.replaced = False
        self._waiting: dict[str, ProgressAnswer | None] = {}
        self._arrived = asyncio.Event()

    def put(self, session: str, told: ProgressAnswer | None) -> None:
        self._waiting[session] = told
        self._arrived.set()

    def wake(self) -> None:
        self._arrived.set()

    def replace(self) -> None:
        self.replaced = True
        self.wake()

    async def get(self, timeout: float) -> list[ProgressAnswer]:
        """What has changed; empty after *timeout* seconds of silence."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._arrived.wait()
        self._arrived.clear()
        waiting, self._waiting = self._waiting, {}
        return [told for told in waiting.values() if told is not None]


class Reader:
    """Reads at once what many ask for at the same moment: a class that starts together makes one question."""

    def __init__(self) -> None:
        self._asked: dict[tuple[str, str], asyncio.Future[ProgressAnswer]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def standing(self, parts: Parts, username: str, session: str) -> ProgressAnswer:
        """How that instance stands now; inactive if there is none. Raises Unavailable."""
        if not self._asked:
            task = asyncio.ensure_future(self._read(parts))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        future = self._asked.setdefault((username, session), asyncio.get_running_loop().create_future())
        return await asyncio.shield(future)

    async def _read(self, parts: Parts) -> None:
        asked, self._asked = self._asked, {}  # by now all that woke up together have asked
        try:
            found, now = await progress.some_of(parts, asked), parts.now()
        except Exception as problem:
            for future in asked.values():
                future.set_exception(problem)
                future.exception()  # who asked may have gone
            return
        for pair, future in asked.items():
            each = found.get(pair)
            future.set_result(_told(parts, each, now) if each else gone(pair[1]))


class Pump:
    def __init__(self, parts: Parts, username: str) -> None:
        self.parts, self.username = parts, username
        self.listeners: dict[Listener, None] = {}  # the oldest first
        self.task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        with self.parts.news.subscribe(self.username) as heard:
            while True:
                for session in await heard.get(_IDLE):
                    try:
                        told = await standing(self.parts, self.username, session)
                    except Unavailable:
                        heard.put(session)
                        continue
                    for listener in self.listeners:
                        listener.put(session, told)


_pumps: WeakKeyDictionary[News, dict[str, Pump]] = WeakKeyDictionary()
_readers: WeakKeyDictionary[News, Reader] = WeakKeyDictionary()


@contextmanager
def listening(parts: Parts, username: str) -> Iterator[Listener]:
    """A listener to everything that changes for *username*; the last one to leave stops the pump.

    The oldest one is replaced where its user has more than `MAX_STREAMS`.
    """
    pumps = _pumps.setdefault(parts.news, {})
    pump = pumps.setdefault(username, Pump(parts, username))
    if pump.task is None or pump.task.done():
        pump.task = asyncio.ensure_future(pump.run())
    listener = Listener()
    pump.listeners[listener] = None
    if len(pump.listeners) > MAX_STREAMS:
        oldest = next(iter(pump.listeners))
        del pump.listeners[oldest]
        oldest.replace()
    try:
        yield listener
    finally:
        pump.listeners.pop(listener, None)
        if not pump.listeners:
            pump.task.cancel()
            pumps.pop(username, None)


async def standing(parts: Parts, username: str, session: str) -> ProgressAnswer:
    """How that instance stands now; inactive if there is none. Raises Unavailable."""
    return await _readers.setdefault(parts.news, Reader()).standing(parts, username, session)


async def all_standing(parts: Parts, username: str) -> list[ProgressAnswer]:
    now, found = parts.now(), await progress.all_of(parts, username)
    return [_told(parts, each, now) for each in found]


def _told(parts: Parts, each: progress.Standing, now: datetime) -> ProgressAnswer:
    return answers_instance.progress(each.instance, each.usual, now, parts.line, idling.outlook(parts, each.instance))


def gone(session: str) -> ProgressAnswer:
    return ProgressAnswer(
        session=session,
        status=str(Status.INACTIVE),
        stage=None,
        stage_text=None,
        queue_position=None,
        progress=None,
        elapsed=None,
        usual=None,
    )
