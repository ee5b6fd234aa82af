"""Check that a user may download the data of an instance, and limit concurrent downloads.

Streaming the files belongs to the spawners.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..context.app_context import AppContext
from ..domain.access import Person
from ..domain.downloads import find_download_obstacle
from ..domain.errors import ConflictError, ForbiddenError, UnavailableError
from ..domain.reasons import format_reason_sentence
from .audit import record_audit_event
from .instances import OwnedInstance, load_owned_instance

_DOWNLOAD_RETRY_AFTER_SECONDS = 60


async def require_downloadable_instance(context: AppContext, person: Person, session_id: str) -> OwnedInstance:
    """Return the user's own instance, if its files can be downloaded now. No permission in its project is needed.

    Raises:
        NotFoundError: there is none.
        ForbiddenError: `download_off`.
        ConflictError: `download_running` (it must be paused first), `download_nothing`, `volume_lost`.
        UnavailableError: `cluster_unavailable`.
    """
    owned = await load_owned_instance(context, person, session_id)
    if not context.policy.downloads:
        raise ForbiddenError(format_reason_sentence("download_off"), code="download_off")
    code = find_download_obstacle(owned.instance)
    if code == "cluster_unavailable":
        raise UnavailableError(format_reason_sentence(code), code=code, retry_after=10)
    if code is not None:
        raise ConflictError(format_reason_sentence(code), code=code)
    return owned


@contextmanager
def reserve_download_slot(context: AppContext, person: Person) -> Iterator[None]:
    """Hold one of the limited download slots within the context.

    Raises:
        ConflictError: `download_yours`, the user has a running download already.
        UnavailableError: `download_busy`.
    """
    if person.name in context.downloading_users:
        raise ConflictError(format_reason_sentence("download_yours"), code="download_yours")
    if len(context.downloading_users) >= context.policy.downloads:
        raise build_download_busy_error(context.policy.downloads)
    context.downloading_users.add(person.name)
    try:
        yield
    finally:
        context.downloading_users.discard(person.name)


def build_download_busy_error(limit: int) -> UnavailableError:
    return UnavailableError(
        format_reason_sentence("download_busy", limit=limit),
        code="download_busy",
        retry_after=_DOWNLOAD_RETRY_AFTER_SECONDS,
    )


def build_download_failed_error(why: str) -> UnavailableError:
    return UnavailableError(
        format_reason_sentence("download_failed", message=why),
        code="download_failed",
        retry_after=_DOWNLOAD_RETRY_AFTER_SECONDS,
    )


async def record_download(context: AppContext, person: Person, session_id: str) -> None:
    """Record the start of a download in the audit log."""
    await record_audit_event(
        context, actor=person.name, username=person.name, action="download of data", subject=session_id
    )
