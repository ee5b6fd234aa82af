"""What somebody sees of a project's sessions, with their own instance of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ..domain import retirement
from ..domain.access import Action, Person, Role
from ..domain.environment import Environment, Revision
from ..domain.instance import Instance, Status
from ..domain.launch import Launch
from ..domain.project import Project
from ..domain.reasons import sentence
from ..domain.resources import ResourceClass, fitting, lacking
from ..domain.session import Session, launch_version
from ..domain.sighting import Sighting, Update
from ..domain.storage import Storage
from ..store.database import Transaction
from . import beside
from .beside import Other
from .parts import Parts, read
from .pins import content_of, reference
from .sessions import of


@dataclass(frozen=True, kw_only=True)
class SessionView:
    """A session as one person sees it.

    `classes` are those that the person may use and that are large enough, smallest
    first; `usual` is the usual time of a start in seconds, None without history;
    `other` is what one runs of the same environment in this project (decision 1);
    `update` is a newer image that nobody has accepted (decision 7); `successor` what its
    environment's admins offer in its place; `retired` is why it cannot be started any more,
    and `resumes_until` how long it can be although its environment is archived; `unverified`
    says that nobody knows now whether the person may start it; `launch_version` is what a start would run now.
    """

    session: Session
    instance: Instance | None
    classes: list[ResourceClass]
    usual: float | None = None
    other: Other | None = None
    update: Update | None = None
    successor: Environment | None = None
    retired: str | None = None
    resumes_until: datetime | None = None
    unverified: bool = False
    launch_version: str = ""

    @property
    def status(self) -> Status:
        return self.instance.status if self.instance else Status.INACTIVE

    @property
    def outdated(self) -> bool:
        """Whether it runs an older configuration than the session now has."""
        runs = self.instance is not None and self.status in (Status.RUNNING, Status.LAUNCHING)
        return bool(runs and self.instance and self.instance.fingerprint != self.session.fingerprint)

    @property
    def hindrance(self) -> str | None:
        """Why it cannot be started, in a sentence; None if it can."""
        if self.unverified:
            return sentence("access_unverified")
        if self.retired:
            return self.retired
        return None if self.classes else lacking(self.session.configuration.needs)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A project, and what the person who looks is in it."""

    project: Project
    role: Role
    storages: Sequence[Storage] = ()

    @property
    def writes(self) -> bool:
        """Whether they may change it, as far as that can be said now."""
        return self.role >= Role.EDITOR and self.project.stale is None


@dataclass(frozen=True, kw_only=True)
class ProjectPage(Shown):
    sessions: list[SessionView]
    next: str | None
    total: int
    default: SessionView | None


@dataclass(frozen=True, kw_only=True)
class SessionPage(Shown):
    view: SessionView
    launches: list[Launch] = field(default_factory=list)
    revisions: list[Revision] = field(default_factory=list)
    others_have_data: bool = False
    siblings: list[tuple[str, str]] = field(default_factory=list)
    sightings: Mapping[str, Sighting] = field(default_factory=dict)


async def project(
    parts: Parts,
    person: Person,
    ref: str,
    *,
    after: str | None = None,
    limit: int = 20,
    keyword: str | None = None,
    search: str = "",
) -> ProjectPage:
    """A project with a page of its sessions. Raises NotFound."""
    found = await parts.source.get(person, ref, Action.READ)

    def work(tx: Transaction) -> ProjectPage:
        sessions, following = tx.sessions.of_project(found.id, after=after, limit=limit, keyword=keyword, search=search)
        total = len(sessions) if not (after or following or keyword or search) else tx.sessions.count(found.id)
        default = _default(tx, found, sessions)
        storages = tx.storages.of_project(found.id)
        views = _views(tx, parts, person, found, storages, [*sessions, *([default] if default else [])])
        return ProjectPage(
            project=found,
            role=found.role_of(person) or Role.VIEWER,
            storages=storages,
            sessions=[views[session.id] for session in sessions],
            next=following,
            total=total,
            default=views[default.id] if default else None,
        )

    return await read(parts, work)


def _default(tx: Transaction, found: Project, sessions: Sequence[Session]) -> Session | None:
    if found.default_session is None:
        return None
    here = next((session for session in sessions if session.id == found.default_session), None)
    return here or tx.sessions.get(found.default_session)


def _views(
    tx: Transaction, parts: Parts, person: Person, found: Project, storages: Sequence[Storage],
    sessions: Sequence[Session],
) -> dict[str, SessionView]:  # fmt: skip
    """Views of sessions of one project, which has those *storages*, by session."""
    if not sessions:
        return {}
    mine = tx.instances.on_page(person.name, found.id, [session.id for session in sessions])
    others = beside.others(tx, parts, mine, sessions)
    usual = beside.usual(tx, mine)
    needs = {session.configuration.needs for session in sessions}
    classes = {each: fitting(parts.policy.classes, person, each) for each in needs}
    updates, heirs = beside.updates(tx, sessions), beside.successors(tx, sessions)
    now, days = parts.now(), parts.policy.archived_resume_days
    return {
        session.id: SessionView(
            session=session,
            instance=mine.get(session.id),
            classes=classes[session.configuration.needs],
            usual=usual.get(session.id),
            other=beside.other(others, session),
            update=updates.get(session.id),
            successor=heirs.get(session.id),
            retired=retirement.refused(session.environment, mine.get(session.id), now, days),
            resumes_until=retirement.resumes_until(session.environment, days),
            unverified=found.unverified,
            launch_version=launch_version(session, found.repositories, storages),
        )
        for session in sessions
    }


def _one(
    tx: Transaction, parts: Parts, person: Person, found: Project, storages: Sequence[Storage], session: Session
) -> SessionView:
    return _views(tx, parts, person, found, storages, [session])[session.id]


async def session(parts: Parts, person: Person, ref: str, session_id: str, *, to_change: bool = False) -> SessionPage:
    """Everything about one session; *to_change* also the other sessions of its project and
    whether somebody else has data in it. Raises NotFound."""
    found = await parts.source.get(person, ref, Action.READ)

    def work(tx: Transaction) -> SessionPage:
        shown, storages = of(tx, found, session_id), tx.storages.of_project(found.id)
        return SessionPage(
            project=found,
            role=found.role_of(person) or Role.VIEWER,
            storages=storages,
            view=_one(tx, parts, person, found, storages, shown),
            launches=tx.launches.of(shown.id, person.name),
            revisions=(revisions := tx.environments.revisions(shown.environment.id)),
            sightings=tx.images.some(map(reference, filter(None, map(content_of, revisions)))),
            others_have_data=to_change and tx.instances.others_have_data(shown.id, person.name),
            siblings=tx.sessions.brief(found.id) if to_change else [],
        )

    return await read(parts, work)


async def view(parts: Parts, person: Person, ref: str, session_id: str) -> SessionView:
    """One session with one's own instance. Raises NotFound."""
    return await view_in(parts, person, await parts.source.get(person, ref, Action.READ), session_id)


async def view_in(parts: Parts, person: Person, found: Project, session_id: str) -> SessionView:
    """One session of a project that *person* may see, with their own instance. Raises NotFound."""

    def work(tx: Transaction) -> SessionView:
        storages = tx.storages.of_project(found.id)
        return _one(tx, parts, person, found, storages, of(tx, found, session_id))

    return await read(parts, work)
