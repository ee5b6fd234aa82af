"""Plan, apply, export and discover session files: documents that describe a project's sessions and storages.

Parsing them is in `domain.session_files`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from functools import partial
from typing import Any
from urllib.parse import quote

from ..context.app_context import AppContext, read_transaction, write_transaction_in_thread
from ..context.session_file_offers import CachedSessionFileOffer, SessionFileOffer
from ..domain.access import Person, ProjectAction
from ..domain.configuration_fields import FieldKind
from ..domain.environments import Environment, EnvironmentKind, NewCiImage, NewOwnImage, Revision, RunOverrides
from ..domain.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    MalformedInputError,
    RenkuError,
    build_not_found_error,
)
from ..domain.images import ImageReference, parse_image_reference
from ..domain.instances import Instance
from ..domain.projects import Project, Repository
from ..domain.session_files import (
    MAX_DOCUMENT_SIZE_BYTES,
    CiImageSource,
    DescribedSession,
    EnvironmentSource,
    ManagedEnvironmentSource,
    OwnImageSource,
    SessionDifference,
    SessionsDocument,
    build_sessions_document,
    describe_session,
    describe_storage,
    find_repository_directory,
    parse_yaml,
)
from ..domain.sessions import (
    CONFIGURATION_FIELDS,
    NewSession,
    Session,
    SessionChange,
    SessionConfiguration,
    list_secret_variables,
)
from ..domain.storages import (
    STORAGE_KINDS_BY_NAME,
    DescribedStorage,
    NewStorage,
    Storage,
    StorageChange,
    StorageCredentials,
    keep_confirmed_host_key,
    normalize_storage_path,
)
from ..domain.text import fold_title
from ..integrations.git_server import RepositoryNotFound
from ..integrations.gitlab.client import GitLabNotFound
from ..integrations.net.errors import RemoteError
from ..persistence.database import Transaction
from ..persistence.statements import ConcurrentUpdate, UniqueConflict
from .projects import get_path_in_gitlab
from .session_queries import get_successors_of_sessions
from .sessions import (
    SessionOperation,
    build_session_changed_error,
    get_run_choice,
    get_session_of_project,
    list_configuration_warnings,
    normalize_run_choice,
    prepare_default_session,
    prepare_revision_choice,
    prepare_session_addition,
    prepare_session_change,
    prepare_session_removal,
    validate_configuration,
)
from .storages import prepare_storage_addition, prepare_storage_change

_REMOVE_OR_RETITLE_MESSAGE = "Remove the session, or choose another title in the document."
_NO_REVISION_WITH_DIGEST_MESSAGE = (
    "No revision of this environment has this content; leave the digest out to keep what the session runs."
)
_ENVIRONMENT_KEEPS_NAME_MESSAGE = "the environment keeps its name, which can only be set when the session is added"


@dataclass(frozen=True, kw_only=True)
class ExistingSession:
    """A session of *project* with the revisions of its environment, newest first, and the active successor of that."""

    project: Project
    session: Session
    history: Sequence[Revision] = ()
    successor: Environment | None = None


@dataclass(frozen=True, kw_only=True)
class PlannedEnvironmentChange:
    """The change of a session's environment.

    `image` replaces an own image; `revision` is an existing one, of `heir` if that is set. `refused` are sentences by
    key
    of the description's environment.
    """

    differences: tuple[SessionDifference, ...] = ()
    image: NewOwnImage | None = None
    revision: Revision | None = None
    heir: Environment | None = None
    refused: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def plan_environment_change(there: ExistingSession, source: EnvironmentSource) -> PlannedEnvironmentChange:
    """Plan the change that *source* asks for.

    Nothing changes if the session runs just that, even if there is a newer image.
    """
    if isinstance(source, ManagedEnvironmentSource):
        return _plan_managed_environment(there, source)
    return _plan_own_image(there, source) if isinstance(source, OwnImageSource) else _plan_ci_image(there, source)


def is_environment_named(environment: Environment, name: str) -> bool:
    return name in (environment.key, environment.id) or fold_title(name) == fold_title(environment.name)


def _refuse_environment_change(key: str, sentence: str) -> PlannedEnvironmentChange:
    return PlannedEnvironmentChange(refused=((key, sentence),))


def _plan_managed_environment(there: ExistingSession, source: ManagedEnvironmentSource) -> PlannedEnvironmentChange:
    environment, successor = there.session.environment, there.successor
    if environment.is_managed and is_environment_named(environment, source.name):
        return _plan_pinned_revision(there, source.digest)
    if (
        successor is not None
        and is_environment_named(successor, source.name)
        and source.digest in (None, successor.revision.digest)
    ):
        changed = SessionDifference(field="environment", old=environment.name, new=successor.name)
        return PlannedEnvironmentChange(heir=successor, revision=successor.revision, differences=(changed,))
    return _refuse_environment_change(
        "ready_made",
        f"The session runs {_format_session_environment(there)}, which cannot become another environment. "
        f"{_REMOVE_OR_RETITLE_MESSAGE}",
    )


def _plan_pinned_revision(there: ExistingSession, digest: str | None) -> PlannedEnvironmentChange:
    """Choose the newest revision with that digest, unless the session runs it already."""
    if digest in (None, there.session.revision.digest):
        return PlannedEnvironmentChange()
    revision = next((candidate for candidate in there.history if candidate.digest == digest), None)
    return (
        _plan_revision_change(there, revision)
        if revision
        else _refuse_environment_change("digest", _NO_REVISION_WITH_DIGEST_MESSAGE)
    )


def _plan_revision_change(there: ExistingSession, revision: Revision) -> PlannedEnvironmentChange:
    present = there.session.revision
    return PlannedEnvironmentChange(
        revision=revision,
        differences=(SessionDifference(field="image", old=format_revision(present), new=format_revision(revision)),),
    )


def format_revision(revision: Revision) -> str:
    """Format an image with the beginning of its digest, as pages show it."""
    return (
        f"{revision.canonical_reference} ({revision.digest.partition(':')[2][:8]})"
        if revision.digest
        else revision.canonical_reference
    )


def _plan_own_image(there: ExistingSession, source: OwnImageSource) -> PlannedEnvironmentChange:
    present = there.session.revision
    if there.session.environment.kind is not EnvironmentKind.EXTERNAL:
        return _refuse_environment_change(
            "image",
            f"The session runs {_format_session_environment(there)}, which cannot become an own image. "
            f"{_REMOVE_OR_RETITLE_MESSAGE}",
        )
    try:
        tagged, wanted = parse_image_reference(source.image), parse_image_reference(source.image_text)
    except InvalidInputError as problem:
        return _refuse_environment_change("image", problem.message)
    if tagged.digest is not None:
        return _refuse_environment_change("image", "Please give the digest as digest:, and the image with its tag.")
    named = {(reference.repository, reference.tag) for reference in (tagged, wanted)}
    same = (present.repository, present.tag) in named and source.digest in (None, present.digest)
    if same and _is_same_run(present, source.run):
        return PlannedEnvironmentChange(notes=_list_name_notes(there, source.name))
    earlier = (
        next((revision for revision in there.history if _is_described_revision(revision, source, wanted)), None)
        if source.digest
        else None
    )
    if earlier is not None:
        return replace(_plan_revision_change(there, earlier), notes=_list_name_notes(there, source.name))
    return PlannedEnvironmentChange(
        image=NewOwnImage(image="" if same else source.image_text, run=source.run),
        differences=_list_image_differences(present, source, same=same),
        notes=_list_name_notes(there, source.name),
    )


def _is_described_revision(revision: Revision, source: OwnImageSource, wanted: ImageReference) -> bool:
    named = (revision.repository, revision.tag, revision.digest) == (wanted.repository, wanted.tag, source.digest)
    return named and _is_same_run(revision, source.run)


def _is_same_run(present: Revision, run: RunOverrides) -> bool:
    return normalize_run_choice(run) == normalize_run_choice(get_run_choice(present))


def _list_image_differences(present: Revision, source: OwnImageSource, *, same: bool) -> tuple[SessionDifference, ...]:
    differences = (
        [] if same else [SessionDifference(field="image", old=format_revision(present), new=source.image_text)]
    )
    old, new = vars(normalize_run_choice(get_run_choice(present))), vars(normalize_run_choice(source.run))
    differences += [
        SessionDifference(field=f"run.{name}", old=_format_run_value(old[name]), new=_format_run_value(new[name]))
        for name in old
        if old[name] != new[name]
    ]
    return tuple(differences)


def _format_run_value(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(value)
    return "as the image says" if value is None else str(value)


def _list_name_notes(there: ExistingSession, name: str | None) -> tuple[str, ...]:
    return () if name in (None, there.session.environment.name) else (_ENVIRONMENT_KEEPS_NAME_MESSAGE,)


def _plan_ci_image(there: ExistingSession, source: CiImageSource) -> PlannedEnvironmentChange:
    present = there.session.revision
    if there.session.environment.kind is not EnvironmentKind.REPOSITORY or present.built is None:
        return _refuse_environment_change(
            "repository",
            f"The session runs {_format_session_environment(there)}, which cannot become a CI image. "
            f"{_REMOVE_OR_RETITLE_MESSAGE}",
        )
    place, branch = find_repository_directory(present.built.url, there.project.repositories), present.built.ref
    if source.directory not in (place, present.built.url) or source.branch not in (None, branch):
        return _refuse_environment_change(
            "repository", f"The session runs an image of {place}, branch {branch}. {_REMOVE_OR_RETITLE_MESSAGE}"
        )
    if not _is_same_run(present, source.run):
        return _refuse_environment_change(
            "run", f"How a CI image is run can only be set when it is added. {_REMOVE_OR_RETITLE_MESSAGE}"
        )
    return replace(_plan_ci_revision(there, source), notes=_list_name_notes(there, source.name))


def _plan_ci_revision(there: ExistingSession, source: CiImageSource) -> PlannedEnvironmentChange:
    for revision in (there.session.revision, *there.history):
        if source.image in (None, revision.image) and source.digest in (None, revision.digest):
            return (
                PlannedEnvironmentChange()
                if revision.id == there.session.revision.id
                else _plan_revision_change(there, revision)
            )
    return _refuse_environment_change(
        "image", "The session has no such revision; newer images of the CI can be accepted on the session's page."
    )


def _format_session_environment(there: ExistingSession) -> str:
    return f"“{there.session.environment.name}”"


class PlanStepKind(StrEnum):
    """The effect of a plan on a session."""

    ADD = "add"
    CHANGE = "change"
    SAME = "same"
    REMOVE = "remove"
    LEAVE = "leave"


PlanStepOperation = Callable[[Transaction], Session | Storage]


@dataclass(frozen=True, kw_only=True)
class PlanStep:
    """The effect of a plan on one session (or *storage*, whose title is its directory).

    `path` is its path in the document, empty if the document does not describe it. `refused` are sentences by path that
    say why it cannot be done. `works` are run in order in the one transaction. `mine` is the user's own instance of a
    session that changes.
    """

    kind: PlanStepKind
    title: str
    path: str = ""
    session: Session | None = None
    differences: tuple[SessionDifference, ...] = ()
    notes: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    works: tuple[PlanStepOperation, ...] = ()
    mine: Instance | None = None
    storage: bool = False


@dataclass(frozen=True, kw_only=True)
class PlanContext:
    """The user, the project, the offered environments and the directories of storages that a plan is made with.

    For a user who may not change the project (`may` is False), no registry is queried. `count` is called before each
    query
    and raises if the user makes too many.
    """

    context: AppContext
    person: Person
    project: Project
    offered: Sequence[Environment]
    heirs: Mapping[str, Environment]
    storages: frozenset[str]
    may: bool = True
    count: Callable[[], None] = lambda: None


def require_planned_storages(asked: PlanContext, configuration: SessionConfiguration) -> None:
    """Raise InvalidInputError at `storages` while planning, before the transaction would."""
    if configuration.storages and not set(configuration.storages) <= asked.storages:
        message = "The project has no storage in one of these directories."
        raise InvalidInputError(message, fields={"storages": message})


_DATA_OF_OTHERS_MESSAGE = "Other people have data in it, so it stays; remove it on its page if it must go."


async def plan_changed_session(
    asked: PlanContext, made: PlanStep, wanted: DescribedSession, session: Session
) -> PlanStep:
    environment = await _resolve_environment_change(asked, session, wanted.environment)
    configuration = wanted.apply_to(session.configuration)
    other = configuration != session.configuration
    if other:
        require_planned_storages(asked, configuration)
    change = SessionChange(
        version=session.version,
        title=_get_new_text(wanted.title, session.title),
        description=_get_new_text(wanted.description, session.description),
        configuration=validate_configuration(asked.context.policy, asked.project, configuration) if other else None,
        image=environment.image,
    )
    default = wanted.default and asked.project.default_session != session.id
    differences = (
        *_list_text_differences(session, change),
        *_list_configuration_differences(session, configuration),
        *environment.differences,
        *([SessionDifference(field="default", old="", new="yes")] if default else []),
    )
    kind = PlanStepKind.CHANGE if differences or environment.refused else PlanStepKind.SAME
    made = replace(made, kind=kind, differences=differences, notes=environment.notes)
    if environment.refused:
        at = {f"{made.path}.environment.{key}": sentence for key, sentence in environment.refused}
        return replace(made, refused=at)
    if other:
        made = replace(made, notes=(*made.notes, *list_configuration_warnings(asked.context.policy, configuration)))
    if not differences or not asked.may:
        return made
    mine = await read_transaction(asked.context, lambda tx: tx.instances.get(session.id, asked.person.name))
    return replace(
        made, works=await _prepare_session_operations(asked, session, change, environment, default=default), mine=mine
    )


def _get_new_text(wanted: str | None, present: str) -> str | None:
    return None if wanted == present else wanted


async def _resolve_environment_change(
    asked: PlanContext, session: Session, source: EnvironmentSource
) -> PlannedEnvironmentChange:
    """Plan the change; the revisions are only loaded if the environment changes."""
    there = ExistingSession(project=asked.project, session=session, successor=asked.heirs.get(session.id))
    planned = plan_environment_change(there, source)
    if planned == replace(planned, differences=(), refused=(), image=None, revision=None):
        return planned
    history = await read_transaction(asked.context, lambda tx: tx.environments.list_revisions(session.environment.id))
    return plan_environment_change(replace(there, history=history), source)


async def _prepare_session_operations(
    asked: PlanContext, session: Session, change: SessionChange, environment: PlannedEnvironmentChange, *, default: bool
) -> tuple[SessionOperation, ...]:
    context, person, project = asked.context, asked.person, asked.project
    works: list[SessionOperation] = [_require_unchanged_session(project, session)]
    if change != SessionChange(version=session.version):
        if change.image is not None and change.image.image:
            asked.count()
        works.append(await prepare_session_change(context, person, project, session.id, change))
    if environment.heir is not None:
        works.append(_pin_to_successor(project, session, environment.heir.revision))
    elif environment.revision is not None:
        works.append(await prepare_revision_choice(context, person, project, session, environment.revision.number))
    if default:
        works.append(prepare_default_session(project, session.id))
    return tuple(works)


def _require_unchanged_session(project: Project, session: Session) -> SessionOperation:
    """Return the check that the session still has the version that the plan was made for."""

    def work(tx: Transaction) -> Session:
        present = get_session_of_project(tx, project, session.id)
        if present.version != session.version:
            raise build_session_changed_error(present)
        return present

    return work


def _pin_to_successor(project: Project, session: Session, revision: Revision) -> SessionOperation:
    def work(tx: Transaction) -> Session:
        present = get_session_of_project(tx, project, session.id)
        try:
            return tx.sessions.pin_revision(present, revision)
        except ConcurrentUpdate:
            raise build_session_changed_error(present) from None

    return work


def _list_text_differences(session: Session, change: SessionChange) -> list[SessionDifference]:
    differences = []
    if change.title is not None:
        differences.append(SessionDifference(field="title", old=session.title, new=change.title))
    if change.description is not None:
        differences.append(SessionDifference(field="description", old=session.description, new=change.description))
    return differences


def _list_configuration_differences(session: Session, wanted: SessionConfiguration) -> list[SessionDifference]:
    old, new = session.configuration.values, wanted.values
    differences: list[SessionDifference] = []
    for each in CONFIGURATION_FIELDS:
        before, after = old[each.name], new[each.name]
        if each.kind is FieldKind.VARIABLES:
            differences += _list_variable_differences(before, after)
        elif each.format_value(before) != each.format_value(after):
            differences.append(
                SessionDifference(field=each.name, old=each.format_value(before), new=each.format_value(after))
            )
    return differences


def _list_variable_differences(old: Mapping[str, str], new: Mapping[str, str]) -> list[SessionDifference]:
    """List changed variables; values that look secret are masked."""
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return [
        SessionDifference(field=f"variables.{name}", old=_format_variable(name, old), new=_format_variable(name, new))
        for name in names
    ]


def _format_variable(name: str, values: Mapping[str, str]) -> str:
    if name not in values:
        return ""
    return "•••" if list_secret_variables({name: ""}) else values[name] or "(empty)"


async def plan_undescribed_session(asked: PlanContext, session: Session, *, prune: bool) -> PlanStep:
    """Keep a session that is not described, or remove it with *prune*, unless other users have data in it."""
    made = PlanStep(kind=PlanStepKind.LEAVE, title=session.title, session=session)
    if not prune:
        return made
    others = await read_transaction(
        asked.context, lambda tx: tx.instances.has_data_of_others(session.id, asked.person.name)
    )
    if others:
        return replace(made, notes=(_DATA_OF_OTHERS_MESSAGE,))
    works = (
        _require_unchanged_session(asked.project, session),
        prepare_session_removal(asked.context, asked.project, session.id),
    )
    return replace(made, kind=PlanStepKind.REMOVE, works=works if asked.may else ())


_EXPORT_PAGE_SIZE = 100  # sessions read without yielding to the event loop, about 5 ms


async def export_session_file(context: AppContext, person: Person, ref: str) -> tuple[Project, SessionsDocument]:
    """Export the project with all of its sessions in their order. Raises NotFoundError."""
    project = await context.source.get_project(person, ref, ProjectAction.READ)
    sessions = await list_all_project_sessions(context, project)
    storages = await read_transaction(context, lambda tx: tx.storages.list_for_project(project.id))
    return project, await asyncio.to_thread(build_session_document, project, sessions, storages)


async def list_all_project_sessions(context: AppContext, project: Project) -> list[Session]:
    """List all sessions of *project* in their order, reading page by page."""
    sessions: list[Session] = []
    after: str | None = None
    while True:
        page, after = await read_transaction(context, partial(_get_sessions_page, project.id, after))
        sessions += page
        if after is None:
            return sessions
        await asyncio.sleep(0)  # yield to the event loop


def _get_sessions_page(project_id: str, after: str | None, tx: Transaction) -> tuple[list[Session], str | None]:
    return tx.sessions.list_for_project(project_id, after=after, limit=_EXPORT_PAGE_SIZE)


def build_session_document(
    project: Project, sessions: Sequence[Session], storages: Sequence[Storage]
) -> SessionsDocument:
    """Build the document that describes the sessions and storages.

    The same sessions always give the same document, and applying it changes nothing.
    """
    described = (
        describe_session(session, build_session_source(project, session), default=session.id == project.default_session)
        for session in sessions
    )
    secret_names = {session.title: list_secret_variables(session.configuration.variables) for session in sessions}
    left_out = {title: tuple(names) for title, names in secret_names.items() if names}
    return SessionsDocument(
        sessions=tuple(described),
        storages=tuple(map(describe_storage, storages)),
        project=project.path,
        left_out=left_out,
    )


def build_session_source(project: Project, session: Session) -> EnvironmentSource:
    """Describe what *session* runs, with its digest if that is known."""
    environment, revision = session.environment, session.revision
    if environment.is_managed:
        return ManagedEnvironmentSource(name=environment.key or environment.name, digest=revision.digest)
    run = get_run_choice(revision)
    if environment.kind is EnvironmentKind.EXTERNAL:
        return OwnImageSource(
            image=revision.canonical_reference, digest=revision.digest, name=environment.name, run=run
        )
    built = revision.built
    return CiImageSource(
        directory=find_repository_directory(built.url, project.repositories) if built else "",
        branch=built.ref if built else None,
        image=revision.image,
        digest=revision.digest,
        name=environment.name,
        run=run,
    )


async def plan_new_session(asked: PlanContext, made: PlanStep, wanted: DescribedSession) -> PlanStep:
    configuration = wanted.apply_to(SessionConfiguration())
    environment = (
        _select_offered_environment(asked, wanted.environment)
        if isinstance(wanted.environment, ManagedEnvironmentSource)
        else None
    )
    older = await _find_older_revision(asked, environment, wanted.environment.digest) if environment else None
    new = NewSession(
        environment=environment.id if environment else None,
        title=wanted.title,
        description=wanted.description or "",
        configuration=configuration,
        default=wanted.default,
    )
    new = _add_own_image(new, wanted.environment)
    require_planned_storages(asked, configuration)
    validate_configuration(asked.context.policy, asked.project, configuration)
    notes = tuple(list_configuration_warnings(asked.context.policy, configuration))
    works: list[SessionOperation] = []
    if asked.may:
        if environment is None:
            asked.count()
        works.append(await prepare_session_addition(asked.context, asked.person, asked.project, new))
    if works and older is not None:
        works = [_pin_after_adding(works[0], older)]
    return replace(
        made,
        notes=notes,
        works=tuple(works),
        differences=_list_new_session_differences(environment, wanted, configuration),
    )


def _select_offered_environment(asked: PlanContext, source: ManagedEnvironmentSource) -> Environment:
    exact_matches = [environment for environment in asked.offered if source.name in (environment.key, environment.id)]
    matches = exact_matches or [
        environment for environment in asked.offered if is_environment_named(environment, source.name)
    ]
    if len(matches) == 1:
        return matches[0]
    message = (
        "Several environments have this name; please give the key."
        if matches
        else "This hub offers no such environment."
    )
    raise InvalidInputError(message, fields={"environment.ready_made": message})


async def _find_older_revision(asked: PlanContext, environment: Environment, digest: str | None) -> Revision | None:
    """Return the revision with that digest if it is not the newest."""
    if digest in (None, environment.revision.digest):
        return None
    history = await read_transaction(asked.context, lambda tx: tx.environments.list_revisions(environment.id))
    revision = next((candidate for candidate in history if candidate.digest == digest), None)
    if revision is None:
        message = "The environment has no revision with this content; leave the digest out to take the newest."
        raise InvalidInputError(message, fields={"environment.digest": message})
    return revision


def _pin_after_adding(add: SessionOperation, revision: Revision) -> SessionOperation:
    return lambda tx: tx.sessions.pin_revision(add(tx), revision)


def _add_own_image(new: NewSession, source: EnvironmentSource) -> NewSession:
    if isinstance(source, OwnImageSource):
        return replace(new, image=NewOwnImage(image=source.image_text, name=source.name, run=source.run))
    if isinstance(source, CiImageSource):
        ci_image = NewCiImage(
            repository=source.directory, branch=source.branch, image=source.image, name=source.name, run=source.run
        )
        return replace(new, built=ci_image)
    return new


def _list_new_session_differences(
    environment: Environment | None, wanted: DescribedSession, configuration: SessionConfiguration
) -> tuple[SessionDifference, ...]:
    first = SessionDifference(
        field="environment" if environment else "image", old="", new=_format_new_environment(environment, wanted)
    )
    return first, SessionDifference(field="needs", old="", new=configuration.needs.summary)


def _format_new_environment(environment: Environment | None, wanted: DescribedSession) -> str:
    source = wanted.environment
    if isinstance(source, CiImageSource):
        return source.image or f"the newest of {source.directory}"
    return source.image_text if isinstance(source, OwnImageSource) else environment.name if environment else source.name


log = logging.getLogger("renku_spawner")
SESSION_FILE_PATH = (".renku", "sessions.yaml")
SESSION_FILE_PAGE_TIMEOUT_SECONDS = 0.3  # for a page that shows other things too
SESSION_FILE_TIMEOUT_SECONDS = 8.0  # for a page that only shows the file
_FILE_CACHE_SECONDS, _FILE_RETRY_SECONDS = 60.0, 15.0  # how long an answer, and a failure, is cached
_MAX_CHECKED_REPOSITORIES = 3  # of one project
_GITLAB_FILE_TIMEOUT_SECONDS = 3.0


@dataclass(frozen=True)
class SessionFileLookup:
    """The session file of the first repository that has one; *known* is False while no answer has arrived."""

    known: bool
    offer: SessionFileOffer | None = None


async def find_session_file(
    context: AppContext, person: Person, project: Project, *, patience: float = SESSION_FILE_PAGE_TIMEOUT_SECONDS
) -> SessionFileLookup:
    """Return what is known within *patience* seconds; the query continues in the background."""
    if not project.repositories or not project.is_allowed(person, ProjectAction.WRITE):
        return SessionFileLookup(known=True)
    key = ("project", person.name, project.id)
    try:
        async with asyncio.timeout(patience):
            return SessionFileLookup(
                True,
                await context.session_file_offers.flights.run(
                    key, lambda: _find_first_session_file(context, person, project)
                ),
            )
    except TimeoutError:
        return SessionFileLookup(known=False)


async def require_session_file(
    context: AppContext, person: Person, project: Project, content: str | None = None
) -> tuple[SessionFileOffer, SessionsDocument]:
    """Return the session file and its document.

    Raises:
        NotFoundError: no repository is known to have one.
        InvalidInputError: it cannot be read.
        ConflictError: `changed`, if its content is not the one that the user reviewed.
    """
    offer = (await find_session_file(context, person, project, patience=SESSION_FILE_TIMEOUT_SECONDS)).offer
    if offer is None:
        raise build_not_found_error()
    if content is not None and content != offer.content:
        raise ConflictError("The file has changed in the meantime; look at it again.", code="changed")
    if offer.document is None:
        raise InvalidInputError(offer.problem, fields={"document": offer.problem})
    return offer, offer.document


async def _find_first_session_file(context: AppContext, person: Person, project: Project) -> SessionFileOffer | None:
    for repository in project.repositories[:_MAX_CHECKED_REPOSITORIES]:
        offer = await _get_session_file(context, person, project, repository)
        if offer is not None:
            return replace(offer, directory=repository.directory)
    return None


async def _get_session_file(
    context: AppContext, person: Person, project: Project, repository: Repository
) -> SessionFileOffer | None:
    """Return the session file of one repository, queried once for all users who may read the same."""
    place = _get_gitlab_project(context, project, repository)
    key = (place or repository.url, repository.ref, person.name if place else None)
    if context.session_file_offers.get_cached(key) is None:
        await context.session_file_offers.flights.run(
            key, lambda: _fetch_session_file(context, person, repository, place, key)
        )
    cached = context.session_file_offers.get_cached(key)
    return cached.offer if cached else None


def _get_gitlab_project(context: AppContext, project: Project, repository: Repository) -> str | None:
    """Return GitLab's id or path of the repository's project, or None for other hosts."""
    if context.gitlab is None:
        return None
    return project.source_id if repository.fixed else get_path_in_gitlab(context.gitlab, repository.url)


async def _fetch_session_file(
    context: AppContext, person: Person, repository: Repository, place: str | None, key: Hashable
) -> None:
    try:
        data = await (
            _read_gitlab_file(context, person, repository, place) if place else _read_git_file(context, repository)
        )
        answer, seconds = (
            CachedSessionFileOffer(
                await asyncio.to_thread(_parse_session_file, repository, data) if data is not None else None
            ),
            _FILE_CACHE_SECONDS,
        )
    except (RenkuError, RemoteError, RepositoryNotFound) as problem:
        log.info("Failed to read session file of %s: %s", repository.directory, type(problem).__name__)
        answer, seconds = CachedSessionFileOffer(None), _FILE_RETRY_SECONDS
    except Exception:
        log.exception("Failed to read session file of %s", repository.directory)
        answer, seconds = CachedSessionFileOffer(None), _FILE_RETRY_SECONDS
    context.session_file_offers.seen.put(key, answer, seconds=seconds)


async def _read_gitlab_file(context: AppContext, person: Person, repository: Repository, place: str) -> bytes | None:
    """Read the file as *person*. `HEAD` is the default branch, see https://docs.gitlab.com/api/repository_files/."""
    assert context.gitlab is not None
    file = quote("/".join(SESSION_FILE_PATH), safe="")
    address = f"/projects/{quote(place, safe='')}/repository/files/{file}"
    try:
        gitlab_file = await context.gitlab.get(
            person.name, address, {"ref": repository.ref or "HEAD"}, within=_GITLAB_FILE_TIMEOUT_SECONDS
        )
        return base64.b64decode(gitlab_file["content"], validate=True)
    except GitLabNotFound:
        return None
    except (KeyError, TypeError, binascii.Error):
        raise ForbiddenError("GitLab did not return a file.") from None


async def _read_git_file(context: AppContext, repository: Repository) -> bytes | None:
    if context.git is None:
        return None
    return await context.git.read_file(repository.url, repository.ref, SESSION_FILE_PATH, MAX_DOCUMENT_SIZE_BYTES)


def _parse_session_file(repository: Repository, data: bytes) -> SessionFileOffer:
    offer = SessionFileOffer(directory=repository.directory, content=hashlib.sha256(data).hexdigest())
    try:
        return replace(offer, document=build_sessions_document(parse_yaml(data)))
    except MalformedInputError as problem:
        return replace(offer, problem=problem.message)
    except InvalidInputError as problem:
        problems = "; ".join(f"{path}: {sentence}" for path, sentence in list(problem.fields.items())[:3])
        return replace(offer, problem=problems or problem.message)


_CREDENTIALS_NOT_IN_FILE_MESSAGE = "Credentials cannot be in a file: please enter them on the project's settings page."
_STORAGE_OF_OTHER_KIND_MESSAGE = (
    "The storage in this directory is of another kind; remove it first, or choose another directory."
)


async def plan_storage_step(
    asked: PlanContext, path: str, wanted: DescribedStorage, present: Storage | None
) -> PlanStep:
    """Plan the change that *wanted* describes; errors are returned in the step."""
    made = PlanStep(
        kind=PlanStepKind.CHANGE if present else PlanStepKind.ADD, title=wanted.directory, path=path, storage=True
    )
    try:
        return await (
            _plan_changed_storage(asked, made, wanted, present) if present else _plan_new_storage(asked, made, wanted)
        )
    except InvalidInputError as problem:
        fields = {f"{path}.{name}": sentence for name, sentence in _hide_secret_fields(problem).items()}
        return replace(made, refused=fields or {path: problem.message})


def _hide_secret_fields(problem: InvalidInputError) -> dict[str, str]:
    """Replace errors about credentials by a hint: a file cannot contain them."""
    fields = {name: sentence for name, sentence in problem.fields.items() if not name.startswith("secrets")}
    return fields if len(fields) == len(problem.fields) else {**fields, "credentials": _CREDENTIALS_NOT_IN_FILE_MESSAGE}


async def _plan_new_storage(asked: PlanContext, made: PlanStep, wanted: DescribedStorage) -> PlanStep:
    if wanted.credentials is StorageCredentials.PROJECT:
        raise InvalidInputError(
            _CREDENTIALS_NOT_IN_FILE_MESSAGE, fields={"credentials": _CREDENTIALS_NOT_IN_FILE_MESSAGE}
        )
    made = replace(
        made,
        differences=(
            SessionDifference(field="kind", old="", new=wanted.kind),
            *_list_storage_differences(None, wanted),
        ),
    )
    if not asked.may:
        return made
    new = NewStorage(**vars(wanted))
    return replace(made, works=(await prepare_storage_addition(asked.context, asked.person, asked.project, new),))


async def _plan_changed_storage(
    asked: PlanContext, made: PlanStep, wanted: DescribedStorage, present: Storage
) -> PlanStep:
    if wanted.kind != present.kind:
        raise InvalidInputError(_STORAGE_OF_OTHER_KIND_MESSAGE, fields={"kind": _STORAGE_OF_OTHER_KIND_MESSAGE})
    wanted = _clean_described_storage(
        replace(wanted, settings=keep_confirmed_host_key(present.settings, wanted.settings))
    )
    differences = _list_storage_differences(present, wanted)
    if not differences:
        return replace(made, kind=PlanStepKind.SAME)
    made = replace(made, differences=differences)
    if not asked.may:
        return made
    change = StorageChange(
        version=present.version, settings=wanted.settings, path=wanted.path, credentials=wanted.credentials,
        read_only=wanted.read_only,
    )  # fmt: skip
    work = await prepare_storage_change(asked.context, asked.person, asked.project, present.id, change)
    return replace(made, works=(work,))


def _clean_described_storage(wanted: DescribedStorage) -> DescribedStorage:
    """Return the storage as it would be stored. Raises InvalidInputError: at `path`."""
    settings = {name: value.strip() for name, value in wanted.settings.items() if value.strip()}
    return replace(
        wanted, settings=settings, path=normalize_storage_path(wanted.path, STORAGE_KINDS_BY_NAME[wanted.kind])
    )


def _list_storage_differences(present: Storage | None, wanted: DescribedStorage) -> tuple[SessionDifference, ...]:
    old, new = _flatten_storage(present) if present else {}, _flatten_storage(wanted)
    return tuple(
        SessionDifference(field=name, old=old.get(name, ""), new=new.get(name, ""))
        for name in {**old, **new}
        if old.get(name, "") != new.get(name, "")
    )


def _flatten_storage(storage: Storage | DescribedStorage) -> dict[str, str]:
    return {
        **{f"settings.{name}": value for name, value in storage.settings.items()},
        "path": storage.path,
        "credentials": str(storage.credentials),
        "read_only": "yes" if storage.read_only else "no",
    }


_MAX_CONCURRENT_STEPS = 4  # per document, because steps query registries
# Titles and places below the session limit become free before they are taken.
_STEP_ORDER = (PlanStepKind.CHANGE, PlanStepKind.REMOVE, PlanStepKind.ADD)
_CONFIGURATION_NAMES = frozenset(each.name for each in CONFIGURATION_FIELDS)
_RUN_NAMES = frozenset(each.name for each in fields(RunOverrides))
_DOCUMENT_PATHS = {
    "environment": "environment", "image": "environment.image", "repository": "environment.repository",
    "branch": "environment.repository.branch", "name": "environment.name", "revision": "environment.digest",
}  # fmt: skip
_PROJECT_CHANGED_MESSAGE = "The project was changed in the meantime. Check it as it is now, then try again."
_SESSION_MATCHED_TWICE_MESSAGE = "Another session of this document refers to the session with that former title."


@dataclass(frozen=True, kw_only=True)
class SessionFilePlan:
    """The effect of a document on each session; `forbidden` is a sentence that says why the user may not apply it."""

    project: Project
    steps: tuple[PlanStep, ...]
    forbidden: str | None = None

    @property
    def refusals(self) -> dict[str, str]:
        """The sentences that say why parts cannot be done, by path; if there are any, nothing is done."""
        return {path: sentence for step in self.steps for path, sentence in step.refused.items()}

    @property
    def has_changes(self) -> bool:
        return any(step.kind in _STEP_ORDER for step in self.steps)


async def plan_session_file(
    context: AppContext,
    person: Person,
    ref: str,
    document: SessionsDocument,
    *,
    prune: bool = False,
    count: Callable[[], None] = lambda: None,
) -> SessionFilePlan:
    """Plan what *document* would change, for users who may see the project; nothing is written.

    *count* is called before a registry is queried. Sessions that are not described stay; with *prune* they are removed,
    unless other users have data in them.

    Raises:
        NotFoundError, UnavailableError; the errors of *count*.
    """
    project, forbidden = await _get_project_and_refusal(context, person, ref)
    present = await list_all_project_sessions(context, project)
    kept, asked = await read_transaction(context, lambda tx: _load_plan_context(tx, context, person, project, present))
    described = {item.directory for item in document.storages}
    asked = replace(asked, may=forbidden is None, count=count, storages=frozenset({*kept, *described}))
    places = list(enumerate(document.storages))
    data = await _gather_steps(
        plan_storage_step(asked, f"storages.{n}", item, kept.get(item.directory)) for n, item in places
    )
    matches, duplicates = match_sessions(document, present)
    numbered = list(enumerate(document.sessions))
    steps = await _gather_steps(_plan_session_step(asked, f"sessions.{n}", item, matches[n]) for n, item in numbered)
    named = {item.id for item in matches if item}
    undescribed = await _gather_steps(
        plan_undescribed_session(asked, item, prune=prune) for item in present if item.id not in named
    )
    steps = [
        replace(item, refused={item.path: _SESSION_MATCHED_TWICE_MESSAGE}) if n in duplicates else item
        for n, item in enumerate(steps)
    ]
    return SessionFilePlan(
        project=project,
        steps=tuple(_apply_session_limit(context, present, [*data, *steps, *undescribed])),
        forbidden=forbidden,
    )


async def apply_session_file(
    context: AppContext,
    person: Person,
    ref: str,
    document: SessionsDocument,
    *,
    prune: bool = False,
    count: Callable[[], None] = lambda: None,
    before: Callable[[SessionFilePlan], Awaitable[None]] | None = None,
) -> SessionFilePlan:
    """Apply the plan of `plan_session_file`, all of it or nothing. Applying it again changes nothing.

    *before* is called with the plan, and may raise to stop it.

    Raises:
        NotFoundError, ForbiddenError, UnavailableError.
        InvalidInputError: with a sentence at each path of the document that is not possible.
        ConflictError: `changed`, if the project was changed concurrently; `title_taken`.
    """
    await context.source.get_project(person, ref, ProjectAction.WRITE)
    planned = await plan_session_file(context, person, ref, document, prune=prune, count=count)
    if planned.forbidden:
        raise ForbiddenError(planned.forbidden)
    if planned.refusals:
        raise InvalidInputError("Nothing was changed, because parts of it are not possible.", fields=planned.refusals)
    if before is not None:
        await before(planned)
    if not planned.has_changes:
        return planned
    return await write_transaction_in_thread(context, lambda tx: _apply_steps(tx, planned))


def _apply_steps(tx: Transaction, planned: SessionFilePlan) -> SessionFilePlan:
    done: dict[int, Session] = {}
    numbers = [n for n, step in enumerate(planned.steps) if step.works]
    for number in sorted(numbers, key=lambda n: _get_step_order(planned.steps[n])):
        for work in planned.steps[number].works:
            try:
                stored = work(tx)
            except (UniqueConflict, ConcurrentUpdate):
                raise ConflictError(_PROJECT_CHANGED_MESSAGE, code="changed") from None
            done |= {number: stored} if isinstance(stored, Session) else {}
    steps = [replace(step, session=done.get(n, step.session)) for n, step in enumerate(planned.steps)]
    return replace(planned, steps=tuple(steps))


def _get_step_order(step: PlanStep) -> int:
    """Run storages first, because sessions refer to them."""
    return -1 if step.storage else _STEP_ORDER.index(step.kind)


async def _get_project_and_refusal(context: AppContext, person: Person, ref: str) -> tuple[Project, str | None]:
    """Return the project, and why the user may not change it."""
    try:
        return await context.source.get_project(person, ref, ProjectAction.WRITE), None
    except ForbiddenError as refusal:
        return await context.source.get_project(person, ref, ProjectAction.READ), refusal.message


def _load_plan_context(
    tx: Transaction, context: AppContext, person: Person, project: Project, present: Sequence[Session]
) -> tuple[dict[str, Storage], PlanContext]:
    kept = {storage.directory: storage for storage in tx.storages.list_for_project(project.id)}
    asked = PlanContext(
        context=context, person=person, project=project, offered=tx.environments.list_offered(),
        heirs=get_successors_of_sessions(tx, present),
        storages=frozenset(kept),
    )  # fmt: skip
    return kept, asked


def match_sessions(document: SessionsDocument, present: Sequence[Session]) -> tuple[list[Session | None], set[int]]:
    """Match each described session to an existing one, by its title or else by its former title.

    Also returns the numbers of descriptions that match a session which another description matches too.
    """
    by_title = {fold_title(session.title): session for session in present}
    matches = [by_title.get(fold_title(session.title)) for session in document.sessions]
    taken, twice = {session.id for session in matches if session}, set()
    for number, session in enumerate(document.sessions):
        former = by_title.get(fold_title(session.was)) if session.was and matches[number] is None else None
        if former is not None and former.id in taken:
            twice.add(number)
        elif former is not None:
            matches[number] = former
            taken.add(former.id)
    return matches, twice


async def _plan_session_step(
    asked: PlanContext, path: str, wanted: DescribedSession, present: Session | None
) -> PlanStep:
    """Plan the change that *wanted* describes; errors are returned in the step."""
    made = PlanStep(kind=PlanStepKind.ADD, title=wanted.title, path=path, session=present)
    try:
        if present is None:
            return await plan_new_session(asked, made, wanted)
        return await plan_changed_session(asked, made, wanted, present)
    except (InvalidInputError, ConflictError) as problem:
        kind = PlanStepKind.CHANGE if present else PlanStepKind.ADD
        return replace(made, kind=kind, refused=_map_errors_to_document(path, problem))


def _map_errors_to_document(path: str, problem: InvalidInputError | ConflictError) -> dict[str, str]:
    """Map the errors of a use case to paths of the document."""
    return {f"{path}.{_get_document_path(name)}": sentence for name, sentence in problem.fields.items()} or {
        path: problem.message
    }


def _get_document_path(name: str) -> str:
    if name.partition(".")[0] in _CONFIGURATION_NAMES:
        return f"configuration.{name}"
    return f"environment.run.{name}" if name in _RUN_NAMES else _DOCUMENT_PATHS.get(name, name)


async def _gather_steps(steps: Iterable[Coroutine[Any, Any, PlanStep]]) -> list[PlanStep]:
    gate = asyncio.Semaphore(_MAX_CONCURRENT_STEPS)

    async def one(step: Coroutine[Any, Any, PlanStep]) -> PlanStep:
        async with gate:
            await asyncio.sleep(0)  # a step without queries would not yield to the event loop
            return await step

    return list(await asyncio.gather(*map(one, steps)))


def _apply_session_limit(context: AppContext, present: Sequence[Session], steps: Sequence[PlanStep]) -> list[PlanStep]:
    """Refuse the steps that would add more sessions than an admin allows."""
    limit = context.policy.sessions_per_project
    if limit is None:
        return list(steps)
    free = limit - len(present) + sum(step.kind is PlanStepKind.REMOVE for step in steps)
    added = [step.path for step in steps if step.kind is PlanStepKind.ADD and not step.storage]
    over = frozenset(added[max(free, 0) :])
    message = f"An admin allows {limit} sessions in a project."
    return [
        replace(step, refused={**step.refused, step.path: message}) if step.path in over else step for step in steps
    ]
