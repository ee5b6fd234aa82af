"""Another image, or another way to run it, for a session of somebody's own image."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..domain import facts, image_user, running
from ..domain.access import Person
from ..domain.environment import Environment, Kind, NewRevision, Revision, RunConfiguration
from ..domain.errors import Invalid
from ..domain.reasons import sentence
from ..domain.running import NewImage, RunChoice
from ..domain.session import Session
from ..domain.verdict import Checked
from ..store.database import Transaction
from . import images, permission, pins
from .parts import Parts

_BUILT = "This session runs what CI has built; please accept a newer one, or add your own image as another session."
_READY_MADE = "This session runs a ready-made environment; please add your own image as another session."


@dataclass(frozen=True, kw_only=True)
class Replacement:
    """What an environment runs instead, and what it is called from then on."""

    revision: NewRevision
    environment: Environment


def run_of(revision: Revision) -> RunChoice:
    """What its editor has said of how it is run, without what the image says itself."""
    return RunChoice.of(revision.run, _suggested(revision))


def is_kept(revision: Revision, typed: str) -> bool:
    """Whether *typed* is the image that is there, whose content is known: that one stays pinned."""
    return revision.digest is not None and _is_same(revision, typed)


async def asked(parts: Parts, person: Person, session: Session, wanted: NewImage) -> Replacement | None:
    """What *session* would run instead; None if it runs just that.

    A newer content of the image that is there is accepted (decision 7), and does not come in by this.

    Raises:
        Invalid: at `image`, a session that runs a ready-made environment, and what cannot be
            pulled, is not allowed or cannot run here; at the fields of how it is run.
    """
    if session.environment.kind is not Kind.EXTERNAL:
        said = _BUILT if session.environment.kind is Kind.REPOSITORY else _READY_MADE
        raise Invalid(said, fields={"image": said})
    present = session.revision
    if runs_just_that(present, wanted.image, wanted.run):
        return None
    if not is_kept(present, wanted.image):
        checked, made = await images.chosen(parts, person, replace(wanted, image=wanted.image or present.image))
        return Replacement(revision=made, environment=_called(session.environment, present, checked))
    made = otherwise(present, wanted.run)
    if not permission.holds(parts, session.environment, present, person):
        said = sentence("registry_not_allowed", image=present.canonical)
        raise Invalid(said, fields={"image": said}, code="registry_not_allowed")
    return Replacement(revision=made, environment=session.environment)


def otherwise(present: Revision, run: RunChoice) -> NewRevision:
    """The same content, run in another way. Raises Invalid at the fields of how it is run."""
    wanted = running.check(run).over(_suggested(present))
    image_user.check(wanted, present.facts)
    return again(present, wanted)


def again(present: Revision, run: RunConfiguration | None = None) -> NewRevision:
    """What makes *present* once more, run as it was or as *run* says."""
    return NewRevision(
        image=present.image, repository=present.repository, tag=present.tag, digest=present.digest,
        facts=present.facts, run=run or present.run, commit=present.commit,
    )  # fmt: skip


def store(tx: Transaction, parts: Parts, person: Person, session: Session, wanted: Replacement) -> Revision:
    """The new revision. Raises Clash: `revision`, when two are made at once."""
    if wanted.environment != session.environment:
        tx.environments.describe(session.environment.id, wanted.environment)
    return tx.environments.revise(session.environment.id, wanted.revision, by=person.name, now=parts.now())


def runs_just_that(present: Revision, typed: str, run: RunChoice) -> bool:
    return _is_same(present, typed) and as_a_form_says(run) == as_a_form_says(run_of(present))


def _is_same(revision: Revision, typed: str) -> bool:
    return typed.strip() in ("", revision.image)


def _suggested(revision: Revision) -> RunConfiguration:
    return images.suggested(facts.from_json(revision.facts), pins.image_of(revision))


def as_a_form_says(choice: RunChoice) -> RunChoice:
    """A form cannot say that there shall be no command where the image would get one, nor say no."""
    return replace(choice, command=choice.command or None, image_user=choice.image_user or None)


def _called(environment: Environment, present: Revision, checked: Checked) -> Environment:
    """What was called and described like its image is called like the new one; other words stay."""
    if environment.name == images.usual_name(pins.image_of(present)):
        environment = replace(environment, name=images.usual_name(checked.image))
    if environment.description == images.usual_description(facts.from_json(present.facts)):
        environment = replace(environment, description=images.usual_description(checked.facts))
    return environment
