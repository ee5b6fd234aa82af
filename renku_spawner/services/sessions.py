"""What an editor can do with the sessions of a project."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..domain import names, text, variables
from ..domain.access import Action, Person
from ..domain.environment import Environment, NewEnvironment, NewRevision, State
from ..domain.errors import Conflict, Invalid, not_found
from ..domain.policy import Policy
from ..domain.project import Project
from ..domain.resources import check, fitting, unmet
from ..domain.session import Configuration, NewSession, Session, SessionChange
from ..store.database import Clash, Lost, Transaction
from . import built, images, replacement
from .parts import Parts, read, write
from .replacement import Replacement

Work = Callable[[Transaction], Session]


async def add(parts: Parts, person: Person, ref: str, new: NewSession) -> Session:
    """Add a ready-made environment or an image (also one that CI has built) to a project; the first
    session becomes its default.

    Raises:
        NotFound: the project, or an environment that is not ready-made (decision 6).
        Forbidden, Invalid.
        Conflict: `title_taken`.
    """
    project = await parts.source.get(person, ref, Action.WRITE)
    return await write(parts, await adding(parts, person, project, new))


async def adding(parts: Parts, person: Person, project: Project, new: NewSession) -> Work:
    """What adds it in a transaction, when everybody who knows something of it has been asked. Raises as `add`."""
    configuration = checked(parts.policy, project, new.configuration)
    description = text.description(new.description)
    own = await _own(parts, person, project, new)

    def work(tx: Transaction) -> Session:
        check_count(tx, parts.policy, project)
        require_storages(tx, project.id, configuration)
        environment = (
            tx.environments.add(*own, by=person.name, now=parts.now()) if own else ready_made(tx, new.environment)
        )
        title = text.title(new.title) if new.title else free_title(tx, project, environment.name)
        return placed(
            tx, project, default=new.default, environment=environment, revision=environment.revision, title=title,
            description=description, configuration=configuration, by=person.name, now=parts.now(),
        )  # fmt: skip

    return work


async def _own(
    parts: Parts, person: Person, project: Project, new: NewSession
) -> tuple[NewEnvironment, NewRevision] | None:
    """The environment that the project gets for this session alone; None for a ready-made one."""
    if new.built is not None:
        return await built.environment(parts, person, project, new.built)
    return await images.environment(parts, person, project.id, new.image) if new.image else None


def placed(tx: Transaction, project: Project, *, default: bool, **fields: Any) -> Session:
    """Store it; the first one of a project becomes its default. Raises Conflict, `title_taken`."""
    try:
        session = tx.sessions.add(id=names.new_id(), project=project.id, **fields)
    except Clash:
        raise _title_taken() from None
    present = tx.projects.get(project.id)  # another one may have become the default in this very transaction
    if default or present is None or present.default_session is None:
        tx.projects.set_default(project.id, session.id)
    return session


def ready_made(tx: Transaction, environment_id: str | None) -> Environment:
    """One that is offered. Raises NotFound, or Invalid: `env_archived`."""
    environment = tx.environments.get(environment_id) if environment_id else None
    if environment is None or not environment.ready_made or environment.state is State.DRAFT:
        raise not_found()  # drafts are their admins'
    if not environment.offered:
        sentence = f"The environment {environment.name} has been retired; choose another one."
        raise Invalid(sentence, fields={"environment": sentence}, code="env_archived")
    return environment


def check_count(tx: Transaction, policy: Policy, project: Project) -> None:
    """Raises Conflict: `limit_project`."""
    limit = policy.sessions_per_project
    if limit is not None and tx.sessions.count(project.id) >= limit:
        raise Conflict(f"An admin allows {limit} sessions in a project; remove one first.", code="limit_project")


def free_title(tx: Transaction, project: Project, name: str) -> str:
    """The environment's name, with a number when the project has a session of that title."""
    taken, number, title = tx.sessions.titles(project.id), 1, name
    while text.folded(title) in taken:
        number += 1
        suffix = f" ({number})"
        title = name[: text.TITLE_LIMIT - len(suffix)] + suffix
    return title


def checked(policy: Policy, project: Project, configuration: Configuration) -> Configuration:
    """The same configuration, if somebody can start it.

    Raises:
        Invalid: with what is wrong at which field, and what the largest class has.
    """
    needs = check(configuration.needs)
    lacking = unmet(policy.classes, needs)
    if lacking:
        raise Invalid("No class is large enough for this.", fields=lacking)
    chosen = configuration.repositories
    known = {repository.directory for repository in project.repositories}
    if chosen is not None and not set(chosen) <= known:
        sentence = "The project has no repository in one of these directories."
        raise Invalid(sentence, fields={"repositories": sentence})
    return Configuration(
        needs=needs,
        repositories=None if chosen is None else tuple(dict.fromkeys(chosen)),
        storages=None if configuration.storages is None else tuple(dict.fromkeys(configuration.storages)),
        variables=variables.check(configuration.variables),
    )


def require_storages(tx: Transaction, project: str, configuration: Configuration | None) -> None:
    """Raises Invalid: at `storages`, unless the project has what a session is to get."""
    chosen = configuration.storages if configuration else None
    if chosen and not set(chosen) <= {storage.directory for storage in tx.storages.of_project(project)}:
        sentence = "The project has no storage in one of these directories."
        raise Invalid(sentence, fields={"storages": sentence})


def warnings(policy: Policy, configuration: Configuration) -> list[str]:
    """What an editor should know before saving: whom the minimum shuts out (decision 4),
    and variables that look secret, which everybody in the project reads."""
    said = []
    fitting_classes = [c for c in policy.classes if c.meets(configuration.needs)]
    everybody = Person(name="")
    if fitting_classes and not fitting(policy.classes, everybody, configuration.needs):
        said.append(
            f"Only people who may use {' or '.join(c.name for c in fitting_classes)} can start this session: "
            "no class that is open to everybody is large enough."
        )
    secret = variables.look_secret(configuration.variables)
    if secret:
        said.append(f"{', '.join(secret)}: everybody in the project can read the values of variables.")
    return said


async def change(parts: Parts, person: Person, ref: str, session_id: str, change: SessionChange) -> Session:
    """Edit a session; what changes takes effect at the next start.

    Raises:
        NotFound, Forbidden, Invalid.
        Conflict: `title_taken`, or `changed` with the newer version in `details`.
    """
    project = await parts.source.get(person, ref, Action.WRITE)
    return await write(parts, await changing(parts, person, project, session_id, change))


async def changing(parts: Parts, person: Person, project: Project, session_id: str, change: SessionChange) -> Work:
    """What edits it in a transaction, likewise. Raises as `change`."""
    cleaned = SessionChange(
        version=change.version,
        title=None if change.title is None else text.title(change.title),
        description=None if change.description is None else text.description(change.description),
        configuration=None if change.configuration is None else checked(parts.policy, project, change.configuration),
    )
    instead = await _instead(parts, person, project, session_id, change)

    def work(tx: Transaction) -> Session:
        session = of(tx, project, session_id)
        require_storages(tx, project.id, cleaned.configuration)
        try:
            revision = replacement.store(tx, parts, person, session, instead) if instead else None
            return tx.sessions.change(session, cleaned, parts.now(), revision)
        except Clash as clash:
            raise (_title_taken() if clash.what == "title" else changed(session)) from None
        except Lost:
            raise changed(session) from None

    return work


async def _instead(
    parts: Parts, person: Person, project: Project, session_id: str, change: SessionChange
) -> Replacement | None:
    """Another image, or way to run it; nobody is asked about one whose editor must look again anyway."""
    if change.image is None:
        return None
    session = await read(parts, lambda tx: of(tx, project, session_id))
    if session.version != change.version:
        raise changed(session)
    return await replacement.asked(parts, person, session, change.image)


async def project_of(parts: Parts, session_id: str) -> str:
    """The id of the project that has the session; of one that there is not an id that nothing has, so that looking for
    that project ends as for one that is hidden."""
    found = await read(parts, lambda tx: tx.sessions.get(session_id))
    return found.project if found else names.new_id()


def of(tx: Transaction, project: Project, session_id: str) -> Session:
    """The living session of this very project. Raises NotFound (H71)."""
    session = tx.sessions.get(session_id) if names.is_id(session_id) else None
    if session is None or session.project != project.id:
        raise not_found()
    return session


def _title_taken() -> Conflict:
    sentence = "Another session of this project has this title; choose another one."
    return Conflict(sentence, code="title_taken", fields={"title": sentence})


def require_version(session: Session, version: int | None) -> None:
    """Raise Conflict if *version*, which a person saw, is not that of *session* any more; None saw none."""
    if version not in (None, session.version):
        raise changed(session)


def changed(session: Session) -> Conflict:
    return Conflict(
        "This session was changed since you opened the page. Check it as it is now, then try again.",
        code="changed",
        details={"version": session.version, "session": session.id},
    )
