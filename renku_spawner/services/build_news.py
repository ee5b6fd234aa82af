"""Looking again at what CI has built: is there a newer image than the one that a session runs.

At most one look in ten minutes at a branch, however many people see sessions of it; a
page waits for it no longer than for a registry.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from ..domain import facts
from ..domain.access import Person
from ..domain.built import Built, Newest
from ..domain.ci import Commit
from ..domain.environment import Revision
from ..domain.errors import RenkuError
from ..domain.session import Session
from ..domain.sighting import Sighting, Update
from ..domain.verdict import Verdict
from ..store.database import Clash
from . import built, images, permission, pins
from .builds import Builds
from .parts import Parts, read, write

FRESH = timedelta(minutes=10)
RETRY = timedelta(minutes=2)  # after a look that got no answer, or was not allowed
log = logging.getLogger("renku_spawner")


async def look(parts: Parts, person: Person, session: Session, *, patience: float = pins.PAGE_PATIENCE) -> bool:
    """See whether CI has built a newer image, as *person*, unless somebody has done so lately; whether one was heard.

    Waits for at most *patience* seconds; what is asked goes on behind.
    """
    revision = session.environment.revision
    if parts.ci is None or parts.policy.local or revision.built is None:
        return False
    if not permission.holds(parts, session.environment, revision):
        return False  # of what is forbidden nobody is asked
    source = revision.built
    known = await read(parts, lambda tx: tx.builds.get(key_of(revision)))
    if known is not None and not _stale(known, parts.now()):
        return False
    done, _ = await asyncio.wait({_begun(parts, person, revision, source, known)}, timeout=patience)
    return bool(done)


async def known(parts: Parts, session: Session) -> Newest | None:
    """What was last seen of the branch that the session's image comes from."""
    return await read(parts, lambda tx: tx.builds.get(key_of(session.revision))) if session.revision.built else None


def key_of(revision: Revision) -> tuple[str, str, str]:
    """Project, branch and image; of one that CI has not built, nothing is kept under that."""
    source = revision.built
    return (source.source, source.ref, revision.repository) if source else ("", "", "")


async def expire(parts: Parts, source: str) -> None:
    """GitLab tells that something has happened in its project number *source*: the next look asks at once."""
    if parts.ci is not None:
        parts.ci.forget()
    long_ago = parts.now() - FRESH
    await write(parts, lambda tx: tx.builds.expire(source, long_ago))


def _stale(known: Newest, now: datetime) -> bool:
    return now - known.looked_at >= (FRESH if known.answered else RETRY)


def _begun(parts: Parts, person: Person, revision: Revision, source: Built, known: Newest | None) -> asyncio.Task[None]:
    key = f"built {source.source} {source.ref} {revision.repository}"
    if key not in parts.looks:
        parts.looks[key] = task = asyncio.ensure_future(_look(parts, person, revision, source, known))
        task.add_done_callback(lambda _: parts.looks.pop(key, None))
    return parts.looks[key]


async def _look(parts: Parts, person: Person, revision: Revision, source: Built, known: Newest | None) -> None:
    """Ask, and keep the answer; what gives none changes nothing."""
    before = known or Newest(source=source.source, ref=source.ref, image=revision.repository, looked_at=parts.now())
    try:
        after = await _found(parts, person, revision, before)
        await write(parts, lambda tx: tx.builds.note(after))
    except Clash:
        log.debug("Somebody else looked at %s of project %s at the same moment", source.ref, source.source)
    except Exception:
        log.exception("The look at what CI has built of project %s failed", source.source)


async def _found(parts: Parts, person: Person, revision: Revision, before: Newest) -> Newest:
    try:
        found = await built.at(parts, person, revision)
        return await _newest(parts, person, before, found, revision) if found else before
    except RenkuError as problem:
        log.info("No news of project %s: %s", before.source, problem.code)
        return replace(before, looked_at=parts.now(), answered=False)


async def _newest(parts: Parts, person: Person, before: Newest, found: Builds, revision: Revision) -> Newest:
    """A push without an image, or one that went away again, changes nothing."""
    assert parts.ci is not None
    head = found.pipelines.get(found.commits[0].sha) if found.commits else None
    seen = replace(
        before, looked_at=parts.now(), answered=True, shas=tuple(each.sha for each in found.commits),
        statuses={sha: each.status for sha, each in found.pipelines.items()}, state=found.state,
        link=found.job or (head.url if head else ""),
    )  # fmt: skip
    chosen = next((each for each in found.images if each.tag.repository == revision.repository), None)
    if chosen is None:
        return seen
    digest = await parts.ci.digest(person.name, found.project.id, chosen.tag)
    same = before.digest == digest
    about = before.facts if same else await _facts(parts, replace(revision, tag=chosen.tag.name, digest=digest))
    since = before.since if same and before.since else parts.now()
    return replace(
        seen, since=since, commit=chosen.commit.sha, tag=chosen.tag.name, digest=digest,
        pipeline=chosen.pipeline.id, facts=about,
    )  # fmt: skip


async def _facts(parts: Parts, revision: Revision) -> Mapping[str, Any]:
    """What the registry says of a new image, and of what is installed in it, if it is public; asked once."""
    image = pins.image_of(revision)
    checked = await images.ask(parts, image, patience=images.CHECK_PATIENCE)
    if checked.facts is None or checked.verdict is not Verdict.OK:
        return {}
    known = facts.as_json(checked.facts)
    seen = Sighting(
        reference=pins.reference(image), verdict=Verdict.OK, looked_at=parts.now(), digest=revision.digest, facts=known
    )
    await pins.read_what_is_installed(parts, image, seen, trusted=False)
    return known


async def commits(parts: Parts, person: Person, session: Session, update: Update | None) -> list[Commit]:
    """What came between the image that is pinned and the newer one, the newest first; empty for those
    who may not read the code, and where it is not known."""
    if parts.ci is None or update is None or not update.commits or session.revision.built is None:
        return []
    source = session.revision.built
    try:
        async with asyncio.timeout(pins.PAGE_PATIENCE):
            found = await parts.ci.commits(person.name, int(source.source), source.ref)
    except (RenkuError, TimeoutError):
        return []
    shas = [commit.sha for commit in found]
    if update.commit not in shas or session.revision.commit not in shas:
        return []
    return found[shas.index(update.commit) : shas.index(session.revision.commit)]
