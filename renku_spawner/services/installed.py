"""What is installed in the image that a session runs, for everybody who sees the session."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic

from ..domain.access import Action, Person
from ..domain.environment import Revision
from ..domain.errors import NotFound
from ..domain.image import Image
from ..domain.session import Session
from ..domain.sighting import Update
from ..domain.software import Changes, Software, changes
from ..remote.cache import Cache
from . import bom, pins, software
from .parts import Parts, read
from .sessions import of

_WRITER = ThreadPoolExecutor(1, "renku-bill")  # one at a time: each takes half a second of the hub's processor
_BILLS: Cache[str] = Cache(8, monotonic)  # some megabytes each; only their writer looks in


@dataclass(frozen=True, kw_only=True)
class Installed:
    """`changes` are those of a newer image that waits, None unless both are known."""

    software: Software | None
    changes: Changes | None = None


async def look(parts: Parts, session: Session, update: Update | None = None) -> Installed:
    """What is known; on a hub without images, of its own Python (decision 30)."""
    found = await _known(parts, session.revision)
    newer = await software.of(parts, update.digest) if update else None
    return Installed(software=found, changes=changes(found, newer) if found and newer else None)


async def _known(parts: Parts, revision: Revision) -> Software | None:
    return await (software.of_hub(parts) if parts.policy.local else software.of(parts, revision.digest))


async def shown(parts: Parts, person: Person, ref: str, session_id: str) -> tuple[Session, Software]:
    """A session, and what is installed in its image.

    Raises:
        NotFound: no such session, or nobody has looked yet.
    """
    project = await parts.source.get(person, ref, Action.READ)
    session = await read(parts, lambda tx: of(tx, project, session_id))
    found = await _known(parts, session.revision)
    if found is None:
        raise NotFound("Nobody has looked yet what is installed in this image.", code="not_looked_yet")
    return session, found


async def bill(parts: Parts, person: Person, ref: str, session_id: str) -> str:
    """The same as a CycloneDX document. Raises NotFound."""
    session, found = await shown(parts, person, ref, session_id)
    image = None if parts.policy.local else pins.image_of(session.revision)
    return await asyncio.get_running_loop().run_in_executor(_WRITER, _written, found, image)


def _written(found: Software, image: Image | None) -> str:
    key = (image, found.found_at, found.origin)
    document = _BILLS.get(key)
    if document is None:
        document = bom.cyclonedx(found, image)
        _BILLS.put(key, document)
    return document
