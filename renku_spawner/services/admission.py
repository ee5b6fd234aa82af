"""The last look at an image before it starts: is it allowed, is it still there, does it run here."""

from __future__ import annotations

from dataclasses import replace

from ..domain.access import Person
from ..domain.environment import Environment, Kind, Revision
from ..domain.facts import from_json
from ..domain.image import Image
from ..domain.session import Session, SessionSpec
from ..domain.verdict import Verdict
from . import built, images, permission, pins
from .instances import no_session
from .parts import Parts, read
from .taking import refused


async def admit(parts: Parts, person: Person, spec: SessionSpec) -> SessionSpec:
    """The same start, pinned to what the image's tag is now if nobody could say that before.

    Raises:
        Refused: `registry_not_allowed`, `image_platform_mismatch`, `image_not_found`,
            `image_denied`, or `image_digest_gone` where the tag now is something else.
    """
    if parts.policy.local:
        return spec
    session = await read(parts, lambda tx: tx.sessions.get(spec.session))
    if session is None:
        raise no_session()
    _require_allowed(parts, person, session)
    _require_platform(parts, session.revision)
    never_seen = spec.own_image and not session.revision.facts  # also where somebody has typed a digest
    if parts.registry is None and session.environment.kind is not Kind.REPOSITORY:
        # As its admins want it: they know what their own images are.
        return replace(spec, unverified=never_seen)
    if session.revision.digest is None:
        return await _pinned(parts, session, spec)
    there = await _require_content(parts, person, session)
    return replace(spec, unverified=never_seen and not there)


def _require_allowed(parts: Parts, person: Person, session: Session) -> None:
    if not permission.holds(parts, session.environment, session.revision, person):
        raise refused("registry_not_allowed", image=session.revision.canonical)


def _require_platform(parts: Parts, revision: Revision) -> None:
    facts = from_json(revision.facts)
    if facts is not None and facts.platforms and not set(facts.platforms) & set(parts.policy.platforms):
        raise refused("image_platform_mismatch", image=revision.canonical)


async def _pinned(parts: Parts, session: Session, spec: SessionSpec) -> SessionSpec:
    """What could not be checked when it was saved is looked at now, and pinned for everybody if that succeeds."""
    await pins.look(parts, session, patience=images.PATIENCE, insist=True)
    current = await read(parts, lambda tx: tx.sessions.get(session.id))
    if current is None:
        raise no_session()
    tag = pins.tag_of(session.revision)
    sighting = await pins.seen(parts, tag, session.environment) if tag else None
    if sighting is not None and sighting.verdict.refuses:
        raise refused(sighting.verdict.reason or "image_not_found", image=session.revision.canonical)
    return replace(
        spec, digest=current.revision.digest, revision=current.revision.id, fingerprint=current.fingerprint,
        unverified=current.revision.digest is None,
    )  # fmt: skip


async def _require_content(parts: Parts, person: Person, session: Session) -> bool:
    """Whether its registry has just said that it is there; one that gives no answer stops nobody."""
    if session.environment.kind is Kind.REPOSITORY:
        return await _require_built(parts, person, session.revision)
    content, canonical = pins.content_of(session.revision), session.revision.canonical
    if content is None or await _is_silent(parts, content, session.environment):
        return False
    trusted = session.environment.ready_made
    verdict = await images.there(parts, content, trusted=trusted)
    if verdict is Verdict.NOT_FOUND and (tag := pins.tag_of(session.revision)):
        moved = await images.there(parts, tag, trusted=trusted) is Verdict.OK
        verdict = Verdict.DIGEST_GONE if moved else verdict
    if verdict.refuses:
        await pins.look(parts, session, patience=images.PATIENCE)
        raise refused(verdict.reason or "image_not_found", image=canonical)
    return verdict is Verdict.OK


# What GitLab says, in the words of the table of reasons.
_BUILT = {Verdict.NOT_FOUND: "image_digest_gone", Verdict.DENIED: "image_denied"}


async def _require_built(parts: Parts, person: Person, revision: Revision) -> bool:
    """The same for what CI has built: GitLab says it to those who may see the project's images."""
    verdict = await built.there(parts, person, revision)
    if verdict.refuses:
        raise refused(_BUILT[verdict], image=revision.canonical)
    return bool(revision.facts)  # somebody has seen that it is public


async def _is_silent(parts: Parts, content: Image, environment: Environment) -> bool:
    """Whether the registry gave no answer a moment ago: nobody waits for it again so soon."""
    known = await pins.seen(parts, content, environment)
    return known is not None and not known.answered and not known.stale(parts.now())
