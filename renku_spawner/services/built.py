"""A session's image that CI has built: chosen, pinned, and looked after with the rights of who does it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from ..domain import facts, image_user, running, text
from ..domain.access import Person
from ..domain.built import Built, BuiltImage
from ..domain.environment import Kind, NewEnvironment, NewRevision, Revision, RunConfiguration
from ..domain.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable
from ..domain.image import Image, parse
from ..domain.project import Project
from ..domain.reasons import sentence
from ..domain.running import NewBuilt, RunChoice
from ..domain.session import Session
from ..domain.verdict import Verdict
from ..gitlab.errors import Denied, Missing
from . import builds, images
from .builds import Builds
from .parts import Parts

_GONE = "GitLab no longer has this image; load the page again."


async def environment(
    parts: Parts, person: Person, project: Project, new: NewBuilt
) -> tuple[NewEnvironment, NewRevision]:
    """The environment that *project* gets from an image of its CI, pinned to what it is now.

    Raises:
        Invalid: at `repository`, `branch` or `image`, what is none of theirs; what cannot run here.
        Forbidden, NotFound, Unavailable: GitLab says so.
    """
    choice = running.check(new.run)
    repository = builds.require(parts, project, new.repository)
    found = await builds.look(parts, person, project, repository, new.branch or "")
    made = await _pinned(parts, person, found, _named(found, new.image), choice)
    image_user.check(made.run, made.facts)
    said = NewEnvironment(
        name=text.title(new.name or repository.directory, field="name"), kind=Kind.REPOSITORY, project=project.id
    )
    return said, made


def _named(found: Builds, wanted: str | None) -> BuiltImage:
    """The image that is meant: only those that count can be."""
    named = [each for each in found.images if wanted in (None, each.tag.reference)]
    if not named:
        said = "The project's CI has built no such image of a commit of this branch."
        raise Invalid(said, fields={"image": said}, code="image_not_found")
    return named[0]


async def _pinned(
    parts: Parts, person: Person, found: Builds, chosen: BuiltImage, run: RunChoice | RunConfiguration
) -> NewRevision:
    """The revision of *chosen*. Its digest comes from GitLab; what is in it says the registry, if it is public."""
    assert parts.ci is not None
    assert found.branch is not None
    image = _canonical(parts, chosen)
    try:
        digest = await parts.ci.digest(person.name, found.project.id, chosen.tag)
    except Missing:
        raise Invalid(_GONE, fields={"image": _GONE}, code="image_not_found") from None
    checked = await images.ask(parts, replace(image, digest=digest), patience=images.CHECK_PATIENCE)
    if checked.verdict is Verdict.PLATFORM_MISMATCH:
        raise images.refusal(checked)
    known = checked.facts if checked.verdict is Verdict.OK else None
    return NewRevision(
        image=chosen.tag.reference,
        repository=image.repository,
        tag=image.tag,
        digest=digest,
        facts=facts.as_json(known) if known else {},
        run=run.over(images.suggested(known, image)) if isinstance(run, RunChoice) else run,
        commit=chosen.commit.sha,
        built=Built(
            url=found.project.url,
            source=str(found.project.id),
            ref=found.branch.name,
            pipeline=chosen.pipeline.id,
        ),
    )


def _canonical(parts: Parts, chosen: BuiltImage) -> Image:
    """What pods would pull by that name: nothing but what GitLab means by it."""
    image = parse(chosen.tag.reference)
    if image.repository != chosen.tag.repository or parts.policy.images.denies(image):
        said = sentence("registry_not_allowed", image=image.canonical)
        raise Invalid(said, fields={"image": said}, code="registry_not_allowed")
    return image


async def newer(parts: Parts, person: Person, session: Session) -> NewRevision:
    """The newest image of the branch, for an editor who accepts it: whatever was told before, GitLab is asked.

    Raises:
        Conflict: `changed`, when there is none any more.
        Invalid, Forbidden, NotFound, Unavailable.
    """
    newest = session.environment.revision
    found = await at(parts, person, newest)
    mine = [each for each in found.images if each.tag.repository == newest.repository] if found else []
    if found is None or not mine:
        raise Conflict(_GONE, code="changed")
    return await _pinned(parts, person, found, mine[0], newest.run)


async def at(parts: Parts, person: Person, revision: Revision) -> Builds | None:
    """What CI has built of the branch that *revision* comes from, as *person* sees it."""
    if parts.ci is None or revision.built is None:
        return None
    return await builds.of(parts, person.name, int(revision.built.source), revision.built.ref, sure=True)


async def there(parts: Parts, person: Person, revision: Revision) -> Verdict:
    """Whether GitLab still has the image: `denied` if it does not let *person* see it, `unverified` without an answer.

    A tag that is something else by now says nothing of what it was before: the machine that runs it asks.
    """
    if parts.ci is None or revision.built is None:
        return Verdict.UNVERIFIED
    try:
        async with asyncio.timeout(images.PATIENCE):
            tags = await parts.ci.tags(person.name, int(revision.built.source))
    except Denied as refused:
        return Verdict.UNVERIFIED if refused.scope else Verdict.DENIED
    except (Forbidden, NotFound, Unavailable, TimeoutError):
        return Verdict.UNVERIFIED
    name = (revision.repository, revision.tag)
    return Verdict.OK if any((tag.repository, tag.name) == name for tag in tags) else Verdict.NOT_FOUND
