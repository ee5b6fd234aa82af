"""Server-sent events: how one's own instances stand, as they change."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Iterable
from time import monotonic

from tornado.iostream import StreamClosedError

from ..domain.instance import Status
from ..services import looks
from . import reading
from .answer_models_instance import ProgressAnswer
from .base_api import RenkuAPIHandler
from .operations import Operation
from .pump import Listener, all_standing, listening, standing
from .scopes import READ

SILENCE = 8.0  # seconds; a page that hears nothing for ten gives the stream up (decision 40)
LIFE = 900.0  # seconds; then the browser comes back, and is looked at again
_FLUSH_SECONDS = 30.0  # in which the client has to take what was sent; else it would never hear that it is replaced
_UNSETTLED = (str(Status.LAUNCHING), str(Status.STOPPING))


class Stream(RenkuAPIHandler):
    """A stream of `data: {json}` and, in silence, `event: ping`.

    One that gives way to newer ones ends with `event: replaced`, so that its page does not come back at once.
    """

    _listener: Listener | None = None

    def get_content_type(self) -> str:
        return "text/event-stream"

    def check_xsrf_cookie(self) -> None:
        """Take the page's ticket for its XSRF token."""
        if getattr(self, "_jupyterhub_user", None) is not None:
            ticket, own = self.get_query_argument("ticket", ""), reading.stream_ticket(self.xsrf_token)
            if hmac.compare_digest(ticket.encode(), own.encode()):
                return
        super().check_xsrf_cookie()

    def on_connection_close(self) -> None:
        super().on_connection_close()
        if self._listener:
            self._listener.wake()

    async def send(self, told: Iterable[ProgressAnswer]) -> bool:
        """Whether the client is still there; without anything to tell it gets a ping."""
        text = "".join(f"data: {each.model_dump_json()}\n\n" for each in told) or "event: ping\ndata:\n\n"
        return await self._send_text(text)

    async def _send_text(self, text: str) -> bool:
        try:
            self.write(text)
            async with asyncio.timeout(_FLUSH_SECONDS):
                await self.flush()
        except StreamClosedError:
            self.gone.set()
        except TimeoutError:
            self.gone.set()
            self.request.connection.stream.close()
        return not self.gone.is_set()

    async def follow(self, listener: Listener, only: str | None = None) -> None:
        """Send what changes until the client goes, time is over, newer streams replace it, or the *only* session has
        settled."""
        self._listener, end = listener, monotonic() + LIFE
        while not self.gone.is_set() and monotonic() < end:
            told = [each for each in await listener.get(SILENCE) if only in (None, each.session)]
            if listener.replaced:
                await self._send_text("event: replaced\ndata:\n\n")
                return
            if self.gone.is_set() or not await self.send(told) or (only and settled(told)):
                return


def settled(told: list[ProgressAnswer]) -> bool:
    return bool(told) and told[-1].status not in _UNSETTLED


class Events(Stream):
    calls = {"get": Operation(summary="All your instances as they change", scope=READ, stream=True)}

    async def get(self) -> None:
        self.set_header("X-Accel-Buffering", "no")
        with listening(self.parts, self.person.name) as listener:
            await self.send([])
            now = await all_standing(self.parts, self.person.name)
            if not now or await self.send(now):
                await self.follow(listener)


class SessionEvents(Stream):
    calls = {
        "get": Operation(summary="Your instance of a session as it changes, until it settles", scope=READ, stream=True)
    }

    async def get(self, ref: str, session_id: str) -> None:
        await looks.view(self.parts, self.person, self.ref(ref), session_id)
        self.set_header("X-Accel-Buffering", "no")
        with listening(self.parts, self.person.name) as listener:
            now = [await standing(self.parts, self.person.name, session_id)]
            if await self.send(now) and not settled(now):
                await self.follow(listener, session_id)
