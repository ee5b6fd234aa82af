"""Who may download what, and how many may at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..domain import download
from ..domain.access import Person
from ..domain.errors import Conflict, Forbidden, Unavailable
from ..domain.reasons import sentence
from . import instances, records
from .instances import MyInstance
from .parts import Parts

_AGAIN = 60  # seconds


async def allowed(parts: Parts, person: Person, session_id: str) -> MyInstance:
    """One's own instance, whose files can be had now; no right in its project is needed (decision 15).

    Raises:
        NotFound: there is none.
        Forbidden: `download_off`.
        Conflict: `download_running`, `download_nothing`, `volume_lost`; it must be paused first.
        Unavailable: `cluster_unavailable`.
    """
    found = await instances.whole(parts, person, session_id)
    if not parts.policy.downloads:
        raise Forbidden(sentence("download_off"), code="download_off")
    code = download.obstacle(found.instance)
    if code == "cluster_unavailable":
        raise Unavailable(sentence(code), code=code, retry_after=10)
    if code is not None:
        raise Conflict(sentence(code), code=code)
    return found


@contextmanager
def place(parts: Parts, person: Person) -> Iterator[None]:
    """One of the places that there are, as long as the download takes.

    Raises:
        Conflict: `download_yours`, this person has one already.
        Unavailable: `download_busy`.
    """
    if person.name in parts.downloads:
        raise Conflict(sentence("download_yours"), code="download_yours")
    if len(parts.downloads) >= parts.policy.downloads:
        raise busy(parts.policy.downloads)
    parts.downloads.add(person.name)
    try:
        yield
    finally:
        parts.downloads.discard(person.name)


def busy(limit: int) -> Unavailable:
    return Unavailable(sentence("download_busy", limit=limit), code="download_busy", retry_after=_AGAIN)


async def record(parts: Parts, person: Person, session_id: str) -> None:
    """It begins: all of somebody's files leave."""
    await records.record(parts, actor=person.name, username=person.name, action="download of data", subject=session_id)
