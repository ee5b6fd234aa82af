"""Looking again at images that sessions run: has a tag moved, is the pinned content still there.

A look never holds up a page or a start for long: it goes on behind, what is known is
used meanwhile, and all sessions that run an image share it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace

from ..domain import facts
from ..domain.environment import Environment, Kind, NewRevision, Revision
from ..domain.image import Image
from ..domain.session import Session
from ..domain.sighting import Sighting
from ..domain.verdict import Verdict
from ..registry import errors
from ..store.database import Clash, Transaction
from . import images, permission, software
from .parts import Parts, read, write
from .permission import HUB

log = logging.getLogger("renku_spawner")
PAGE_PATIENCE = 0.5  # seconds
_NO_LIST, _ANSWERED_BADLY = 86400.0, 3600.0  # seconds until a list of packages is fetched again, which may be megabytes


def image_of(revision: NewRevision | Revision) -> Image:
    return Image(repository=revision.repository, tag=revision.tag, digest=revision.digest)


def tag_of(revision: NewRevision | Revision) -> Image | None:
    """The tag alone: what it now is; None for an image that was named by its digest."""
    return Image(repository=revision.repository, tag=revision.tag) if revision.tag else None


def content_of(revision: NewRevision | Revision) -> Image | None:
    """The content alone: whether it is still there; None while it is not pinned."""
    return Image(repository=revision.repository, digest=revision.digest) if revision.digest else None


def reference(image: Image) -> str:
    return image.pinned or image.canonical


def key_of(image: Image, environment: Environment) -> str:
    """Under what is kept that was seen: what the hub's credentials open for a ready-made environment
    is nothing that somebody learns, or runs, who has pasted the same name (decision 8)."""
    return f"{reference(image)} ready-made" if environment.ready_made else reference(image)


async def seen(parts: Parts, image: Image, environment: Environment) -> Sighting | None:
    """What was last seen of it."""
    return await read(parts, lambda tx: tx.images.get(key_of(image, environment)))


async def look(parts: Parts, session: Session, *, patience: float = PAGE_PATIENCE, insist: bool = False) -> bool:
    """See what the registry says of a session's image, unless somebody has done so lately.

    Waits for at most *patience* seconds, and for a registry that was silent the last
    time only if one must *insist*; whether there is something new. Ready-made images
    are looked at only while nobody knows their content: newer ones are their admins' to offer.
    """
    wanted = _wanted(parts, session)
    if not wanted:
        return False
    known = await read(parts, lambda tx: tx.images.some(wanted))
    stale = {key: known.get(key) for key in wanted if _is_stale(parts, known.get(key))}
    tasks = {_begun(parts, wanted[key], session.environment): old for key, old in stale.items()}
    waited = {task for task, old in tasks.items() if insist or old is None or old.answered}
    heard = (await asyncio.wait(waited, timeout=patience))[0] if waited else set()
    return await _pin_from_known(parts, session) or bool(heard)


async def look_at_ready_made(parts: Parts) -> None:
    """Find out, behind, what the tags of ready-made environments are that nobody could ask for yet."""
    if parts.registry is None or parts.policy.local:
        return
    for environment in await read(parts, lambda tx: tx.environments.offered()):
        tag = tag_of(environment.revision)
        if tag is not None and environment.revision.digest is None:
            _begun(parts, tag, environment)


def _wanted(parts: Parts, session: Session) -> Mapping[str, Image]:
    """What to ask for, by where its answer is kept; of what is forbidden by now nobody is asked."""
    revision, environment = session.revision, session.environment
    if parts.registry is None or parts.policy.local or (environment.ready_made and revision.digest is not None):
        return {}
    if environment.kind is Kind.REPOSITORY or not permission.holds(parts, environment, revision):
        return {}  # of what CI has built GitLab says more, also where it is private (`build_news`)
    return {key_of(image, environment): image for image in (tag_of(revision), content_of(revision)) if image}


def _is_stale(parts: Parts, known: Sighting | None) -> bool:
    return known is None or known.stale(parts.now())


def _begun(parts: Parts, image: Image, environment: Environment) -> asyncio.Task[None]:
    """The one look at *image* that is under way, whoever asked for it."""
    key = key_of(image, environment)
    if key not in parts.looks:
        parts.looks[key] = task = asyncio.ensure_future(_look(parts, image, environment))
        task.add_done_callback(lambda _: parts.looks.pop(key, None))
    return parts.looks[key]


async def _look(parts: Parts, image: Image, environment: Environment) -> None:
    """Ask, and keep the answer; a look that fails is tried again at the next page."""
    try:
        before = await seen(parts, image, environment)
        after = await _sight(parts, image, environment, before)
        await write(parts, lambda tx: _note(tx, parts, image, environment, after))
        if environment.ready_made:
            parts.prepulling.changed()
        await read_what_is_installed(parts, image, after, trusted=environment.ready_made)
    except Clash:
        log.debug("Somebody else looked at %s at the same moment", reference(image))
    except Exception:
        log.exception("The look at the image %s failed", reference(image))


async def read_what_is_installed(parts: Parts, image: Image, seen: Sighting, *, trusted: bool) -> None:
    """An image that brings a list of it (SBOM) is read once, before anybody starts it."""
    known = facts.from_json(seen.facts)
    if parts.registry is None or known is None or not known.sbom or seen.digest is None:
        return
    if parts.unread.get((trusted, seen.digest)) or not await software.wanted(parts, seen.digest):
        return
    try:
        found = await software.attested(parts, parts.registry, image, seen.digest, trusted=trusted)
    except errors.RegistryError as problem:
        parts.unread.put((trusted, seen.digest), value=True, seconds=_ANSWERED_BADLY)
        log.info("No list of what is installed in %s: %s", reference(image), problem.detail)
    else:
        if found is None:
            parts.unread.put((trusted, seen.digest), value=True, seconds=_NO_LIST)


async def _sight(parts: Parts, image: Image, environment: Environment, before: Sighting | None) -> Sighting:
    """What the registry says now; what was known *before* stays where it gives no answer.

    Existence is asked for by HEAD; details of a content that is good only once (B10).
    """
    assert parts.registry is not None
    now, key, trusted = parts.now(), key_of(image, environment), environment.ready_made
    try:
        found = await parts.registry.head(image, trusted=trusted)
    except errors.RegistryError as problem:
        return _unanswered(before, key, images.verdict_of(problem), parts)
    if before is not None and before.digest == found.digest and before.facts:
        return replace(before, verdict=Verdict.OK, looked_at=now, answered=True)
    checked = await images.ask(parts, replace(image, digest=found.digest), trusted=trusted)
    if checked.verdict is Verdict.UNVERIFIED:
        return _unanswered(before, key, Verdict.UNVERIFIED, parts)
    stored = facts.as_json(checked.facts) if checked.facts else {}
    return Sighting(reference=key, verdict=checked.verdict, looked_at=now, digest=found.digest, since=now, facts=stored)


def _unanswered(before: Sighting | None, key: str, verdict: Verdict, parts: Parts) -> Sighting:
    """A registry that gives no answer changes nothing; “there is none” is an answer."""
    old = before or Sighting(reference=key, verdict=Verdict.UNVERIFIED, looked_at=parts.now())
    answered = verdict.definitive
    return replace(old, verdict=verdict if answered else old.verdict, looked_at=parts.now(), answered=answered)


async def _pin_from_known(parts: Parts, session: Session) -> bool:
    """The answer may have come for another environment with this image; whether the session is pinned by it."""
    tag = tag_of(session.revision)
    if tag is None or session.revision.digest is not None:
        return False
    known = await seen(parts, tag, session.environment)
    if known is None or not _pins(known) or known.stale(parts.now()):
        return False
    try:
        return await write(parts, lambda tx: _pin(tx, parts, tag, session.environment, known))
    except Clash:  # somebody else was faster
        return True


def _note(tx: Transaction, parts: Parts, image: Image, environment: Environment, sighting: Sighting) -> None:
    tx.images.note(sighting)
    if _pins(sighting):
        _pin(tx, parts, image, environment, sighting)


def _pins(sighting: Sighting) -> bool:
    """Whether the registry has just said that the image is good, and which content it is."""
    return sighting.answered and sighting.verdict is Verdict.OK and sighting.digest is not None


def _pin(tx: Transaction, parts: Parts, image: Image, environment: Environment, sighting: Sighting) -> bool:
    """The first definitive answer about an image that could not be checked when it was saved
    makes a pinned revision, and the sessions that ran its tag run that content from now on."""
    present = tx.environments.get(environment.id)
    if present is None or present.revision.digest is not None or present.revision.canonical != image.canonical:
        return False
    old = present.revision
    known = NewRevision(
        image=old.image, repository=old.repository, tag=old.tag, digest=sighting.digest, facts=sighting.facts,
        run=old.run, commit=old.commit,
    )  # fmt: skip
    new = tx.environments.revise(present.id, known, by=HUB, now=parts.now())
    tx.sessions.repin(old.id, new.id)
    return True


async def close(parts: Parts) -> None:
    """End what is asked of registries; nothing can be asked afterwards."""
    looks = list(parts.looks.values())
    for task in looks:
        task.cancel()
    await asyncio.gather(*looks, return_exceptions=True)
    if parts.registry is not None:
        await parts.registry.close()
