"""Copying a session to a project where one may write: what is there is the new project's own (decision 6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ..domain import text, variables
from ..domain.access import Action, Person, Role
from ..domain.environment import Environment, Kind, NewEnvironment, NewRevision, Revision
from ..domain.errors import Forbidden, Invalid, NotFound
from ..domain.image import parse
from ..domain.policy import Policy
from ..domain.project import Project, ProjectEntry
from ..domain.reasons import sentence
from ..domain.session import Configuration, Session
from ..store.database import Transaction
from . import sessions
from .parts import Parts, read, write

BUILT_HERE = "Its image is built by this project's CI, so that it can only be copied inside this project."


@dataclass(frozen=True, kw_only=True)
class Target:
    """A project that a session may be copied to."""

    id: str
    path: str
    title: str


async def found(parts: Parts, person: Person, ref: str, session_id: str) -> tuple[Project, Session]:
    """What would be copied. Raises NotFound."""
    project = await parts.source.get(person, ref, Action.READ)
    return project, await read(parts, lambda tx: sessions.of(tx, project, session_id))


async def targets(
    parts: Parts, person: Person, here: Project, session: Session, *, search: str = "", after: str | None = None
) -> tuple[list[Target], str | None]:
    """Where *person* may copy it to: the project *here* first, then of one page of projects those that they may
    change, and where the next page begins."""
    own = [] if search or after or not await _writes(parts, person, here) else [_target(here)]
    if session.environment.kind is Kind.REPOSITORY:
        return own, None
    entries, following = await parts.source.listed(person, search=search, after=after)
    others = [e for e in entries if e.role >= Role.EDITOR and not e.archived and (e.id != here.id or not own)]
    return own + [_target(each) for each in others], following


async def _writes(parts: Parts, person: Person, project: Project) -> bool:
    try:
        await parts.source.get(person, project.id, Action.WRITE)
    except (Forbidden, NotFound):
        return False
    return True


def _target(project: Project | ProjectEntry) -> Target:
    return Target(id=project.id, path=project.path, title=project.title)


def left_out(session: Session) -> list[str]:
    """Names of variables that are not copied: what looks secret is for the people of its project."""
    return variables.look_secret(session.configuration.variables)


async def copy(
    parts: Parts,
    person: Person,
    ref: str,
    session_id: str,
    to: str,
    *,
    title: str | None = None,
    default: bool = False,
    version: int | None = None,
) -> Session:
    """Make a session in the project *to* that runs the same: the same revision of a ready-made environment, or a new
    environment, revision 1, without a link back. It gets all repositories and storages of that project.

    Without a *title* it has the same one, with a number if that is taken. *version* is that of the session which the
    person saw.

    Raises:
        NotFound: one of the two projects, or the session.
        Forbidden: *person* may not change the project *to*.
        Invalid: at `project`: an image that CI has built, or that *person* may not bring; an environment that is
            retired; or what no class is large enough for.
        Conflict: `changed`, `title_taken`, `limit_project`.
    """
    source, session = await found(parts, person, ref, session_id)
    sessions.require_version(session, version)
    target = await parts.source.get(person, to, Action.WRITE)
    inside = source.id == target.id
    _require_movable(parts.policy, person, session, inside=inside)
    configuration = sessions.checked(parts.policy, target, _configuration(session, inside=inside))
    environment_of = _environment(parts, person, session, target)

    def work(tx: Transaction) -> Session:
        sessions.check_count(tx, parts.policy, target)
        environment, revision = environment_of(tx)
        return sessions.placed(
            tx, target, default=default, environment=environment, revision=revision,
            title=text.title(title) if title else sessions.free_title(tx, target, session.title),
            description=session.description, configuration=configuration, by=person.name, now=parts.now(),
        )  # fmt: skip

    return await write(parts, work)


def _require_movable(policy: Policy, person: Person, session: Session, *, inside: bool) -> None:
    kind, image = session.environment.kind, session.revision.canonical
    if kind is Kind.REPOSITORY and not inside:
        raise Invalid(BUILT_HERE, fields={"project": BUILT_HERE}, code="copy_built")
    if kind is Kind.EXTERNAL and not policy.images.permits(parse(image), person):
        said = sentence("registry_not_allowed", image=image)
        raise Invalid(said, fields={"project": said}, code="registry_not_allowed")


def _configuration(session: Session, *, inside: bool) -> Configuration:
    """Directories are those of a project: in another one a session that has some gets all."""
    old, secret = session.configuration, set(left_out(session))
    kept = {name: value for name, value in old.variables.items() if name not in secret}
    if inside:
        return replace(old, variables=kept)
    return replace(
        old,
        variables=kept,
        repositories=None if old.repositories else old.repositories,
        storages=None if old.storages else old.storages,
    )


def _environment(
    parts: Parts, person: Person, session: Session, target: Project
) -> Callable[[Transaction], tuple[Environment, Revision]]:
    """What gives, in a transaction, the environment of the copy and the revision that it is pinned to."""
    old, pinned = session.environment, session.revision
    if old.kind is Kind.DEFAULT:
        return lambda tx: (sessions.ready_made(tx, old.id), pinned)
    new = NewEnvironment(
        name=old.name, kind=old.kind, project=target.id,
        description=old.description, keywords=old.keywords, icon=old.icon,
    )  # fmt: skip
    revision = NewRevision(
        image=pinned.image, repository=pinned.repository, tag=pinned.tag, digest=pinned.digest, facts=pinned.facts,
        run=pinned.run, commit=pinned.commit, built=pinned.built,
    )  # fmt: skip

    def made(tx: Transaction) -> tuple[Environment, Revision]:
        environment = tx.environments.add(new, revision, by=person.name, now=parts.now())
        return environment, environment.revision

    return made
