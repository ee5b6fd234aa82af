"""Sessions that one of a project's repositories describes in `.renku/sessions.yaml`, for who may add them.

The file is read as the person who looks (in GitLab), or as nobody (elsewhere), and is believed no more than what anyone
sends. A page waits for it only a moment.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import logging
from collections.abc import Hashable
from dataclasses import dataclass, replace
from urllib.parse import quote

from ..as_code import model, reading
from ..domain.access import Action, Person
from ..domain.as_code import Document
from ..domain.errors import Conflict, Forbidden, Invalid, Malformed, RenkuError, not_found
from ..domain.project import Project
from ..domain.repository import Repository
from ..gitlab.errors import Missing
from ..registry.errors import RegistryError
from ..registry.git import NoRepository
from .offers import Offer, Seen
from .parts import Parts
from .repositories import path_in

log = logging.getLogger("renku_spawner")
PATH = (".renku", "sessions.yaml")
PAGE_PATIENCE = 0.3  # seconds, for a page that shows other things too
PATIENCE = 8.0  # seconds, for one that is about nothing else
_KNOWN, _UNKNOWN = 60.0, 15.0  # seconds for which an answer, or that there was none, is good
_MOST = 3  # repositories of one project that are asked
_WITHIN = 3.0  # seconds, for GitLab


@dataclass(frozen=True)
class Looked:
    """What the first repository with such a file describes; nothing is *known* while nobody has answered yet."""

    known: bool
    offer: Offer | None = None


async def look(parts: Parts, person: Person, project: Project, *, patience: float = PAGE_PATIENCE) -> Looked:
    """What is known within *patience* (s); what is asked goes on behind."""
    if not project.repositories or not project.allows(person, Action.WRITE):
        return Looked(known=True)
    key = ("project", person.name, project.id)
    try:
        async with asyncio.timeout(patience):
            return Looked(True, await parts.offers.flights.run(key, lambda: _first(parts, person, project)))
    except TimeoutError:
        return Looked(known=False)


async def require(parts: Parts, person: Person, project: Project, content: str | None = None) -> tuple[Offer, Document]:
    """The file, and what it says.

    Raises:
        NotFound: no repository has one, as far as anybody says.
        Invalid: it cannot be read.
        Conflict: `changed`, another content than the one that was looked at.
    """
    offer = (await look(parts, person, project, patience=PATIENCE)).offer
    if offer is None:
        raise not_found()
    if content is not None and content != offer.content:
        raise Conflict("The file has changed in the meantime; look at it again.", code="changed")
    if offer.document is None:
        raise Invalid(offer.problem, fields={"document": offer.problem})
    return offer, offer.document


async def _first(parts: Parts, person: Person, project: Project) -> Offer | None:
    for repository in project.repositories[:_MOST]:
        offer = await _of(parts, person, project, repository)
        if offer is not None:
            return replace(offer, directory=repository.directory)
    return None


async def _of(parts: Parts, person: Person, project: Project, repository: Repository) -> Offer | None:
    """What it describes, asked for once by all who may read the same."""
    place = _place(parts, project, repository)
    key = (place or repository.url, repository.ref, person.name if place else None)
    if parts.offers.known(key) is None:
        await parts.offers.flights.run(key, lambda: _ask(parts, person, repository, place, key))
    seen = parts.offers.known(key)
    return seen.offer if seen else None


def _place(parts: Parts, project: Project, repository: Repository) -> str | None:
    """What GitLab calls the repository's project; None for what lives elsewhere."""
    if parts.gitlab is None:
        return None
    return project.source_id if repository.fixed else path_in(parts.gitlab, repository.url)


async def _ask(parts: Parts, person: Person, repository: Repository, place: str | None, key: Hashable) -> None:
    try:
        data = await (_in_gitlab(parts, person, repository, place) if place else _elsewhere(parts, repository))
        seen, seconds = Seen(await asyncio.to_thread(_read, repository, data) if data is not None else None), _KNOWN
    except (RenkuError, RegistryError, NoRepository) as problem:
        log.info("No look at what %s describes: %s", repository.directory, type(problem).__name__)
        seen, seconds = Seen(None), _UNKNOWN
    except Exception:
        log.exception("The look at what %s describes failed", repository.directory)
        seen, seconds = Seen(None), _UNKNOWN
    parts.offers.seen.put(key, seen, seconds=seconds)


async def _in_gitlab(parts: Parts, person: Person, repository: Repository, place: str) -> bytes | None:
    """As *person*. https://docs.gitlab.com/api/repository_files/: HEAD is the default branch."""
    assert parts.gitlab is not None
    file = quote("/".join(PATH), safe="")
    address = f"/projects/{quote(place, safe='')}/repository/files/{file}"
    try:
        found = await parts.gitlab.get(person.name, address, {"ref": repository.ref or "HEAD"}, within=_WITHIN)
        return base64.b64decode(found["content"], validate=True)
    except Missing:
        return None
    except (KeyError, TypeError, binascii.Error):
        raise Forbidden("GitLab answers with something else than a file.") from None


async def _elsewhere(parts: Parts, repository: Repository) -> bytes | None:
    if parts.git is None:
        return None
    return await parts.git.file(repository.url, repository.ref, PATH, reading.SIZE_LIMIT)


def _read(repository: Repository, data: bytes) -> Offer:
    found = Offer(directory=repository.directory, content=hashlib.sha256(data).hexdigest())
    try:
        return replace(found, document=model.document(reading.read(data)))
    except Malformed as problem:
        return replace(found, problem=problem.message)
    except Invalid as problem:
        said = "; ".join(f"{path}: {sentence}" for path, sentence in list(problem.fields.items())[:3])
        return replace(found, problem=said or problem.message)
