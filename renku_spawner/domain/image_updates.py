"""The cached status of image references, and the image updates that a session could accept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from .ci_images import BranchImageStatus
from .environments import Environment, EnvironmentKind, Revision, is_same_revision_content
from .image_checks import InspectionResult

IMAGE_STATUS_MAX_AGE = timedelta(minutes=15)  # a status is not queried again for so long
IMAGE_STATUS_RETRY_DELAY = timedelta(minutes=1)  # after a registry that did not respond


@dataclass(frozen=True, kw_only=True)
class ImageStatus:
    """The registry's last answer for *reference*, canonical with its tag or with its digest.

    `digest` is the last one that the reference resolved to, and `since` is when it was first seen;
    `verdict` is the last definitive result, `unverified` without one; `facts` is `ImageMetadata` in its JSON
    form. `looked_at` is the time of the last query, whether it was `answered` or not.
    """

    reference: str
    verdict: InspectionResult
    looked_at: datetime
    digest: str | None = None
    since: datetime | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    answered: bool = True

    def is_stale(self, now: datetime) -> bool:
        return now - self.looked_at >= (IMAGE_STATUS_MAX_AGE if self.answered else IMAGE_STATUS_RETRY_DELAY)


@dataclass(frozen=True, kw_only=True)
class ImageUpdate:
    """A newer image that a session does not run until an editor accepts it.

    `stored` is whether its revision exists; otherwise the revision is created on acceptance. `commits` is
    how many commits later it was built: None where that is unknown or meaningless, 0 for another build of
    the same commit. `commit` is its commit.
    """

    revision: int
    image: str
    digest: str | None
    since: datetime
    stored: bool
    facts: Mapping[str, Any] = field(default_factory=dict)
    commits: int | None = None
    commit: str | None = None


def resolve_image_update(
    pinned: Revision, environment: Environment, sighting: ImageStatus | None, built: BranchImageStatus | None = None
) -> ImageUpdate | None:
    """Return the update that an editor could accept, None if *pinned* is the newest.

    An external image is newer when its tag has moved, a repository's image when CI has built another one, and
    a managed environment's when its admins have added a revision.
    """
    newest = environment.revision
    if environment.kind is EnvironmentKind.REPOSITORY:
        later = _find_ci_image_update(newest, pinned, built)
        if later is not None:
            return later
    if environment.kind is EnvironmentKind.EXTERNAL:
        moved = _find_moved_tag_update(newest, sighting)
        if moved is not None and moved.digest != pinned.digest:
            return moved
    if newest.number <= pinned.number or is_same_revision_content(newest, pinned):
        return None
    return build_revision_update(newest)


def build_revision_update(revision: Revision) -> ImageUpdate:
    """Return an existing revision as an update."""
    return ImageUpdate(
        revision=revision.number,
        image=revision.canonical_reference,
        digest=revision.digest,
        since=revision.created_at,
        stored=True,
        facts=revision.facts,
    )


def _find_ci_image_update(newest: Revision, pinned: Revision, built: BranchImageStatus | None) -> ImageUpdate | None:
    """Return the image that CI has built since *newest* was accepted, if there is one."""
    if built is None or built.digest is None or built.digest in (newest.digest, pinned.digest):
        return None
    later = built.count_commits_since(newest.commit)
    if later is not None and later < 0:
        return None
    return ImageUpdate(
        revision=newest.number + 1,
        image=f"{built.image}:{built.tag}",
        digest=built.digest,
        since=built.since or built.looked_at,
        stored=False,
        facts=built.facts,
        commits=built.count_commits_since(pinned.commit),
        commit=built.commit,
    )


def _find_moved_tag_update(newest: Revision, sighting: ImageStatus | None) -> ImageUpdate | None:
    if sighting is None or sighting.digest is None or sighting.verdict is not InspectionResult.OK:
        return None
    if newest.tag is None or newest.digest is None or sighting.digest == newest.digest:
        return None
    return ImageUpdate(
        revision=newest.number + 1,
        image=newest.canonical_reference,
        digest=sighting.digest,
        since=sighting.since or sighting.looked_at,
        stored=False,
        facts=sighting.facts,
    )
