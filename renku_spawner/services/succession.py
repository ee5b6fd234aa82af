"""Moving a session from an environment on its way out to the one that its admins offer instead."""

from __future__ import annotations

from ..domain.access import Action, Person
from ..domain.curation import Seen
from ..domain.environment import Environment
from ..domain.errors import Conflict, Invalid
from ..domain.session import Session
from ..store.database import Lost, Transaction
from . import beside, sessions
from .parts import Parts, write


async def take(parts: Parts, person: Person, ref: str, session_id: str, seen: Seen) -> Session:
    """Let the session run the successor's newest revision from its next start on; files and settings stay.

    Raises:
        NotFound, Forbidden.
        Invalid: `no_successor`.
        Conflict: `changed`, also when another successor or revision is offered by now.
    """
    project = await parts.source.get(person, ref, Action.WRITE)

    def work(tx: Transaction) -> Session:
        session = sessions.of(tx, project, session_id)
        if session.version != seen.version:
            raise sessions.changed(session)
        heir = _heir(tx, session)
        if (heir.id, heir.revision.number) != (seen.environment, seen.revision):
            raise Conflict("Another successor is offered by now; look at it again.", code="changed")
        try:
            return tx.sessions.pin(session, heir.revision)
        except Lost:
            raise sessions.changed(session) from None

    return await write(parts, work)


def _heir(tx: Transaction, session: Session) -> Environment:
    found = beside.successors(tx, [session]).get(session.id)
    if found is None:
        sentence = "The admins offer nothing in place of this environment."
        raise Invalid(sentence, fields={"environment": sentence}, code="no_successor")
    return found
