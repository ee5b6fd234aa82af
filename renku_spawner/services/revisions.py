"""Which revision of its environment a session runs: accept a newer one, or go back (decision 7)."""

from __future__ import annotations

from ..domain import image_user
from ..domain.access import Action, Person
from ..domain.environment import Environment, Kind, NewRevision, Revision, RunConfiguration
from ..domain.errors import Conflict, Invalid
from ..domain.instance import Instance
from ..domain.project import Project
from ..domain.reasons import sentence
from ..domain.running import NewImage
from ..domain.session import Session, SessionChange
from ..domain.sighting import Update, update
from ..domain.verdict import Verdict
from ..store.database import Clash, Lost, Transaction
from . import built, images, permission, pins, sessions
from .parts import Parts, read, write
from .sessions import Work, changed, of, require_version


async def history(parts: Parts, person: Person, ref: str, session_id: str) -> list[Revision]:
    """The revisions of the session's environment, newest first."""
    project = await parts.source.get(person, ref, Action.READ)
    return await read(parts, lambda tx: tx.environments.revisions(of(tx, project, session_id).environment.id))


async def run_of(parts: Parts, instance: Instance) -> RunConfiguration:
    """How the image of its last start runs."""
    revision = await read(parts, lambda tx: tx.environments.revision(instance.revision or ""))
    return image_user.applied(revision) if revision else RunConfiguration()


async def choose(
    parts: Parts,
    person: Person,
    ref: str,
    session_id: str,
    revision: int | str,
    digest: str | None = None,
    version: int | None = None,
) -> Session:
    """Let a session run another revision from its next start on.

    *revision* is a number or an id. One that was only sighted, since a tag has moved,
    is made now, unless somebody else has just done so; *digest* says which content the
    person has looked at, and *version* which version of the session.

    Raises:
        NotFound, Forbidden.
        Invalid: at `revision`, a revision of another environment, or the present image from
            before its content was known; `registry_not_allowed`; `image_root`.
        Conflict: `changed`, also when the tag has moved once more; `image_digest_gone`.
    """
    project = await parts.source.get(person, ref, Action.WRITE)
    session = await read(parts, lambda tx: of(tx, project, session_id))
    try:
        require_version(session, version)
        return await write(parts, await choosing(parts, person, project, session, revision, digest, version))
    except Clash:
        raise changed(session) from None


async def choosing(
    parts: Parts,
    person: Person,
    project: Project,
    session: Session,
    revision: int | str,
    digest: str | None = None,
    version: int | None = None,
) -> Work:
    """What does it in a transaction, when everybody who knows something of it has been asked. Raises as `choose`."""
    chosen = await read(parts, lambda tx: _named(tx, session, revision))
    if chosen is not None:
        await _require_content(parts, person, session.environment, chosen)
    new = await _newer(parts, person, session, revision) if chosen is None else None

    def work(tx: Transaction) -> Session:
        present = of(tx, project, session.id)
        require_version(present, version)
        wanted = _named(tx, present, revision) or _made(tx, parts, person, present, revision, new)
        _require_known_content(wanted, present.revision)
        _require_looked_at(wanted, digest)
        image_user.check(wanted.run, wanted.facts, field="revision")
        _require_allowed(parts, present.environment, wanted, person)
        try:
            return tx.sessions.pin(present, wanted)
        except Lost:
            raise changed(present) from None

    return work


async def dismiss(parts: Parts, person: Person, ref: str, session_id: str, digest: str) -> Session:
    """Say no more of the newer image with that *digest*, until there is another one.

    Raises:
        NotFound, Forbidden.
    """
    project = await parts.source.get(person, ref, Action.WRITE)

    def work(tx: Transaction) -> Session:
        session = of(tx, project, session_id)
        tx.sessions.dismiss(session, digest)
        return of(tx, project, session_id)

    return await write(parts, work)


async def replace(
    parts: Parts, person: Person, ref: str, session_id: str, image: NewImage, version: int | None = None
) -> Session:
    """Let a session of somebody's own image run another one, or in another way, as a new revision.

    *version* is that of the session which the person has seen.

    Raises:
        NotFound, Forbidden.
        Invalid: as `replacement.asked`.
        Conflict: `changed`.
    """
    if version is None:
        project = await parts.source.get(person, ref, Action.WRITE)
        version = (await read(parts, lambda tx: of(tx, project, session_id))).version
    return await sessions.change(parts, person, ref, session_id, SessionChange(version=version, image=image))


def _named(tx: Transaction, session: Session, said: int | str) -> Revision | None:
    known = tx.environments.revisions(session.environment.id)
    return next((each for each in known if str(said) in (str(each.number), each.id)), None)


def _require_known_content(wanted: Revision, pinned: Revision) -> None:
    """Going back to a tag alone would be running whatever it names by then."""
    if wanted.superseded_by(pinned):
        said = (
            f"Revision {wanted.number} is the same image from before its content was known; "
            f"revision {pinned.number} pins it."
        )
        raise Invalid(said, fields={"revision": said}, code="revision_superseded")


def _require_looked_at(revision: Revision, digest: str | None) -> None:
    if digest is not None and digest != revision.digest:
        raise Conflict("The image has changed once more in the meantime; look at it again.", code="changed")


def _require_allowed(parts: Parts, environment: Environment, revision: Revision, person: Person) -> None:
    if not permission.holds(parts, environment, revision, person):
        said = sentence("registry_not_allowed", image=revision.canonical)
        raise Invalid(said, fields={"revision": said}, code="registry_not_allowed")


async def _newer(parts: Parts, person: Person, session: Session, revision: int | str) -> NewRevision | None:
    """What CI has built since, where that can be meant by *revision*."""
    newest = session.environment.revision
    if session.environment.kind is not Kind.REPOSITORY or str(revision) != str(newest.number + 1):
        return None
    found = await built.newer(parts, person, session)
    return None if found.digest == newest.digest else found


def _made(
    tx: Transaction,
    parts: Parts,
    person: Person,
    session: Session,
    revision: int | str,
    new: NewRevision | None,
) -> Revision:
    """The revision of a newer image that a registry has, now that somebody accepts it."""
    if new is not None and str(revision) == str(session.environment.revision.number + 1):
        return tx.environments.revise(session.environment.id, new, by=person.name, now=parts.now())
    found = waiting(tx, session)
    if found is None or found.stored or str(revision) != str(found.revision):
        said = "This environment has no such revision."
        raise Invalid(said, fields={"revision": said})
    newest = session.environment.revision
    accepted = NewRevision(
        image=newest.image, repository=newest.repository, tag=newest.tag, digest=found.digest, facts=found.facts,
        run=newest.run, commit=newest.commit,
    )  # fmt: skip
    return tx.environments.revise(session.environment.id, accepted, by=person.name, now=parts.now())


def waiting(tx: Transaction, session: Session) -> Update | None:
    """What an editor could accept for *session*."""
    tag = pins.tag_of(session.environment.revision)
    sighting = tx.images.get(pins.reference(tag)) if tag else None
    return update(session.revision, session.environment, sighting)


async def _require_content(parts: Parts, person: Person, environment: Environment, revision: Revision) -> None:
    """Raise Conflict if the registry says that the content is gone; one that gives no answer stops nobody."""
    content = pins.content_of(revision)
    if content is None or not permission.holds(parts, environment, revision):
        return
    if environment.kind is Kind.REPOSITORY:
        verdict = await built.there(parts, person, revision)
    else:
        verdict = await images.there(parts, content, trusted=environment.ready_made)
    if verdict is Verdict.NOT_FOUND:
        said = sentence("image_digest_gone", image=revision.canonical)
        raise Conflict(said, code="image_digest_gone", fields={"revision": said})
