"""A session that a document describes and the project does not have."""

from __future__ import annotations

from dataclasses import replace

from ..domain.as_code import Described, Difference, FromRepository, OwnImage, ReadyMade, Source
from ..domain.environment import Environment, Revision
from ..domain.errors import Invalid
from ..domain.running import NewBuilt, NewImage
from ..domain.session import Configuration, NewSession
from . import code_means, sessions
from .code_step import Asked, Step, require_storages
from .parts import read
from .sessions import Work


async def added(asked: Asked, made: Step, wanted: Described) -> Step:
    configuration = wanted.over(Configuration())
    environment = _offered(asked, wanted.environment) if isinstance(wanted.environment, ReadyMade) else None
    older = await _older(asked, environment, wanted.environment.digest) if environment else None
    new = NewSession(
        environment=environment.id if environment else None,
        title=wanted.title,
        description=wanted.description or "",
        configuration=configuration,
        default=wanted.default,
    )
    new = _of_own(new, wanted.environment)
    require_storages(asked, configuration)
    sessions.checked(asked.parts.policy, asked.project, configuration)
    notes = tuple(sessions.warnings(asked.parts.policy, configuration))
    works: list[Work] = []
    if asked.may:
        if environment is None:
            asked.count()
        works.append(await sessions.adding(asked.parts, asked.person, asked.project, new))
    if works and older is not None:
        works = [_pinned_after(works[0], older)]
    return replace(made, notes=notes, works=tuple(works), differences=_all_of(environment, wanted, configuration))


def _offered(asked: Asked, source: ReadyMade) -> Environment:
    exactly = [each for each in asked.offered if source.name in (each.key, each.id)]
    found = exactly or [each for each in asked.offered if code_means.is_named(each, source.name)]
    if len(found) == 1:
        return found[0]
    said = (
        "Several environments have this name; please give the key." if found else "This hub offers no such environment."
    )
    raise Invalid(said, fields={"environment.ready_made": said})


async def _older(asked: Asked, environment: Environment, digest: str | None) -> Revision | None:
    """The revision with that content, where it is not the newest."""
    if digest in (None, environment.revision.digest):
        return None
    history = await read(asked.parts, lambda tx: tx.environments.revisions(environment.id))
    found = next((each for each in history if each.digest == digest), None)
    if found is None:
        said = "The environment has no revision with this content; leave the digest out to take the newest."
        raise Invalid(said, fields={"environment.digest": said})
    return found


def _pinned_after(add: Work, revision: Revision) -> Work:
    return lambda tx: tx.sessions.pin(add(tx), revision)


def _of_own(new: NewSession, source: Source) -> NewSession:
    if isinstance(source, OwnImage):
        return replace(new, image=NewImage(image=source.typed, name=source.name, run=source.run))
    if isinstance(source, FromRepository):
        built = NewBuilt(
            repository=source.directory, branch=source.branch, image=source.image, name=source.name, run=source.run
        )
        return replace(new, built=built)
    return new


def _all_of(environment: Environment | None, wanted: Described, configuration: Configuration) -> tuple[Difference, ...]:
    first = Difference(field="environment" if environment else "image", old="", new=_runs(environment, wanted))
    return first, Difference(field="needs", old="", new=configuration.needs.words)


def _runs(environment: Environment | None, wanted: Described) -> str:
    source = wanted.environment
    if isinstance(source, FromRepository):
        return source.image or f"the newest of {source.directory}"
    return source.typed if isinstance(source, OwnImage) else environment.name if environment else source.name
