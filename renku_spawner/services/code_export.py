"""A project's sessions as a document, for whoever may see the project."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from ..domain import as_code, variables
from ..domain.access import Action, Person
from ..domain.as_code import Document, FromRepository, OwnImage, ReadyMade, Source
from ..domain.environment import Kind
from ..domain.project import Project
from ..domain.session import Session
from ..domain.storage import Storage
from ..store.database import Transaction
from .parts import Parts, read
from .replacement import run_of

_PAGE = 100  # sessions that are read before the event loop goes on, some 5 ms


async def export(parts: Parts, person: Person, ref: str) -> tuple[Project, Document]:
    """The project, and all of its sessions in their order. Raises NotFound."""
    project = await parts.source.get(person, ref, Action.READ)
    sessions = await list_sessions(parts, project)
    storages = await read(parts, lambda tx: tx.storages.of_project(project.id))
    return project, await asyncio.to_thread(described, project, sessions, storages)


async def list_sessions(parts: Parts, project: Project) -> list[Session]:
    """All sessions of *project* in their order, read page by page."""
    sessions: list[Session] = []
    after: str | None = None
    while True:
        page, after = await read(parts, partial(_page, project.id, after))
        sessions += page
        if after is None:
            return sessions
        await asyncio.sleep(0)  # yield to the event loop


def _page(project_id: str, after: str | None, tx: Transaction) -> tuple[list[Session], str | None]:
    return tx.sessions.of_project(project_id, after=after, limit=_PAGE)


def described(project: Project, sessions: Sequence[Session], storages: Sequence[Storage]) -> Document:
    """The same document for the same sessions: what it says can be applied, and then changes nothing."""
    written = (
        as_code.written(each, source(project, each), default=each.id == project.default_session) for each in sessions
    )
    secret = {each.title: variables.look_secret(each.configuration.variables) for each in sessions}
    left_out = {title: tuple(names) for title, names in secret.items() if names}
    return Document(
        sessions=tuple(written),
        storages=tuple(map(as_code.written_storage, storages)),
        project=project.path,
        left_out=left_out,
    )


def source(project: Project, session: Session) -> Source:
    """What *session* runs, down to the content where that is known."""
    environment, revision = session.environment, session.revision
    if environment.ready_made:
        return ReadyMade(name=environment.key or environment.name, digest=revision.digest)
    run = run_of(revision)
    if environment.kind is Kind.EXTERNAL:
        return OwnImage(image=revision.canonical, digest=revision.digest, name=environment.name, run=run)
    built = revision.built
    return FromRepository(
        directory=as_code.directory_of(built.url, project.repositories) if built else "",
        branch=built.ref if built else None,
        image=revision.image,
        digest=revision.digest,
        name=environment.name,
        run=run,
    )
