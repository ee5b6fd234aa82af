"""Taking a session out of its project, and which of those that stay the project's one button starts."""

from __future__ import annotations

from ..domain.access import Action, Person
from ..domain.errors import Invalid
from ..domain.project import Project
from ..domain.session import Session
from ..store.database import Transaction
from .parts import Parts, write
from .sessions import Work, of


async def remove(parts: Parts, person: Person, ref: str, session_id: str, *, new_default: str | None = None) -> Session:
    """Take a session out of its project; people keep the data they have in it.

    Removing the default names its successor; without one it is the oldest that
    remains (decision 2).

    Raises:
        NotFound, Forbidden.
        Invalid: at `new_default`, a session that is not in the project.
    """
    project = await parts.source.get(person, ref, Action.WRITE)
    return await write(parts, removing(parts, project, session_id, new_default))


def removing(parts: Parts, project: Project, session_id: str, new_default: str | None = None) -> Work:
    """What removes it in a transaction."""

    def work(tx: Transaction) -> Session:
        session = of(tx, project, session_id)
        present = tx.projects.get(project.id)
        tx.sessions.delete(session.id, parts.now())
        if present and present.default_session == session.id:
            tx.projects.set_default(project.id, _successor(tx, project, session, new_default))
        return session

    return work


def _successor(tx: Transaction, project: Project, session: Session, wanted: str | None) -> str | None:
    if wanted is None:
        oldest = tx.sessions.oldest(project.id, but=session.id)
        return oldest.id if oldest else None
    heir = tx.sessions.get(wanted)
    if heir is None or heir.project != project.id or heir.id == session.id:
        sentence = "There is no such session in this project."
        raise Invalid(sentence, fields={"new_default": sentence})
    return heir.id


async def make_default(parts: Parts, person: Person, ref: str, session_id: str) -> Session:
    """Let the project's one button start this session."""
    project = await parts.source.get(person, ref, Action.WRITE)
    return await write(parts, defaulting(project, session_id))


def defaulting(project: Project, session_id: str) -> Work:
    """What makes it the default in a transaction."""

    def work(tx: Transaction) -> Session:
        session = of(tx, project, session_id)
        tx.projects.set_default(project.id, session.id)
        return session

    return work
