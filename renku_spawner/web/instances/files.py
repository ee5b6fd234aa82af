"""Read the files of an instance, and send them as an archive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from time import monotonic
from typing import cast

from tornado.iostream import StreamClosedError

from ...domain.downloads import (
    ARCHIVE_MAGIC_BYTES,
    ArchiveFormat,
    DownloadRateWindow,
    DownloadTooSlowError,
    build_content_disposition,
    detect_archive_format,
)
from ...domain.instances import Instance
from ...hub.jupyterhub import HubUser
from ...observability.metrics import record_download_outcome
from ...spawners.base import SessionSpawner
from ...spawners.errors import DownloadInterrupted
from ...spawners.in_pod.contents import ContentsInspection
from ...usecases.downloads import (
    build_download_failed_error,
    record_download,
    require_downloadable_instance,
    reserve_download_slot,
)
from ..base import RenkuBaseHandler
from ..security import require_same_origin


async def load_instance_contents(user: HubUser, instance: Instance) -> ContentsInspection:
    """Return the contents of the user's own *instance*, as far as they are known within seconds."""
    return await _get_session_spawner(user, instance).inspect_files(instance)


def stream_instance_files(user: HubUser, instance: Instance) -> AsyncGenerator[bytes, None]:
    """Return the files of the user's own *instance* as pieces of an archive; see `stream_files` of spawners."""
    return _get_session_spawner(user, instance).stream_files(instance)


def _get_session_spawner(user: HubUser, instance: Instance) -> SessionSpawner:
    return cast(SessionSpawner, user.get_or_create_spawner(instance.session, instance.session))


async def send_files_archive(handler: RenkuBaseHandler, session_id: str) -> None:
    """Send the files of an instance as an archive.

    Before anything is sent, it raises the errors of `require_downloadable_instance` and `reserve_download_slot`, and
    UnavailableError if the files cannot be read. A later error closes the connection.
    """
    require_same_origin(handler)  # a download is expensive, so other sites may not request one
    owned = await require_downloadable_instance(handler.context, handler.person, session_id)
    with reserve_download_slot(handler.context, handler.person):
        files = stream_instance_files(handler.current_user, owned.instance)
        async with aclosing(files), aclosing(_iterate_while_connected(handler, files)) as pieces:
            start = await _read_start(pieces)
            archive = detect_archive_format(start)
            if archive is None and handler.gone.is_set():
                record_download_outcome("left")
                return
            if archive is None:
                raise build_download_failed_error("what was read is no archive.")
            await record_download(handler.context, handler.person, session_id)
            _set_archive_headers(handler, owned.title, archive)
            record_download_outcome(await _send_pieces(handler, start, pieces))


async def _read_start(pieces: AsyncGenerator[bytes, None]) -> bytes:
    """Read until the archive's format can be told; less if the archive ends."""
    start = b""
    while len(start) < ARCHIVE_MAGIC_BYTES and (piece := await anext(pieces, b"")):
        start += piece
    return start


def _set_archive_headers(handler: RenkuBaseHandler, title: str, archive: ArchiveFormat) -> None:
    handler.set_header("Content-Type", archive.media_type)
    handler.set_header("Content-Disposition", build_content_disposition(title, archive))
    handler.set_header("Accept-Ranges", "none")
    handler.set_header("X-Accel-Buffering", "no")


async def _send_pieces(handler: RenkuBaseHandler, piece: bytes, pieces: AsyncGenerator[bytes, None]) -> str:
    """Send the pieces and return the outcome: `whole`, `left` or `cut`.

    A client that reads too slowly is cut off, because others wait for its slot. The connection is closed on any error:
    Tornado would end the response as if the archive were complete.
    """
    policy = handler.context.policy
    window = DownloadRateWindow(min_rate=policy.download_min_rate, seconds=policy.download_rate_window)
    try:
        while piece:
            handler.write(piece)
            await _wait_until_flushed(handler, len(piece), window)
            piece = await anext(pieces, b"")
    except StreamClosedError:
        return "left"
    except (DownloadInterrupted, DownloadTooSlowError) as error:
        handler.log.warning("Aborted download of %s: %s", handler.person.name, error)
        _abort_connection(handler)
        return "cut"
    except BaseException:
        _abort_connection(handler)
        raise
    return "left" if handler.gone.is_set() else "whole"


async def _wait_until_flushed(handler: RenkuBaseHandler, size: int, window: DownloadRateWindow) -> None:
    """Wait until the client has read *size* bytes. Raises DownloadTooSlowError, StreamClosedError."""
    flushing = asyncio.ensure_future(handler.flush())
    # Retrieve the exception, because this function may end before the flush does.
    flushing.add_done_callback(lambda done: done.cancelled() or done.exception())
    while not flushing.done():
        before = monotonic()
        await asyncio.wait({flushing}, timeout=window.remaining_seconds)
        window.record_bytes(size if flushing.done() else 0, monotonic() - before)
    await flushing


def _abort_connection(handler: RenkuBaseHandler) -> None:
    """Close the connection without the last chunk, so that the archive does not look complete."""
    handler.request.connection.stream.close()


async def _iterate_while_connected(
    handler: RenkuBaseHandler, files: AsyncGenerator[bytes, None]
) -> AsyncGenerator[bytes, None]:
    """Yield the pieces while the client is connected."""
    leaving = asyncio.ensure_future(handler.gone.wait())
    try:
        while True:
            reading = asyncio.ensure_future(anext(files, b""))
            try:
                await asyncio.wait({reading, leaving}, return_when=asyncio.FIRST_COMPLETED)
                if not reading.done():
                    return
            finally:
                reading.cancel()
                await asyncio.wait({reading})  # `files` cannot be closed while it is being read
            yield reading.result()
    finally:
        leaving.cancel()
