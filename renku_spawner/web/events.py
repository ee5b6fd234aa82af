"""Stream the status of a user's instances to open pages as server-sent events.

Progress is read once per change for all streams of a user. The event bus itself is in `context.event_bus`.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from time import monotonic
from weakref import WeakKeyDictionary

from tornado.iostream import StreamClosedError

from ..context.app_context import AppContext
from ..context.event_bus import EventBus
from ..domain.errors import UnavailableError
from ..domain.instances import InstanceStatus
from ..hub.scopes import READ_SCOPE
from ..usecases.idle import predict_pause
from ..usecases.instances import InstanceProgress, get_instance_progress, list_instance_progress
from ..usecases.session_queries import load_session_view
from .answers import to_progress_answer
from .base import RenkuAPIHandler
from .instances.schemas import ProgressAnswer
from .operations import APIOperation
from .request_parsing import make_stream_ticket

log = logging.getLogger("renku_spawner")
_EVENT_WAIT_SECONDS = 3600.0  # the broadcaster has no reason to wake but events
MAX_STREAMS_PER_USER = 50  # each uses a file descriptor in the hub and two in the proxy


class ProgressSubscriber:
    """Pending progress of one stream by session; only the latest change of each is kept.

    `replaced` is set when newer streams of the user take its place; the stream then ends.
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

    def mark_replaced(self) -> None:
        self.replaced = True
        self.wake()

    async def wait_for_changes(self, timeout: float) -> list[ProgressAnswer]:
        """Return the changes; empty after *timeout* seconds without any."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._arrived.wait()
        self._arrived.clear()
        waiting, self._waiting = self._waiting, {}
        return [answer for answer in waiting.values() if answer is not None]


class ProgressBatchLoader:
    """Load progress that is requested at the same moment with one query.

    A class that starts together would otherwise make a query for each user.
    """

    def __init__(self) -> None:
        self._asked: dict[tuple[str, str], asyncio.Future[ProgressAnswer]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def load(self, context: AppContext, username: str, session: str) -> ProgressAnswer:
        """Return the present progress of an instance; inactive if there is none. Raises UnavailableError."""
        if not self._asked:
            task = asyncio.ensure_future(self._load_batch(context))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        future = self._asked.setdefault((username, session), asyncio.get_running_loop().create_future())
        return await asyncio.shield(future)

    async def _load_batch(self, context: AppContext) -> None:
        futures, self._asked = self._asked, {}  # all tasks that the same event woke have made their request by now
        try:
            progress_by_session, now = await get_instance_progress(context, futures), context.now()
        except Exception as problem:
            for future in futures.values():
                future.set_exception(problem)
                future.exception()  # mark it as retrieved: the requester may be gone
            return
        for pair, future in futures.items():
            progress = progress_by_session.get(pair)
            future.set_result(
                _to_current_progress_answer(context, progress, now)
                if progress
                else to_inactive_progress_answer(pair[1])
            )


class ProgressBroadcaster:
    def __init__(self, context: AppContext, username: str) -> None:
        self.context, self.username = context, username
        self.listeners: dict[ProgressSubscriber, None] = {}  # the oldest first
        self.task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        with self.context.event_bus.subscribe(self.username) as subscription:
            while True:
                for session in await subscription.wait_for_changes(_EVENT_WAIT_SECONDS):
                    try:
                        answer = await load_progress(self.context, self.username, session)
                    except UnavailableError:
                        subscription.add_change(session)
                        continue
                    for listener in self.listeners:
                        listener.put(session, answer)


_broadcasters: WeakKeyDictionary[EventBus, dict[str, ProgressBroadcaster]] = WeakKeyDictionary()
_batch_loaders: WeakKeyDictionary[EventBus, ProgressBatchLoader] = WeakKeyDictionary()


@contextmanager
def subscribe_to_progress(context: AppContext, username: str) -> Iterator[ProgressSubscriber]:
    """Subscribe to all changes of *username*; the broadcaster stops with its last subscriber.

    The oldest subscriber is replaced if the user has more than `MAX_STREAMS_PER_USER`.
    """
    broadcasters = _broadcasters.setdefault(context.event_bus, {})
    broadcaster = broadcasters.setdefault(username, ProgressBroadcaster(context, username))
    if broadcaster.task is None or broadcaster.task.done():
        broadcaster.task = asyncio.ensure_future(broadcaster.run())
    subscriber = ProgressSubscriber()
    broadcaster.listeners[subscriber] = None
    if len(broadcaster.listeners) > MAX_STREAMS_PER_USER:
        oldest = next(iter(broadcaster.listeners))
        del broadcaster.listeners[oldest]
        oldest.mark_replaced()
    try:
        yield subscriber
    finally:
        broadcaster.listeners.pop(subscriber, None)
        if not broadcaster.listeners:
            broadcaster.task.cancel()
            broadcasters.pop(username, None)


async def load_progress(context: AppContext, username: str, session: str) -> ProgressAnswer:
    """Return the present progress of an instance; inactive if there is none. Raises UnavailableError."""
    return await _batch_loaders.setdefault(context.event_bus, ProgressBatchLoader()).load(context, username, session)


async def load_all_progress(context: AppContext, username: str) -> list[ProgressAnswer]:
    now, progress = context.now(), await list_instance_progress(context, username)
    return [_to_current_progress_answer(context, entry, now) for entry in progress]


def _to_current_progress_answer(context: AppContext, each: InstanceProgress, now: datetime) -> ProgressAnswer:
    return to_progress_answer(
        each.instance, each.usual, now, context.start_queue, predict_pause(context, each.instance)
    )


def to_inactive_progress_answer(session: str) -> ProgressAnswer:
    return ProgressAnswer(
        session=session,
        status=str(InstanceStatus.INACTIVE),
        stage=None,
        stage_text=None,
        queue_position=None,
        progress=None,
        elapsed=None,
        usual=None,
    )


PING_INTERVAL_SECONDS = 8.0  # a page gives the stream up after ten seconds without data
STREAM_LIFETIME_SECONDS = 900.0  # then the browser reconnects, and is authorized again
_FLUSH_TIMEOUT_SECONDS = 30.0  # a client that does not read would never learn that it is replaced
_UNSETTLED_STATUSES = (str(InstanceStatus.LAUNCHING), str(InstanceStatus.STOPPING))


class BaseEventStreamAPIHandler(RenkuAPIHandler):
    """A stream of `data: {json}` events, with `event: ping` while nothing changes.

    A stream that newer ones replace ends with `event: replaced`, so that its page does not reconnect at once.
    """

    _listener: ProgressSubscriber | None = None

    def get_content_type(self) -> str:
        return "text/event-stream"

    def check_xsrf_cookie(self) -> None:
        """Accept the page's ticket in place of its XSRF token."""
        if getattr(self, "_jupyterhub_user", None) is not None:
            ticket, own = self.get_query_argument("ticket", ""), make_stream_ticket(self.xsrf_token)
            if hmac.compare_digest(ticket.encode(), own.encode()):
                return
        super().check_xsrf_cookie()

    def on_connection_close(self) -> None:
        super().on_connection_close()
        if self._listener:
            self._listener.wake()

    async def send_progress(self, told: Iterable[ProgressAnswer]) -> bool:
        """Send progress, or a ping if there is none; return whether the client is still connected."""
        text = "".join(f"data: {answer.model_dump_json()}\n\n" for answer in told) or "event: ping\ndata:\n\n"
        return await self._send_text(text)

    async def _send_text(self, text: str) -> bool:
        try:
            self.write(text)
            async with asyncio.timeout(_FLUSH_TIMEOUT_SECONDS):
                await self.flush()
        except StreamClosedError:
            self.gone.set()
        except TimeoutError:
            self.gone.set()
            self.request.connection.stream.close()
        return not self.gone.is_set()

    async def send_until_settled(self, listener: ProgressSubscriber, only: str | None = None) -> None:
        """Send changes until the client disconnects, the stream expires or newer streams replace it.

        With *only*, send the changes of that session, until it has settled.
        """
        self._listener, end = listener, monotonic() + STREAM_LIFETIME_SECONDS
        while not self.gone.is_set() and monotonic() < end:
            answers = [
                answer
                for answer in await listener.wait_for_changes(PING_INTERVAL_SECONDS)
                if only in (None, answer.session)
            ]
            if listener.replaced:
                await self._send_text("event: replaced\ndata:\n\n")
                return
            if self.gone.is_set() or not await self.send_progress(answers) or (only and is_settled(answers)):
                return


def is_settled(told: list[ProgressAnswer]) -> bool:
    return bool(told) and told[-1].status not in _UNSETTLED_STATUSES


class OwnedInstanceEventsAPIHandler(BaseEventStreamAPIHandler):
    calls = {"get": APIOperation(summary="All your instances as they change", scope=READ_SCOPE, stream=True)}

    async def get(self) -> None:
        self.set_header("X-Accel-Buffering", "no")
        with subscribe_to_progress(self.context, self.person.name) as listener:
            await self.send_progress([])
            now = await load_all_progress(self.context, self.person.name)
            if not now or await self.send_progress(now):
                await self.send_until_settled(listener)


class SessionEventsAPIHandler(BaseEventStreamAPIHandler):
    calls = {
        "get": APIOperation(
            summary="Your instance of a session as it changes, until it settles", scope=READ_SCOPE, stream=True
        )
    }

    async def get(self, ref: str, session_id: str) -> None:
        await load_session_view(self.context, self.person, self.check_project_ref(ref), session_id)
        self.set_header("X-Accel-Buffering", "no")
        with subscribe_to_progress(self.context, self.person.name) as listener:
            now = [await load_progress(self.context, self.person.name, session_id)]
            if await self.send_progress(now) and not is_settled(now):
                await self.send_until_settled(listener, session_id)
