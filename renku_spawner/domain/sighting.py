"""What a registry last said of an image, shared by all sessions that run it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from .built import Newest
from .curation import is_the_same
from .environment import Environment, Kind, Revision
from .verdict import Verdict

FRESH = timedelta(minutes=15)  # for so long nobody asks again
RETRY = timedelta(minutes=1)  # after a registry that gave no answer


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """The answer for *reference*, canonical with its tag or with its digest.

    `digest` is what it resolved to when it last did, and `since` when that was first
    seen; `verdict` is the last definitive answer, `unverified` without one; `facts` are
    those of `ImageFacts`. `looked_at` is when somebody last asked, answered or not.
    """

    reference: str
    verdict: Verdict
    looked_at: datetime
    digest: str | None = None
    since: datetime | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    answered: bool = True

    def stale(self, now: datetime) -> bool:
        return now - self.looked_at >= (FRESH if self.answered else RETRY)


@dataclass(frozen=True, kw_only=True)
class Update:
    """A newer image that a session does not run, because nobody has accepted it (decision 7).

    `stored` says whether the revision exists; one that was only sighted is made when
    somebody accepts it. `commits` is how many commits later it was built, None where that
    is unknown or means nothing, 0 for another build of the same one; `commit` is its commit.
    """

    revision: int
    image: str
    digest: str | None
    since: datetime
    stored: bool
    facts: Mapping[str, Any] = field(default_factory=dict)
    commits: int | None = None
    commit: str | None = None


def update(
    pinned: Revision, environment: Environment, sighting: Sighting | None, built: Newest | None = None
) -> Update | None:
    """What an editor could accept, None if *pinned* is the newest.

    Somebody's own image is newer when its tag has moved, one of a repository when CI has
    built another one; a ready-made one when its admins say so.
    """
    newest = environment.revision
    if environment.kind is Kind.REPOSITORY:
        later = _built(newest, pinned, built)
        if later is not None:
            return later
    if environment.kind is Kind.EXTERNAL:
        moved = _moved(newest, sighting)
        if moved is not None and moved.digest != pinned.digest:
            return moved
    if newest.number <= pinned.number or is_the_same(newest, pinned):
        return None
    return stored(newest)


def stored(revision: Revision) -> Update:
    """A revision that is there, as something newer."""
    return Update(
        revision=revision.number,
        image=revision.canonical,
        digest=revision.digest,
        since=revision.created_at,
        stored=True,
        facts=revision.facts,
    )


def _built(newest: Revision, pinned: Revision, built: Newest | None) -> Update | None:
    """What CI has built since *newest* was accepted, and how much later than *pinned* that is."""
    if built is None or built.digest is None or built.digest in (newest.digest, pinned.digest):
        return None
    later = built.later_than(newest.commit)
    if later is not None and later < 0:
        return None
    return Update(
        revision=newest.number + 1,
        image=f"{built.image}:{built.tag}",
        digest=built.digest,
        since=built.since or built.looked_at,
        stored=False,
        facts=built.facts,
        commits=built.later_than(pinned.commit),
        commit=built.commit,
    )


def _moved(newest: Revision, sighting: Sighting | None) -> Update | None:
    if sighting is None or sighting.digest is None or sighting.verdict is not Verdict.OK:
        return None
    if newest.tag is None or newest.digest is None or sighting.digest == newest.digest:
        return None
    return Update(
        revision=newest.number + 1,
        image=newest.canonical,
        digest=sighting.digest,
        since=sighting.since or sighting.looked_at,
        stored=False,
        facts=sighting.facts,
    )
