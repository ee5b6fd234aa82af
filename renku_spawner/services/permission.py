"""Whether an image that was chosen some time ago may still be used: the policy may have changed since."""

from __future__ import annotations

from ..domain.access import Person
from ..domain.environment import Environment, Kind, Revision
from ..domain.image import Image
from .parts import Parts

HUB = "the hub"  # who pins what could not be checked when it was saved


def holds(parts: Parts, environment: Environment, revision: Revision, person: Person | None = None) -> bool:
    """Whether *person*, or else who chose it, may use the image.

    Ready-made ones are the admins' own. What somebody may use who is not bound to
    `allowed`, all of their project may.
    """
    if environment.ready_made:
        return True
    image = Image(repository=revision.repository, tag=revision.tag, digest=revision.digest)
    if environment.kind is Kind.REPOSITORY:
        return not parts.policy.images.denies(image)
    by = environment.created_by if revision.created_by == HUB else revision.created_by
    chose = Person(name=by, groups=frozenset(parts.groups_of(by)))
    return any(parts.policy.images.permits(image, each) for each in (chose, person) if each)
