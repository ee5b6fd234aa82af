"""Prepare the launch spec of a session, and list a user's own instances with their progress.

State transitions are in `lifecycle`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from ..context.app_context import AppContext, read_transaction, retry_on_conflict
from ..domain.access import Person, ProjectAction
from ..domain.environments import EnvironmentKind
from ..domain.errors import ConflictError, NotFoundError, RenkuError, UnavailableError, build_not_found_error
from ..domain.expiry import EXPIRY_WARNING_LEAD_TIMES
from ..domain.ids import create_id, is_valid_id
from ..domain.instances import Instance, InstanceSort, InstanceStatus, OwnedInstancesSummary
from ..domain.projects import Project
from ..domain.reasons import build_session_not_found_error, format_reason_sentence
from ..domain.resource_classes import ResourceClass
from ..domain.sessions import LaunchSpec, Session, build_launch_version, list_changed_launch_parts
from ..domain.storages import Storage
from ..domain.text import build_display_name
from ..lifecycle.limits import UserLimitReached, check_start_limits
from ..persistence.database import Transaction
from .admission import require_launchable_environment, resolve_launch_run, select_resource_class
from .storages import prepare_mounted_storages

T = TypeVar("T")


async def exclude_storages(context: AppContext, person: Person, session_id: str, directories: Collection[str]) -> None:
    """Exclude the storages in *directories* from the next start only; an active instance stays unchanged.

    This is stored, so that a hub that restarts in the meantime starts the session with the same storages.
    """
    wanted = tuple(sorted(directories))

    def work(tx: Transaction) -> None:
        session = tx.sessions.get(session_id)
        old = tx.instances.get(session_id, person.name)
        if session is None or (old is None and not wanted):
            return
        old = old or tx.instances.get_or_create(session, person.name, now=context.now())
        if not old.is_active and old.without_storages != wanted:
            tx.instances.save(old, replace(old, without_storages=wanted))

    await retry_on_conflict(context, work)


@dataclass(frozen=True, kw_only=True)
class OwnedInstance:
    """A user's own instance. Project and session are None where the user may not see them (any more).

    The title stays available, because it must be typed to confirm that the data is deleted. `launch_version` is the
    version that a start would run now, empty where the user may not see it.
    """

    instance: Instance
    title: str
    session: Session | None
    project: Project | None
    launch_version: str = ""


async def prepare_launch_spec(
    context: AppContext,
    person: Person,
    session_id: str,
    resource_class: str | None = None,
    *,
    without: Collection[str] | None = None,
    seen: str = "",
    version: int | None = None,
) -> LaunchSpec:
    """Build the launch spec for a start of *session_id* by *person*.

    Every start uses this function: pages, the API, the hub's own API and links. Everything is computed from the
    database
    and the settings; the request only gives the name of a resource class.

    *without* are the directories of excluded storages, None for the stored ones. *seen* is the launch version that the
    user was shown, and *version* that of the session; without them the present versions are started.

    Raises:
        NotFoundError: there is no session with that id, or not for this user.
        ConflictError: `changed`, with the changed parts and the newer versions in `details`.
        LaunchRefusedError: with a code of `domain.reasons`.
    """
    session = await _get_launchable_session(context, person, session_id)

    def read(tx: Transaction, project: Project) -> tuple[Project, tuple[Storage, ...], Instance | None, ResourceClass]:
        storages = session.configuration.select_storages(tx.storages.list_for_project(project.id))
        mine = tx.instances.get(session.id, person.name)
        _require_unchanged_launch(session, build_launch_version(session, project.repositories, storages), seen, version)
        require_launchable_environment(context, session, mine)
        chosen = select_resource_class(context.policy, person, session, resource_class)
        check_start_limits(tx, context.policy, session, person.name, mine)
        return project, storages, mine, chosen

    try:
        project, storages, mine, chosen = await _read_launchable_project(context, person, session.project, read)
    except UserLimitReached as reached:
        raise await reached.read_refusal(context, person) from None
    stored = mine.without_storages if mine else ()
    return await _build_launch_spec(
        context, person, project, session, chosen, storages, stored if without is None else without
    )


def _require_unchanged_launch(session: Session, now: str, seen: str, version: int | None) -> None:
    """Raise ConflictError if a start would run something else than the user was shown."""
    changed = list_changed_launch_parts(seen, now) if seen else []
    if not changed and version in (None, session.version):
        return
    raise ConflictError(
        format_reason_sentence("changed", changed=", ".join(changed or ["its settings"])),
        code="changed",
        details={
            "session": session.id, "version": session.version, "launch_version": now, "changed": changed,
            "revision": session.revision.number, "image": session.revision.canonical_reference,
        },
    )  # fmt: skip


async def get_launch_versions(context: AppContext, session_ids: Collection[str]) -> dict[str, str]:
    """Return the launch version that a start of each of those sessions would run now, by session."""

    def work(tx: Transaction) -> dict[str, str]:
        return _compute_launch_versions(tx, tx.sessions.get_many(set(session_ids)).values())

    return await read_transaction(context, work) if session_ids else {}


def _compute_launch_versions(tx: Transaction, sessions: Collection[Session]) -> dict[str, str]:
    projects = {session.project for session in sessions}
    repositories, storages = tx.projects.get_repositories(projects), tx.storages.list_for_projects(projects)
    return {
        session.id: build_launch_version(
            session,
            repositories[session.project],
            [storage for storage in storages if storage.project == session.project],
        )
        for session in sessions
    }


async def _build_launch_spec(
    context: AppContext, person: Person, project: Project, session: Session, chosen: ResourceClass,
    there: Collection[Storage], without: Collection[str],
) -> LaunchSpec:  # fmt: skip
    return LaunchSpec(
        session=session.id,
        project=project.id,
        project_path=project.path,
        environment=session.environment.id,
        title=session.title,
        display_name=build_display_name(project.title, session.title),
        username=person.name,
        image=session.revision.canonical_reference,
        digest=session.revision.digest,
        revision=session.revision.id,
        fingerprint=session.fingerprint,
        resource_class=chosen,
        configuration=session.configuration,
        repositories=session.configuration.select_repositories(project.repositories),
        storages=await prepare_mounted_storages(context, person, session, there, without=without),
        without=tuple(storage.directory for storage in there if storage.directory in without),
        run=resolve_launch_run(session.revision),
        own_image=session.environment.kind is not EnvironmentKind.DEFAULT,
    )


async def _get_launchable_session(context: AppContext, person: Person, session_id: str) -> Session:
    session = None
    if is_valid_id(session_id):
        session = await read_transaction(context, lambda tx: tx.sessions.get(session_id))
    # Take as long, and fail like, for a hidden session: the answer must not reveal whether it exists.
    if session is None:
        await _get_launchable_project(context, person, create_id())
        raise build_session_not_found_error()
    return session


async def _get_launchable_project(context: AppContext, person: Person, project_id: str) -> Project:
    return await _read_launchable_project(context, person, project_id, lambda _tx, project: project)


async def _read_launchable_project(
    context: AppContext, person: Person, project_id: str, read: Callable[[Transaction, Project], T]
) -> T:
    try:
        return await context.source.read_project(person, project_id, ProjectAction.LAUNCH, read)
    except NotFoundError:
        raise build_session_not_found_error() from None


async def load_owned_instances(
    context: AppContext, person: Person, instances: Sequence[Instance]
) -> list[OwnedInstance]:
    """Add the sessions and projects to the user's own *instances*, as far as the user may see them."""

    def work(tx: Transaction) -> tuple[dict[str, Session], dict[str, str]]:
        sessions_by_id = tx.sessions.get_many({instance.session for instance in instances})
        return sessions_by_id, _compute_launch_versions(tx, sessions_by_id.values())

    sessions, versions = await read_transaction(context, work)
    projects = await context.source.get_visible_projects(person, {instance.project for instance in instances})
    return [
        _build_owned_instance(i, sessions.get(i.session), projects.get(i.project), versions.get(i.session, ""))
        for i in instances
    ]


def _build_owned_instance(
    instance: Instance, session: Session | None, visible: Project | None, version: str
) -> OwnedInstance:
    living = visible is not None and session is not None and session.deleted_at is None
    return OwnedInstance(
        launch_version=version if living else "",
        instance=instance,
        title=session.title if session else instance.session,
        session=session if living else None,
        project=visible,
    )


async def get_own_instance(context: AppContext, person: Person, session_id: str) -> Instance:
    """Return the user's own instance; no permission in the project is needed. Raises NotFoundError."""
    instance = None
    if is_valid_id(session_id):
        instance = await read_transaction(context, lambda tx: tx.instances.get(session_id, person.name))
    if instance is None:
        raise build_not_found_error()
    return instance


async def load_owned_instance(context: AppContext, person: Person, session_id: str) -> OwnedInstance:
    """Load the user's own instance with its session and project, as far as the user may see them."""
    instance = await get_own_instance(context, person, session_id)
    return (await load_owned_instances(context, person, [instance]))[0]


async def get_last_launch_log(context: AppContext, person: Person, session_id: str) -> str:
    """Return the end of the log of the user's last ended launch, or an empty string."""
    await get_own_instance(context, person, session_id)
    launches = await read_transaction(context, lambda tx: tx.launches.list_for_session(session_id, person.name))
    return next((launch.log for launch in launches if launch.log), "")


async def find_server_project(context: AppContext, person: Person, name: str) -> Project | None:
    """Return the project of the session *name*, or None if *person* only has data in it.

    Raises:
        NotFoundError: the hub must not have a server of that name.
        UnavailableError: this cannot be decided now.
    """
    try:
        return await _get_launchable_project(
            context, person, (await _get_launchable_session(context, person, name)).project
        )
    except RenkuError as refusal:
        await _require_own_data(refusal, context, person, name)
        return None


async def _require_own_data(refusal: RenkuError, context: AppContext, person: Person, name: str) -> None:
    """Raise unless *person* has data in the session. A temporary failure is not reported as 404."""
    try:
        await get_own_instance(context, person, name)
    except NotFoundError:
        raise (refusal if isinstance(refusal, UnavailableError) else build_not_found_error()) from None


async def list_my_sessions(
    context: AppContext,
    person: Person,
    sort: InstanceSort = InstanceSort.STARTED,
    *,
    after: str | None = None,
    limit: int = 20,
) -> tuple[list[OwnedInstance], str | None]:
    """Return one page of the user's instances that run or have data, and the cursor of the next page.

    Instances in projects that the user has lost access to are included. Raises InvalidInputError if there is no such
    page.
    """
    instances, following = await read_transaction(
        context, lambda tx: tx.owned_instances.list_page(person.name, sort, after=after, limit=limit)
    )
    return await load_owned_instances(context, person, instances), following


async def get_my_sessions_summary(context: AppContext, person: Person) -> OwnedInstancesSummary:
    return await read_transaction(context, lambda tx: tx.owned_instances.get_summary(person.name))


async def count_expiring_sessions(context: AppContext, person: Person) -> tuple[int, datetime | None]:
    """Return how many instances have data that will soon be deleted, and when the first of them is due.

    The database is not queried where data does not expire.
    """
    if not context.policy.expiry.is_enabled:
        return 0, None
    by = context.now() + EXPIRY_WARNING_LEAD_TIMES[0]
    return await read_transaction(context, lambda tx: tx.owned_instances.count_expiring(person.name, by))


async def list_my_active_sessions(context: AppContext, person: Person) -> list[str]:
    """Return the ids of sessions whose instance of this user runs, starts or stops."""
    return await read_transaction(context, lambda tx: tx.owned_instances.list_active_sessions(person.name))


async def get_my_session_titles(context: AppContext, person: Person, session_ids: Iterable[str]) -> dict[str, str]:
    """Return the titles of those sessions that the user has an instance of."""
    ids = list(session_ids)

    def work(tx: Transaction) -> dict[str, str]:
        own = tx.instances.get_for_sessions(person.name, ids)
        return {id: session.title for id, session in tx.sessions.get_many(set(own)).items()}

    return await read_transaction(context, work) if ids else {}


_MAX_LISTED_INSTANCES = 100  # sent to a page when it subscribes


@dataclass(frozen=True, kw_only=True)
class InstanceProgress:
    """An instance, and the usual duration of its start in seconds (None without history)."""

    instance: Instance
    usual: float | None


async def list_instance_progress(context: AppContext, username: str) -> list[InstanceProgress]:
    """Return the progress of all instances of a user that are not inactive."""

    def work(tx: Transaction) -> list[InstanceProgress]:
        return _build_instance_progress(tx, tx.instances.list_for_user(username, limit=_MAX_LISTED_INSTANCES)[0])

    return await read_transaction(context, work)


async def get_instance_progress(
    context: AppContext, pairs: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], InstanceProgress]:
    """Return the progress of instances by (user name, session); pairs without an instance are left out."""

    def work(tx: Transaction) -> dict[tuple[str, str], InstanceProgress]:
        instances = tx.instances.get_many(pairs)
        return dict(zip(instances, _build_instance_progress(tx, list(instances.values())), strict=True))

    return await read_transaction(context, work)


def _build_instance_progress(tx: Transaction, instances: list[Instance]) -> list[InstanceProgress]:
    starts = [
        instance.revision for instance in instances if instance.status is InstanceStatus.LAUNCHING and instance.revision
    ]
    usual = tx.launches.get_usual_seconds_by_revision(starts) if starts else {}
    return [InstanceProgress(instance=instance, usual=usual.get(instance.revision or "")) for instance in instances]
