"""What a user can do with their own run of a session; the one gate before a start."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ..domain import names, text
from ..domain.access import Action, Person
from ..domain.environment import Kind
from ..domain.errors import Conflict, NotFound, RenkuError, Unavailable, not_found
from ..domain.instance import Instance
from ..domain.project import Project
from ..domain.reasons import sentence
from ..domain.resources import ResourceClass
from ..domain.session import Session, SessionSpec, changed_parts, launch_version
from ..domain.storage import Storage
from ..store.database import Transaction
from . import leaving, mounts, shares
from .parts import Parts, read
from .taking import class_of, require_offered, run_of


@dataclass(frozen=True, kw_only=True)
class MyInstance:
    """One's own instance; project and session are None where one may not see them (any
    more). Its title stays known: it is what has to be typed before the data are deleted.
    `launch_version` is what a start would run now, empty where one may not see it."""

    instance: Instance
    title: str
    session: Session | None
    project: Project | None
    launch_version: str = ""


async def prepare(
    parts: Parts,
    person: Person,
    session_id: str,
    resource_class: str | None = None,
    *,
    without: Collection[str] | None = None,
    seen: str = "",
    version: int | None = None,
) -> SessionSpec:
    """What a start of *session_id* by *person* would run, decided now; *without* are directories of storages that it
    leaves out, None for what is on record. *seen* is the launch version of what the person was shown, and *version*
    that of the session; a start that names neither takes what is there.

    Every entry comes through here: page, API, the hub's own API and links. All is
    computed from the database and the settings; nothing from the request but the
    name of a class.

    Raises:
        NotFound: no session of that id, or not for this person.
        Conflict: `changed`, with what changed and the newer versions in `details`.
        Refused: with a code of `reasons`.
    """
    session = await _session(parts, person, session_id)
    project = await _project(parts, person, session.project)
    there = await mounts.of_session(parts, session)
    _require_same(session, launch_version(session, project.repositories, there), seen, version)
    without = await leaving.recorded(parts, person, session_id) if without is None else without
    await require_offered(parts, person, session)
    chosen = class_of(parts.policy, person, session, resource_class)
    await shares.require(parts, person, session)
    return await _spec(parts, person, project, session, chosen, there, without)


def _require_same(session: Session, now: str, seen: str, version: int | None) -> None:
    """Raise Conflict unless what would start is what the person saw."""
    changed = changed_parts(seen, now) if seen else []
    if not changed and version in (None, session.version):
        return
    raise Conflict(
        sentence("changed", changed=", ".join(changed or ["its settings"])),
        code="changed",
        details={
            "session": session.id, "version": session.version, "launch_version": now, "changed": changed,
            "revision": session.revision.number, "image": session.revision.canonical,
        },
    )  # fmt: skip


async def launch_versions(parts: Parts, session_ids: Collection[str]) -> dict[str, str]:
    """What a start of each of those sessions would run now, by session."""

    def work(tx: Transaction) -> dict[str, str]:
        return _launch_versions(tx, tx.sessions.some(set(session_ids)).values())

    return await read(parts, work) if session_ids else {}


def _launch_versions(tx: Transaction, sessions: Collection[Session]) -> dict[str, str]:
    projects = {session.project for session in sessions}
    repositories, storages = tx.projects.repositories_of(projects), tx.storages.of_projects(projects)
    return {
        session.id: launch_version(
            session, repositories[session.project], [each for each in storages if each.project == session.project]
        )
        for session in sessions
    }


async def _spec(
    parts: Parts, person: Person, project: Project, session: Session, chosen: ResourceClass,
    there: Collection[Storage], without: Collection[str],
) -> SessionSpec:  # fmt: skip
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
        storages=await mounts.for_start(parts, person, session, there, without=without),
        without=tuple(storage.directory for storage in there if storage.directory in without),
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

    def work(tx: Transaction) -> tuple[dict[str, Session], dict[str, str]]:
        found = tx.sessions.some({instance.session for instance in instances})
        return found, _launch_versions(tx, found.values())

    sessions, versions = await read(parts, work)
    projects = await parts.source.heads(person, {instance.project for instance in instances})
    return [_mine(i, sessions.get(i.session), projects.get(i.project), versions.get(i.session, "")) for i in instances]


def _mine(instance: Instance, session: Session | None, visible: Project | None, version: str) -> MyInstance:
    living = visible is not None and session is not None and session.deleted_at is None
    return MyInstance(
        launch_version=version if living else "",
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
