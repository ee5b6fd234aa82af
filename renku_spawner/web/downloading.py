"""Sends what lies in one's own instance, as it is read: so fast as it is taken, and never a part that looks whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from time import monotonic
from typing import Any

from tornado.iostream import StreamClosedError

from .. import metrics
from ..domain import download
from ..domain.download import RateWindow, TooSlow
from ..failures import CutOff
from ..services import downloads
from . import entrance, server_files


async def send(handler: Any, session_id: str) -> None:
    """Answer with the archive.

    Raises, before anything is sent, what `downloads` raises, and Unavailable: the files cannot be read. What goes wrong
    later breaks the connection off.
    """
    entrance.require_own_site(handler)  # it makes work, and no other site asks for that
    found = await downloads.allowed(handler.parts, handler.person, session_id)
    with downloads.place(handler.parts, handler.person):
        files = server_files.files(handler.current_user, found.instance)
        async with aclosing(files), aclosing(_while_there(handler, files)) as pieces:
            first = await anext(pieces, b"")
            await downloads.record(handler.parts, handler.person, session_id)
            _describe(handler, found.title)
            metrics.downloaded(await _pass_on(handler, first, pieces))


def _describe(handler: Any, title: str) -> None:
    handler.set_header("Content-Type", "application/zstd")
    handler.set_header("Content-Disposition", download.disposition(title))
    handler.set_header("Accept-Ranges", "none")
    handler.set_header("X-Accel-Buffering", "no")


async def _pass_on(handler: Any, piece: bytes, pieces: AsyncGenerator[bytes, None]) -> str:
    """Send the pieces and return how it came out. A reader who takes too little is cut off, for the sake of those who
    wait for the place."""
    policy = handler.parts.policy
    window = RateWindow(min_rate=policy.download_min_rate, seconds=policy.download_rate_window)
    try:
        while piece:
            handler.write(piece)
            await _until_taken(handler, len(piece), window)
            piece = await anext(pieces, b"")
    except StreamClosedError:
        return "left"
    except (CutOff, TooSlow) as error:
        handler.log.warning("The download of %s was cut off: %s", handler.person.name, error)
        _break_off(handler)
        return "cut"
    return "left" if handler.gone.is_set() else "whole"


async def _until_taken(handler: Any, size: int, window: RateWindow) -> None:
    """Wait until the reader has taken a piece of *size* bytes. Raises TooSlow, StreamClosedError."""
    flushing = asyncio.ensure_future(handler.flush())
    flushing.add_done_callback(lambda done: done.cancelled() or done.exception())  # when this gives up before it ends
    while not flushing.done():
        before = monotonic()
        await asyncio.wait({flushing}, timeout=window.left)
        window.add(size if flushing.done() else 0, monotonic() - before)
    await flushing


def _break_off(handler: Any) -> None:
    """Without the last chunk, which would make what was sent so far look whole."""
    handler.request.connection.stream.close()


async def _while_there(handler: Any, files: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """The pieces, as long as whoever asked for them is there."""
    leaving = asyncio.ensure_future(handler.gone.wait())
    try:
        while True:
            reading = asyncio.ensure_future(anext(files, b""))
            await asyncio.wait({reading, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                reading.cancel()
                await asyncio.wait({reading})
                return
            yield await reading
    finally:
        leaving.cancel()
