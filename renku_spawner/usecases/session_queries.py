"""Load what project and session pages show.

These are sessions with the user's own instance, image updates, successors and installed software.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from ..context.app_context import AppContext, read_transaction
from ..domain.access import Person, ProjectAction, Role
from ..domain.environments import (
    Environment,
    EnvironmentKind,
    EnvironmentState,
    Revision,
    get_environment_refusal_message,
    get_resume_deadline,
)
from ..domain.errors import NotFoundError
from ..domain.image_updates import ImageStatus, ImageUpdate, resolve_image_update
from ..domain.instances import Instance, InstanceStatus, Launch
from ..domain.projects import Project
from ..domain.reasons import format_reason_sentence
from ..domain.resource_classes import ResourceClass, build_no_fitting_class_message, list_fitting_classes
from ..domain.sessions import Session, build_launch_version
from ..domain.software import ImageSoftware, SoftwareChanges, compare_software
from ..domain.storages import Storage
from ..persistence.database import Transaction
from .ci_images import get_ci_image_status_key
from .images import format_image_reference, get_digest_image, get_revision_image, get_tag_image
from .sessions import get_session_of_project
from .software import get_image_software, load_hub_software, render_cyclonedx_bom

_MAX_SUCCESSOR_STEPS = 10  # length of a chain of retired successors


@dataclass(frozen=True, kw_only=True)
class CompetingInstance:
    """The user's own instance of another session, which occupies the only slot of its environment."""

    instance: Instance
    title: str


def get_image_updates(tx: Transaction, sessions: Sequence[Session]) -> dict[str, ImageUpdate]:
    """Return the newer images that were not dismissed, by session.

    Runs one statement for each kind of unmanaged image.
    """
    own = [s.environment.revision for s in sessions if s.environment.kind is EnvironmentKind.EXTERNAL]
    statuses = tx.images.get_many(tag.canonical_reference for revision in own if (tag := get_tag_image(revision)))
    built = tx.ci_images.get_many(
        get_ci_image_status_key(s.environment.revision) for s in sessions if s.environment.revision.built
    )
    updates = {
        s.id: resolve_image_update(
            s.revision,
            s.environment,
            statuses.get(s.environment.revision.canonical_reference),
            built.get(get_ci_image_status_key(s.environment.revision)),
        )
        for s in sessions
    }
    dismissed = {s.id: s.dismissed for s in sessions}
    return {id: update for id, update in updates.items() if update and update.digest != (dismissed[id] or "")}


def get_usual_launch_seconds(tx: Transaction, mine: Mapping[str, Instance]) -> dict[str, float]:
    """Return the usual durations of running starts in seconds, by session."""
    starts = {
        id: instance.revision
        for id, instance in mine.items()
        if instance.status is InstanceStatus.LAUNCHING and instance.revision
    }
    seconds = tx.launches.get_usual_seconds_by_revision(starts.values()) if starts else {}
    return {id: seconds[revision] for id, revision in starts.items() if revision in seconds}


def find_competing_instance(found: Mapping[str, CompetingInstance], session: Session) -> CompetingInstance | None:
    competing = found.get(_get_environment_slot(session))
    return competing if competing and competing.instance.session != session.id else None


def _get_environment_slot(session: Session) -> str:
    return f"{session.project}/{session.environment.id}"


def get_competing_instances(
    tx: Transaction, context: AppContext, mine: Mapping[str, Instance], sessions: Sequence[Session]
) -> dict[str, CompetingInstance]:
    """Return the user's instances of the same environments in this project, by slot."""
    if not context.policy.one_active_per_environment:
        return {}
    slots = {_get_environment_slot(session) for session in sessions}
    titles = {session.id: session.title for session in sessions}
    competing = [instance for instance in mine.values() if instance.slot in slots]
    for instance in competing:
        if instance.session not in titles:
            deleted = tx.sessions.get(instance.session, deleted=True)
            titles[instance.session] = deleted.title if deleted else instance.session
    return {
        instance.slot or "": CompetingInstance(instance=instance, title=titles[instance.session])
        for instance in competing
    }


def get_successors_of_sessions(tx: Transaction, sessions: Sequence[Session]) -> dict[str, Environment]:
    """Return the active successors of deprecated or archived environments, by session."""
    retired_states = (EnvironmentState.DEPRECATED, EnvironmentState.ARCHIVED)
    wanted = {
        s.id: s.environment.successor
        for s in sessions
        if s.environment.successor and s.environment.state in retired_states
    }
    successors = get_active_successors(tx, [id for id in wanted.values() if id])
    return {session: successors[id] for session, id in wanted.items() if id in successors}


def get_active_successors(tx: Transaction, ids: Sequence[str]) -> dict[str, Environment]:
    """Return for each of these successors the first that is active: itself, or one of its own successors."""
    environments: dict[str, Environment] = {}
    missing = set(ids)
    for _ in range(_MAX_SUCCESSOR_STEPS):
        if not missing:
            break
        environments |= tx.environments.get_many(missing)
        retired = [
            environment for environment in environments.values() if environment.state is not EnvironmentState.ACTIVE
        ]
        missing = {environment.successor for environment in retired if environment.successor} - environments.keys()
    return {id: successor for id in ids if (successor := _follow_successors(environments, id))}


def _follow_successors(known: Mapping[str, Environment], id: str | None) -> Environment | None:
    for _ in range(_MAX_SUCCESSOR_STEPS):
        environment = known.get(id or "")
        if environment is None or environment.state is EnvironmentState.ACTIVE:
            return environment
        id = environment.successor
    return None


@dataclass(frozen=True, kw_only=True)
class InstalledSoftware:
    """The packages of a session's image.

    `changes` are those of another image, None unless the packages of both are known.
    """

    software: ImageSoftware | None
    changes: SoftwareChanges | None = None


async def load_installed_software(
    context: AppContext, session: Session, new_digest: str | None = None
) -> InstalledSoftware:
    """Load the packages of the session's image, and what another image changes.

    On a hub without images these are the packages of its own Python.
    """
    software = await _load_software_of_revision(context, session.revision)
    updated = await get_image_software(context, new_digest) if new_digest else None
    return InstalledSoftware(
        software=software, changes=compare_software(software, updated) if software and updated else None
    )


async def _load_software_of_revision(context: AppContext, revision: Revision) -> ImageSoftware | None:
    return await (load_hub_software(context) if context.policy.local else get_image_software(context, revision.digest))


async def get_session_software(
    context: AppContext, person: Person, ref: str, session_id: str
) -> tuple[Session, ImageSoftware]:
    """Return a session and the packages of its image.

    Raises:
        NotFoundError: there is no such session, or its packages are not known yet (`not_looked_yet`).
    """
    project = await context.source.get_project(person, ref, ProjectAction.READ)
    session = await read_transaction(context, lambda tx: get_session_of_project(tx, project, session_id))
    software = await _load_software_of_revision(context, session.revision)
    if software is None:
        raise NotFoundError("The packages of this image are not known yet.", code="not_looked_yet")
    return session, software


async def export_session_bom(context: AppContext, person: Person, ref: str, session_id: str) -> str:
    """Return the packages of the session's image as a CycloneDX document. Raises NotFoundError."""
    session, software = await get_session_software(context, person, ref, session_id)
    image = None if context.policy.local else get_revision_image(session.revision)
    key = (image, software.found_at, software.origin)
    return await context.bom_cache.get_or_render(key, partial(render_cyclonedx_bom, software, image))


@dataclass(frozen=True, kw_only=True)
class SessionView:
    """A session as one user sees it.

    - `classes`: usable and large enough resource classes, smallest first.
    - `usual`: usual duration of a start in seconds, None without history.
    - `other`: the user's instance of the same environment in this project.
    - `update`: a newer image that was not accepted yet. `successor`: the replacement of its environment.
    - `retired`: why it cannot be started any more. `resumes_until`: how long it can be resumed after its environment
    was
      archived.
    - `unverified`: whether the user may start it is unknown now.
    - `launch_version`: the version that a start would run now.
    """

    session: Session
    instance: Instance | None
    classes: list[ResourceClass]
    usual: float | None = None
    other: CompetingInstance | None = None
    update: ImageUpdate | None = None
    successor: Environment | None = None
    retired: str | None = None
    resumes_until: datetime | None = None
    unverified: bool = False
    launch_version: str = ""

    @property
    def status(self) -> InstanceStatus:
        return self.instance.status if self.instance else InstanceStatus.INACTIVE

    @property
    def is_outdated(self) -> bool:
        """True if the instance runs an older configuration than the session has now."""
        runs = self.instance is not None and self.status in (InstanceStatus.RUNNING, InstanceStatus.LAUNCHING)
        return bool(runs and self.instance and self.instance.fingerprint != self.session.fingerprint)

    @property
    def launch_obstacle(self) -> str | None:
        """Why it cannot be started, in a sentence; None if it can."""
        if self.unverified:
            return format_reason_sentence("access_unverified")
        if self.retired:
            return self.retired
        return None if self.classes else build_no_fitting_class_message(self.session.configuration.needs)


@dataclass(frozen=True, kw_only=True)
class ProjectPageBase:
    """A project, and the user's role in it."""

    project: Project
    role: Role
    storages: Sequence[Storage] = ()

    @property
    def can_write(self) -> bool:
        """True if the user may change the project, as far as that is known now."""
        return self.role >= Role.EDITOR and self.project.stale is None


@dataclass(frozen=True, kw_only=True)
class ProjectPageData(ProjectPageBase):
    sessions: list[SessionView]
    next: str | None
    total: int
    default: SessionView | None


@dataclass(frozen=True, kw_only=True)
class SessionPageData(ProjectPageBase):
    view: SessionView
    launches: list[Launch] = field(default_factory=list)
    revisions: list[Revision] = field(default_factory=list)
    others_have_data: bool = False
    siblings: list[tuple[str, str]] = field(default_factory=list)
    sightings: Mapping[str, ImageStatus] = field(default_factory=dict)


async def load_project_page(
    context: AppContext,
    person: Person,
    ref: str,
    *,
    after: str | None = None,
    limit: int = 20,
    keyword: str | None = None,
    search: str = "",
) -> ProjectPageData:
    """Load a project with one page of its sessions. Raises NotFoundError."""

    def read(tx: Transaction, project: Project) -> ProjectPageData:
        sessions, following = tx.sessions.list_for_project(
            project.id, after=after, limit=limit, keyword=keyword, search=search
        )
        total = (
            len(sessions)
            if not (after or following or keyword or search)
            else tx.sessions.count_for_project(project.id)
        )
        default = _get_default_session(tx, project, sessions)
        storages = tx.storages.list_for_project(project.id)
        shown = {session.id: session for session in (*sessions, default) if session}
        views = _build_session_views(tx, context, person, project, storages, list(shown.values()))
        return ProjectPageData(
            project=project,
            role=project.get_role(person) or Role.VIEWER,
            storages=storages,
            sessions=[views[session.id] for session in sessions],
            next=following,
            total=total,
            default=views[default.id] if default else None,
        )

    return await context.source.read_project(person, ref, ProjectAction.READ, read)


def _get_default_session(tx: Transaction, found: Project, sessions: Sequence[Session]) -> Session | None:
    if found.default_session is None:
        return None
    here = next((session for session in sessions if session.id == found.default_session), None)
    return here or tx.sessions.get(found.default_session)


def _build_session_views(
    tx: Transaction, context: AppContext, person: Person, found: Project, storages: Sequence[Storage],
    sessions: Sequence[Session],
) -> dict[str, SessionView]:  # fmt: skip
    """Build the views of *sessions* of one project, which has those *storages*, by session."""
    if not sessions:
        return {}
    mine = tx.instances.get_for_project_page(person.name, found.id, [session.id for session in sessions])
    others = get_competing_instances(tx, context, mine, sessions)
    usual = get_usual_launch_seconds(tx, mine)
    needs = {session.configuration.needs for session in sessions}
    classes = {
        requirements: list_fitting_classes(context.policy.classes, person, requirements) for requirements in needs
    }
    updates, successors = get_image_updates(tx, sessions), get_successors_of_sessions(tx, sessions)
    now, days = context.now(), context.policy.archived_resume_days
    return {
        session.id: SessionView(
            session=session,
            instance=mine.get(session.id),
            classes=classes[session.configuration.needs],
            usual=usual.get(session.id),
            other=find_competing_instance(others, session),
            update=updates.get(session.id),
            successor=successors.get(session.id),
            retired=get_environment_refusal_message(session.environment, mine.get(session.id), now, days),
            resumes_until=get_resume_deadline(session.environment, days),
            unverified=found.unverified,
            launch_version=build_launch_version(session, found.repositories, storages),
        )
        for session in sessions
    }


def _build_session_view(
    tx: Transaction, context: AppContext, person: Person, found: Project, storages: Sequence[Storage], session: Session
) -> SessionView:
    return _build_session_views(tx, context, person, found, storages, [session])[session.id]


async def load_session_page(
    context: AppContext, person: Person, ref: str, session_id: str, *, to_change: bool = False
) -> SessionPageData:
    """Load everything about one session. Raises NotFoundError.

    *to_change* adds the other sessions of its project, and whether other users have data in it.
    """

    def read(tx: Transaction, project: Project) -> SessionPageData:
        shown, storages = get_session_of_project(tx, project, session_id), tx.storages.list_for_project(project.id)
        return SessionPageData(
            project=project,
            role=project.get_role(person) or Role.VIEWER,
            storages=storages,
            view=_build_session_view(tx, context, person, project, storages, shown),
            launches=tx.launches.list_for_session(shown.id, person.name),
            revisions=(revisions := tx.environments.list_revisions(shown.environment.id)),
            sightings=tx.images.get_many(map(format_image_reference, filter(None, map(get_digest_image, revisions)))),
            others_have_data=to_change and tx.instances.has_data_of_others(shown.id, person.name),
            siblings=tx.sessions.list_ids_and_titles(project.id) if to_change else [],
        )

    return await context.source.read_project(person, ref, ProjectAction.READ, read)


async def load_session_view(context: AppContext, person: Person, ref: str, session_id: str) -> SessionView:
    """Load one session with the user's own instance. Raises NotFoundError."""

    def read(tx: Transaction, project: Project) -> SessionView:
        return _read_session_view(tx, context, person, project, session_id)

    return await context.source.read_project(person, ref, ProjectAction.READ, read)


async def load_session_view_in_project(
    context: AppContext, person: Person, found: Project, session_id: str
) -> SessionView:
    """Load one session of a project that *person* may see, with their own instance. Raises NotFoundError."""
    return await read_transaction(context, lambda tx: _read_session_view(tx, context, person, found, session_id))


def _read_session_view(
    tx: Transaction, context: AppContext, person: Person, found: Project, session_id: str
) -> SessionView:
    storages = tx.storages.list_for_project(found.id)
    return _build_session_view(tx, context, person, found, storages, get_session_of_project(tx, found, session_id))
