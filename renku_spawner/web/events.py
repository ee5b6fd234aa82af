"""Stream the status of a user's instances to open pages as server-sent events.

The open streams are in `AppContext.progress_streams`.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from time import monotonic

from tornado.iostream import StreamClosedError

from ..context.app_context import AppContext
from ..context.progress_streams import ProgressSubscriber
from ..domain.instances import InstanceStatus
from ..hub.jupyterhub import is_user_found
from ..hub.scopes import READ_SCOPE
from ..integrations.net.single_flight import BatchLoader
from ..usecases.idle import predict_pause
from ..usecases.instances import InstanceProgress, get_instance_progress, list_instance_progress
from ..usecases.session_queries import load_session_view
from .answers import to_progress_answer
from .base import RenkuAPIHandler
from .instances.schemas import ProgressAnswer
from .operations import APIOperation
from .request_parsing import make_stream_ticket

MAX_STREAMS_PER_USER = 50  # each uses a file descriptor in the hub and two in the proxy


@contextmanager
def subscribe_to_progress(context: AppContext, username: str) -> Iterator[ProgressSubscriber[ProgressAnswer]]:
    """Subscribe to all changes of *username*; the oldest subscriber of more than `MAX_STREAMS_PER_USER` is replaced."""
    load = partial(load_progress, context, username)
    with context.progress_streams.subscribe(context.event_bus, username, load, most=MAX_STREAMS_PER_USER) as subscriber:
        yield subscriber


async def load_progress(context: AppContext, username: str, session: str) -> ProgressAnswer:
    """Return the present progress of an instance; inactive if there is none. Raises UnavailableError.

    What is loaded at the same moment takes one query: a class that starts together would otherwise make one each.
    """
    loader: BatchLoader[tuple[str, str], ProgressAnswer] = context.progress_streams.loader
    return await loader.load((username, session), partial(_load_many_progress, context))


async def _load_many_progress(
    context: AppContext, pairs: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], ProgressAnswer]:
    found, now = await get_instance_progress(context, pairs), context.now()
    return {
        pair: _to_current_progress_answer(context, found[pair], now)
        if pair in found
        else to_inactive_progress_answer(pair[1])
        for pair in pairs
    }


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

    _listener: ProgressSubscriber[ProgressAnswer] | None = None

    def get_content_type(self) -> str:
        return "text/event-stream"

    def check_xsrf_cookie(self) -> None:
        """Accept the page's ticket in place of its XSRF token."""
        if is_user_found(self):
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

    async def send_until_settled(self, listener: ProgressSubscriber[ProgressAnswer], only: str | None = None) -> None:
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
