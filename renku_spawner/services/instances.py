"""What a user can do with their own run of a session; the one gate before a start."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ..domain import names, text
from ..domain.access import Action, Person
from ..domain.environment import Kind
from ..domain.errors import NotFound, RenkuError, Unavailable, not_found
from ..domain.instance import Instance
from ..domain.project import Project
from ..domain.reasons import sentence
from ..domain.resources import ResourceClass
from ..domain.session import Session, SessionSpec
from . import leaving, mounts, shares
from .parts import Parts, read
from .taking import class_of, require_offered, run_of


@dataclass(frozen=True, kw_only=True)
class MyInstance:
    """One's own instance; project and session are None where one may not see them (any
    more). Its title stays known: it is what has to be typed before the data are deleted."""

    instance: Instance
    title: str
    session: Session | None
    project: Project | None


async def prepare(
    parts: Parts,
    person: Person,
    session_id: str,
    resource_class: str | None = None,
    *,
    without: Collection[str] | None = None,
) -> SessionSpec:
    """What a start of *session_id* by *person* would run, decided now; *without* are directories of storages that it
    leaves out, None for what is on record.

    Every entry comes through here: page, API, the hub's own API and links. All is
    computed from the database and the settings; nothing from the request but the
    name of a class.

    Raises:
        NotFound: no session of that id, or not for this person.
        Refused: with a code of `reasons`.
    """
    session = await _session(parts, person, session_id)
    project = await _project(parts, person, session.project)
    without = await leaving.recorded(parts, person, session_id) if without is None else without
    await require_offered(parts, person, session)
    chosen = class_of(parts.policy, person, session, resource_class)
    await shares.require(parts, person, session)
    return await _spec(parts, person, project, session, chosen, without)


async def _spec(
    parts: Parts, person: Person, project: Project, session: Session, chosen: ResourceClass, without: Collection[str]
) -> SessionSpec:
    return SessionSpec(
        session=session.id,
        project=project.id,
        project_path=project.path,
        environment=session.environment.id,
        title=session.title,
        display_name=text.display_name(project.title, session.title),
        username=person.name,
        image=session.revision.canonical,
        digest=session.revision.digest,
        revision=session.revision.id,
        fingerprint=session.fingerprint,
        resource_class=chosen,
        needs=session.configuration.needs,
        repositories=session.configuration.chosen(project.repositories),
        storages=await mounts.for_start(parts, person, session, without=without),
        without=await mounts.left_out(parts, session, without),
        variables=session.configuration.variables,
        run=run_of(session.revision),
        own_image=session.environment.kind is not Kind.DEFAULT,
    )


async def _session(parts: Parts, person: Person, session_id: str) -> Session:
    session = None
    if names.is_id(session_id):
        session = await read(parts, lambda tx: tx.sessions.get(session_id))
    if session is None:  # as long, and as uncertain while GitLab is away, as for one that is hidden
        await _project(parts, person, names.new_id())
        raise no_session()
    return session


async def _project(parts: Parts, person: Person, project_id: str) -> Project:
    try:
        return await parts.source.get(person, project_id, Action.LAUNCH)
    except NotFound:
        raise no_session() from None


def no_session() -> NotFound:
    """Absent and hidden are told in the same words."""
    return NotFound(sentence("not_found"))


async def seen(parts: Parts, person: Person, instances: Sequence[Instance]) -> list[MyInstance]:
    """Those instances of one's own, with as much of their sessions and projects as one may see."""
    sessions = await read(parts, lambda tx: tx.sessions.some({instance.session for instance in instances}))
    projects = await parts.source.heads(person, {instance.project for instance in instances})
    return [_mine(i, sessions.get(i.session), projects.get(i.project)) for i in instances]


def _mine(instance: Instance, session: Session | None, visible: Project | None) -> MyInstance:
    living = visible is not None and session is not None and session.deleted_at is None
    return MyInstance(
        instance=instance,
        title=session.title if session else instance.session,
        session=session if living else None,
        project=visible,
    )


async def one(parts: Parts, person: Person, session_id: str) -> Instance:
    """One's own instance; needs no right in the project. Raises NotFound if there is none."""
    found = None
    if names.is_id(session_id):
        found = await read(parts, lambda tx: tx.instances.get(session_id, person.name))
    if found is None:
        raise not_found()
    return found


async def whole(parts: Parts, person: Person, session_id: str) -> MyInstance:
    """One's own instance with its session and project, as far as one may see them."""
    instance = await one(parts, person, session_id)
    return (await seen(parts, person, [instance]))[0]


async def log(parts: Parts, person: Person, session_id: str) -> str:
    """The end of the log of one's last start that has ended; empty if there is none."""
    await one(parts, person, session_id)
    launches = await read(parts, lambda tx: tx.launches.of(session_id, person.name))
    return next((launch.log for launch in launches if launch.log), "")


async def may_exist(parts: Parts, person: Person, name: str) -> Project | None:
    """The project of the session *name*, None if *person* only has data in it any more.

    Raises:
        NotFound: a server of that name may have no row in the hub.
        Unavailable: nobody can tell now.
    """
    try:
        return await _project(parts, person, (await _session(parts, person, name)).project)
    except RenkuError as refusal:
        await _own_or(refusal, parts, person, name)
        return None


async def _own_or(refusal: RenkuError, parts: Parts, person: Person, name: str) -> None:
    """Raise unless *person* has data in it; what nobody can tell now is no 404."""
    try:
        await one(parts, person, name)
    except NotFound:
        raise (refusal if isinstance(refusal, Unavailable) else not_found()) from None


async def doomed(parts: Parts) -> list[Instance]:
    """Everybody's whose data shall go and are not known to have gone."""
    return await read(parts, lambda tx: tx.instances.doomed())
