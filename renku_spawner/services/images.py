"""Somebody's own image: asked about before it is saved, and pinned."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ..domain import facts, hints, image_user, likely, running, text
from ..domain.access import Person
from ..domain.environment import Kind, NewEnvironment, NewRevision, RunConfiguration
from ..domain.errors import Invalid
from ..domain.facts import ImageFacts
from ..domain.image import Image, parse
from ..domain.policy import Policy
from ..domain.reasons import sentence
from ..domain.running import NewImage, RunChoice
from ..domain.session import Session
from ..domain.verdict import Checked, Verdict
from ..registry import errors
from .parts import Parts

_VERDICTS: dict[type[errors.RegistryError], Verdict] = {
    errors.NotFound: Verdict.NOT_FOUND,
    errors.Denied: Verdict.DENIED,
    errors.NotAllowed: Verdict.NOT_ALLOWED,
    errors.NoPlatform: Verdict.PLATFORM_MISMATCH,
}
PATIENCE = 2.0  # seconds; a registry that is down keeps nobody from starting
CHECK_PATIENCE = 3.0  # seconds for somebody who reads about an image or saves it
NOT_ASKED = "This hub does not ask registries."
NOT_RUN = "This hub runs sessions as programs on its own machine, and no images."


async def check(
    parts: Parts,
    person: Person,
    said: str,
    run: RunChoice | None = None,
    *,
    gpu: int = 0,
    beside: Iterable[Session] = (),
    trusted: bool = False,
) -> Checked:
    """What a registry says of the image that somebody typed; nothing is stored.

    *gpu* is how many the session asks for, *beside* are the sessions that its project has. A *trusted* image
    is an admin's, for a ready-made environment: the policy does not bind it (decision 8).

    Raises:
        Invalid: at `image`, what is no name of an image, or a hub that runs none.
    """
    image, run = parse(said) if trusted else _named(parts.policy, said), run or RunChoice()
    if not (trusted or parts.policy.images.permits(image, person)):  # first: of what is forbidden nobody is asked
        return _checked(parts, image, Verdict.NOT_ALLOWED)
    if parts.policy.local:
        return _checked(parts, image, Verdict.UNVERIFIED, NOT_RUN)
    found = await ask(parts, image, trusted=trusted, patience=CHECK_PATIENCE)
    if found.refuses:
        return found
    as_run = run.over(suggested(found.facts, found.image))
    policy = parts.policy
    said_of_it = hints.hints(
        found.facts, found.image, run=as_run, platforms=policy.platforms, now=parts.now(), big=policy.image_big,
        gpu=gpu, used_by=[each.title for each in beside if each.revision.canonical == image.canonical],
    )  # fmt: skip
    return replace(found, hints=said_of_it)


async def tried(parts: Parts, person: Person, said: str, run: RunChoice, **more: Any) -> Checked | None:
    """The same for what is still being typed: None while it is no name of an image."""
    try:
        return await check(parts, person, said, run, **more)
    except Invalid:
        return None


def _named(policy: Policy, said: str) -> Image:
    if policy.local:
        raise Invalid(NOT_RUN, fields={"image": NOT_RUN})
    return parse(said)


async def ask(parts: Parts, image: Image, *, trusted: bool = False, patience: float | None = None) -> Checked:
    """What the registry says of *image*: an answer in any case, `unverified` if there is none.

    What is asked goes on when *patience* (s) is over, and is known when somebody asks again.
    A *trusted* image is an admin's, and may be asked for with the hub's own credentials (decision 8).
    """
    if parts.registry is None:
        return _checked(parts, image, Verdict.UNVERIFIED, NOT_ASKED)
    try:
        async with asyncio.timeout(patience):
            found = await parts.registry.inspect(image, trusted=trusted)
    except errors.RegistryError as problem:
        return _checked(parts, image, verdict_of(problem), str(problem))
    except TimeoutError:
        return _checked(parts, image, Verdict.UNVERIFIED, f"no answer within {patience:g} seconds")
    return Checked(image=replace(image, digest=found.digest), verdict=Verdict.OK, checked_at=parts.now(), facts=found)


async def there(parts: Parts, image: Image, *, trusted: bool) -> Verdict:
    """Whether it exists, in a few seconds: `unverified` if there is no answer, `ok` also if nobody is asked."""
    if parts.registry is None or parts.policy.local:
        return Verdict.OK
    try:
        async with asyncio.timeout(PATIENCE):
            await parts.registry.head(image, trusted=trusted)
    except errors.RegistryError as problem:
        return verdict_of(problem)
    except TimeoutError:
        return Verdict.UNVERIFIED
    return Verdict.OK


def verdict_of(problem: errors.RegistryError) -> Verdict:
    return next((v for kind, v in _VERDICTS.items() if isinstance(problem, kind)), Verdict.UNVERIFIED)


def _checked(parts: Parts, image: Image, verdict: Verdict, detail: str = "") -> Checked:
    return Checked(image=image, verdict=verdict, checked_at=parts.now(), detail=detail)


def refusal(checked: Checked) -> Invalid:
    """Why an image is not saved, at its field."""
    said = words(checked)
    return Invalid(said, fields={"image": said}, code=checked.reason)


def words(checked: Checked) -> str:
    """The verdict in one or two sentences; empty when all is well."""
    if checked.reason is None:
        return ""
    return sentence(checked.reason, image=checked.image.canonical, message=checked.detail)


async def environment(parts: Parts, person: Person, project: str, new: NewImage) -> tuple[NewEnvironment, NewRevision]:
    """The environment that a project gets from somebody's own image, checked now.

    A registry that does not answer keeps nobody from saving: the revision then has no
    digest, until a later look finds it (`pins`).

    Raises:
        Invalid: at `image`, what cannot be pulled, is not allowed or cannot run here; at
            the fields of the run configuration.
    """
    checked, made = await chosen(parts, person, new)
    said = NewEnvironment(
        name=text.title(new.name or usual_name(checked.image), field="name"),
        kind=Kind.EXTERNAL,
        project=project,
        description=usual_description(checked.facts),
    )
    return said, made


async def chosen(parts: Parts, person: Person, new: NewImage, *, trusted: bool = False) -> tuple[Checked, NewRevision]:
    """What was found of the image, and what would run. Raises Invalid, as `environment`."""
    choice = running.check(new.run)
    checked = await check(parts, person, new.image, choice, trusted=trusted)
    if checked.refuses:
        raise refusal(checked)
    image, found = checked.image, checked.facts
    made = revision(new.image, image, found, choice.over(suggested(found, image)))
    image_user.check(made.run, made.facts)
    return checked, made


def suggested(found: ImageFacts | None, image: Image) -> RunConfiguration:
    """How it is run where nobody says anything."""
    return likely.suggested(found, image) if found else RunConfiguration()


def revision(typed: str, image: Image, found: ImageFacts | None, run: RunConfiguration) -> NewRevision:
    return NewRevision(
        image=typed,
        repository=image.repository,
        tag=image.tag,
        digest=image.digest,
        facts=facts.as_json(found) if found else {},
        run=run,
    )


def usual_name(image: Image) -> str:
    return image.path.rpartition("/")[2][: text.TITLE_LIMIT]


def usual_description(found: ImageFacts | None) -> str:
    return found.label("description")[: text.DESCRIPTION_LIMIT] if found else ""
