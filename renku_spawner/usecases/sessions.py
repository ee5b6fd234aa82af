"""Add, change, copy and remove sessions of a project, and choose the environment revision that they run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..context.app_context import AppContext, read_transaction, write_transaction
from ..domain.access import Person, ProjectAction, Role
from ..domain.environments import (
    ChosenRevision,
    Environment,
    EnvironmentKind,
    EnvironmentState,
    NewCiImage,
    NewEnvironment,
    NewOwnImage,
    NewRevision,
    Revision,
    RunConfiguration,
    RunOverrides,
    check_run_overrides,
)
from ..domain.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError, build_not_found_error
from ..domain.ids import create_id, is_valid_id
from ..domain.image_checks import ImageInspection, InspectionResult
from ..domain.image_metadata import apply_image_user, check_image_user, parse_image_metadata_json
from ..domain.image_updates import ImageUpdate, resolve_image_update
from ..domain.images import parse_image_reference
from ..domain.instances import Instance
from ..domain.policy import HubPolicy
from ..domain.projects import Project, ProjectEntry
from ..domain.reasons import format_reason_sentence
from ..domain.resource_classes import find_unmet_requirements, list_fitting_classes
from ..domain.sessions import (
    NewSession,
    Session,
    SessionChange,
    SessionConfiguration,
    list_secret_variables,
)
from ..domain.text import MAX_TITLE_LENGTH, clean_description, clean_title, fold_title
from ..persistence.database import Transaction
from ..persistence.statements import ConcurrentUpdate, UniqueConflict
from .ci_images import check_ci_image, get_newest_ci_revision, prepare_ci_environment
from .images import (
    check_image_exists,
    format_image_reference,
    get_default_environment_description,
    get_default_environment_name,
    get_digest_image,
    get_revision_image,
    get_suggested_run,
    get_tag_image,
    is_image_permitted,
    prepare_external_environment,
    prepare_image_revision,
)


@dataclass(frozen=True, kw_only=True)
class EnvironmentReplacement:
    """A revision that replaces the one of a session, and the environment to which it belongs.

    `store` stores the revision unless it is stored already, and returns it. It raises UniqueConflict: `revision`, if
    two are created at once; ConflictError: `changed`.
    """

    environment: NewEnvironment
    revision: NewRevision
    store: Callable[[Transaction, Session], Revision]


@dataclass(frozen=True, kw_only=True)
class EnvironmentChoices:
    """Environments and revisions that an editor can choose for a session.

    `earlier` are revisions of other environments with which the session was started, the last used one first.
    `offered` are the ready-made environments.
    """

    earlier: Sequence[tuple[Environment, Revision]]
    offered: Sequence[Environment]


def get_run_choice(revision: Revision) -> RunOverrides:
    """Return the editor's own run settings, without those that come from the image."""
    return RunOverrides.from_run_configuration(revision.run, _get_suggested_run_of_revision(revision))


def keeps_pinned_image(revision: Revision, typed: str) -> bool:
    """Return True if *typed* is the present, pinned image: it keeps its digest."""
    return revision.digest is not None and _is_same_image(revision, typed)


async def prepare_environment_replacement(
    context: AppContext, person: Person, project: Project, session: Session, change: SessionChange
) -> EnvironmentReplacement | None:
    """Prepare the replacement of the session's environment or revision, or return None if nothing changes.

    Raises:
        InvalidInputError: at `environment`, if it is not offered (`environment_not_offered`); at `image`, if the image
            cannot be pulled, is not allowed or cannot run here; at the fields of the run configuration; the errors of
            `prepare_ci_environment`.
        ConflictError: `changed`, if another revision is offered, or another image is found than the reviewed one;
            `image_digest_gone`.
        NotFoundError, ForbiddenError, UnavailableError: errors of GitLab.
    """
    wanted: EnvironmentReplacement | None = None
    if change.environment is not None:
        wanted = await _prepare_chosen_environment(context, person, session, change.environment)
    elif change.built is not None:
        wanted = await _prepare_ci_replacement(context, person, project, session, change.built)
    elif change.image is not None:
        wanted = await _prepare_image_replacement(context, person, project, session, change.image)
    if wanted is not None:
        _require_same_digest(wanted.revision, change.digest)
    return wanted


async def load_environment_choices(context: AppContext, session: Session) -> EnvironmentChoices:
    """Load the environments and revisions that can replace those of the session."""

    def read(tx: Transaction) -> EnvironmentChoices:
        launched = [r for r in tx.environments.list_launched_revisions(session.id) if r.id != session.revision.id]
        environments = tx.environments.get_many(revision.environment for revision in launched)
        return EnvironmentChoices(
            earlier=[
                (environment, revision)
                for revision in launched
                if (environment := environments[revision.environment]).id != session.environment.id
                and (environment.is_offered or not environment.is_managed)
            ],
            offered=[e for e in tx.environments.list_offered() if e.id != session.environment.id],
        )

    return await read_transaction(context, read)


async def _prepare_chosen_environment(
    context: AppContext, person: Person, session: Session, wanted: ChosenRevision
) -> EnvironmentReplacement:
    environment, revision = await read_transaction(context, lambda tx: _find_chosen_revision(tx, session, wanted))
    await _require_available_revision(context, person, environment, revision, field="environment")

    def store(tx: Transaction, session: Session) -> Revision:
        environment, revision = _find_chosen_revision(tx, session, wanted)
        check_image_user(revision.run, revision.facts, field="environment")
        _require_permitted_revision(context, environment, revision, person, field="environment")
        return revision

    return EnvironmentReplacement(environment=environment, revision=revision, store=store)


def _find_chosen_revision(tx: Transaction, session: Session, wanted: ChosenRevision) -> tuple[Environment, Revision]:
    """Return the newest revision of a ready-made environment, or one with which the session was started before."""
    environment = tx.environments.get(wanted.environment) if is_valid_id(wanted.environment) else None
    if environment is not None and environment.is_managed and environment.is_offered:
        newest = environment.revision
        if wanted.revision in (None, newest.number):
            return environment, newest
    launched = [r for r in tx.environments.list_launched_revisions(session.id) if r.environment == wanted.environment]
    if environment is not None and (environment.is_offered or not environment.is_managed):
        for revision in launched:
            if wanted.revision in (None, revision.number):
                return environment, revision
        if environment.is_managed:
            raise ConflictError("Another revision is offered by now; please review it again.", code="changed")
    sentence = "This environment is not offered, and the session was never started with it."
    raise InvalidInputError(sentence, fields={"environment": sentence}, code="environment_not_offered")


async def _prepare_ci_replacement(
    context: AppContext, person: Person, project: Project, session: Session, wanted: NewCiImage
) -> EnvironmentReplacement | None:
    """Prepare another commit of a repository: a revision of the same environment if the session runs an image of it."""
    new, revision = await prepare_ci_environment(context, person, project, wanted)
    present, environment = session.revision, session.environment
    if environment.kind is not EnvironmentKind.REPOSITORY or environment.revision.repository != revision.repository:
        return _build_new_environment_replacement(context, person, new, revision)
    if (present.digest, present.run) == (revision.digest, revision.run):
        return None
    return _build_new_revision_replacement(context, person, environment, revision)


async def _prepare_image_replacement(
    context: AppContext, person: Person, project: Project, session: Session, wanted: NewOwnImage
) -> EnvironmentReplacement | None:
    """Prepare another image or run configuration: a revision of the same environment if that is a user's own image.

    A newer digest of the same image is not adopted here; it must be accepted as an update.
    """
    environment, present = session.environment, session.revision
    if environment.kind is not EnvironmentKind.EXTERNAL:
        return _build_new_environment_replacement(
            context, person, *await prepare_external_environment(context, person, project.id, wanted)
        )
    if is_same_image_and_run(present, wanted.image, wanted.run):
        return None
    if not keeps_pinned_image(present, wanted.image):
        checked, revision = await prepare_image_revision(
            context, person, replace(wanted, image=wanted.image or present.image)
        )
        renamed = _rename_environment_like_image(environment, present, checked)
        return _build_new_revision_replacement(context, person, renamed, revision)
    revision = build_revision_with_run(present, wanted.run)
    _require_permitted_revision(context, environment, present, person, field="image")
    return _build_new_revision_replacement(context, person, environment, revision)


def _build_new_environment_replacement(
    context: AppContext, person: Person, new: NewEnvironment, revision: NewRevision
) -> EnvironmentReplacement:
    def store(tx: Transaction, _: Session) -> Revision:
        return tx.environments.add(new, revision, by=person.name, now=context.now()).revision

    return EnvironmentReplacement(environment=new, revision=revision, store=store)


def _build_new_revision_replacement(
    context: AppContext, person: Person, environment: Environment, revision: NewRevision
) -> EnvironmentReplacement:
    def store(tx: Transaction, session: Session) -> Revision:
        if environment != session.environment:
            tx.environments.update_description(environment.id, environment)
        return tx.environments.add_revision(environment.id, revision, by=person.name, now=context.now())

    return EnvironmentReplacement(environment=environment, revision=revision, store=store)


def build_revision_with_run(present: Revision, run: RunOverrides) -> NewRevision:
    """Build a revision with the same image and another run configuration.

    Raises InvalidInputError at the fields of the run configuration.
    """
    wanted = check_run_overrides(run).apply_to(_get_suggested_run_of_revision(present))
    check_image_user(wanted, present.facts)
    return build_repeated_revision(present, wanted)


def build_repeated_revision(present: Revision, run: RunConfiguration | None = None) -> NewRevision:
    """Build a copy of *present*, with its run configuration or *run*."""
    return NewRevision(
        image=present.image, repository=present.repository, tag=present.tag, digest=present.digest,
        facts=present.facts, run=run or present.run, commit=present.commit,
    )  # fmt: skip


def is_same_image_and_run(present: Revision, typed: str, run: RunOverrides) -> bool:
    return _is_same_image(present, typed) and normalize_run_choice(run) == normalize_run_choice(get_run_choice(present))


def _is_same_image(revision: Revision, typed: str) -> bool:
    return typed.strip() in ("", revision.image)


def _get_suggested_run_of_revision(revision: Revision) -> RunConfiguration:
    return get_suggested_run(parse_image_metadata_json(revision.facts), get_revision_image(revision))


def normalize_run_choice(choice: RunOverrides) -> RunOverrides:
    """Treat an empty command and False as not set: a form cannot express that the image's own value shall not apply."""
    return replace(choice, command=choice.command or None, image_user=choice.image_user or None)


def _rename_environment_like_image(
    environment: Environment, present: Revision, checked: ImageInspection
) -> Environment:
    """Update a name and description that came from the image; texts that were edited stay."""
    if environment.name == get_default_environment_name(get_revision_image(present)):
        environment = replace(environment, name=get_default_environment_name(checked.image))
    if environment.description == get_default_environment_description(parse_image_metadata_json(present.facts)):
        environment = replace(environment, description=get_default_environment_description(checked.facts))
    return environment


SessionOperation = Callable[[Transaction], Session]


async def add_session(context: AppContext, person: Person, ref: str, new: NewSession) -> Session:
    """Add a session with a managed environment or an image (also one that CI has built) to a project.

    The first session becomes the project's default.

    Raises:
        NotFoundError: the project does not exist, or the environment is not managed.
        ForbiddenError.
        InvalidInputError: also `variable_secret`, until it is confirmed.
        ConflictError: `title_taken`, `limit_project`.
    """
    project = await context.source.get_project(person, ref, ProjectAction.WRITE)
    if not new.allow_secret:
        _require_no_secret_variables(new.configuration)
    return await write_transaction(context, await prepare_session_addition(context, person, project, new))


async def prepare_session_addition(
    context: AppContext, person: Person, project: Project, new: NewSession
) -> SessionOperation:
    """Return the operation that adds the session in a transaction, after all checks outside of the database.

    Raises the errors of `add_session`.
    """
    configuration = validate_configuration(context.policy, project, new.configuration)
    description = clean_description(new.description)
    own = await _prepare_own_environment(context, person, project, new)

    def work(tx: Transaction) -> Session:
        require_below_session_limit(tx, context.policy, project)
        require_session_storages(tx, project.id, configuration)
        environment = (
            tx.environments.add(*own, by=person.name, now=context.now())
            if own
            else require_offered_environment(tx, new.environment)
        )
        title = clean_title(new.title) if new.title else find_free_title(tx, project, environment.name)
        return store_new_session(
            tx, project, default=new.default, environment=environment, revision=environment.revision, title=title,
            description=description, configuration=configuration, by=person.name, now=context.now(),
        )  # fmt: skip

    return work


async def _prepare_own_environment(
    context: AppContext, person: Person, project: Project, new: NewSession
) -> tuple[NewEnvironment, NewRevision] | None:
    """Prepare the environment that the project gets for this session, or return None for a managed one."""
    if new.built is not None:
        return await prepare_ci_environment(context, person, project, new.built)
    return await prepare_external_environment(context, person, project.id, new.image) if new.image else None


def store_new_session(tx: Transaction, project: Project, *, default: bool, **fields: Any) -> Session:
    """Store the session; the first one of a project becomes its default. Raises ConflictError: `title_taken`."""
    try:
        session = tx.sessions.add(id=create_id(), project=project.id, **fields)
    except UniqueConflict:
        raise _build_title_taken_error() from None
    present = tx.projects.get(project.id)  # an earlier operation of this transaction may have set the default
    if default or present is None or present.default_session is None:
        tx.projects.set_default_session(project.id, session.id)
    return session


def require_offered_environment(tx: Transaction, environment_id: str | None) -> Environment:
    """Return an environment that is offered. Raises NotFoundError, or InvalidInputError: `env_archived`."""
    environment = tx.environments.get(environment_id) if environment_id else None
    if environment is None or not environment.is_managed or environment.state is EnvironmentState.DRAFT:
        raise build_not_found_error()  # drafts are only visible to admins
    if not environment.is_offered:
        sentence = f"The environment {environment.name} has been retired; choose another one."
        raise InvalidInputError(sentence, fields={"environment": sentence}, code="env_archived")
    return environment


def require_below_session_limit(tx: Transaction, policy: HubPolicy, project: Project) -> None:
    """Require that the project may have another session. Raises ConflictError: `limit_project`."""
    limit = policy.sessions_per_project
    if limit is not None and tx.sessions.count_for_project(project.id) >= limit:
        raise ConflictError(f"An admin allows {limit} sessions in a project; remove one first.", code="limit_project")


def find_free_title(tx: Transaction, project: Project, name: str) -> str:
    """Return the environment's name, with a number if the project has a session with that title."""
    taken, number, title = tx.sessions.list_folded_titles(project.id), 1, name
    while fold_title(title) in taken:
        number += 1
        suffix = f" ({number})"
        title = name[: MAX_TITLE_LENGTH - len(suffix)] + suffix
    return title


def validate_configuration(
    policy: HubPolicy, project: Project, configuration: SessionConfiguration
) -> SessionConfiguration:
    """Return the cleaned configuration, if a resource class can run it.

    Raises:
        InvalidInputError: with a message for each wrong field, and what the largest class has.
    """
    checked = configuration.check()
    lacking = find_unmet_requirements(policy.classes, checked.needs)
    if lacking:
        raise InvalidInputError("No class is large enough for this.", fields=lacking)
    known = {repository.directory for repository in project.repositories}
    if checked.repositories is not None and not set(checked.repositories) <= known:
        sentence = "The project has no repository in one of these directories."
        raise InvalidInputError(sentence, fields={"repositories": sentence})
    return checked


def require_session_storages(tx: Transaction, project: str, configuration: SessionConfiguration | None) -> None:
    """Require that the project has the storages of the configuration. Raises InvalidInputError: at `storages`."""
    chosen = configuration.storages if configuration else None
    if chosen and not set(chosen) <= {storage.directory for storage in tx.storages.list_for_project(project)}:
        sentence = "The project has no storage in one of these directories."
        raise InvalidInputError(sentence, fields={"storages": sentence})


def list_configuration_warnings(policy: HubPolicy, configuration: SessionConfiguration) -> list[str]:
    """List warnings for an editor before saving.

    They say who cannot start the session because of its requirements, and which variables look secret although all
    users who see the project can read them.
    """
    warnings = []
    fitting_classes = [c for c in policy.classes if c.meets_requirements(configuration.needs)]
    any_user = Person(name="")
    if fitting_classes and not list_fitting_classes(policy.classes, any_user, configuration.needs):
        warnings.append(
            f"Only people who may use {' or '.join(c.name for c in fitting_classes)} can start this session: "
            "no class that is open to all users is large enough."
        )
    secret = list_secret_variables(configuration.variables)
    if secret:
        warnings.append(f"{', '.join(secret)}: all people in the project can read the values of variables.")
    return warnings


async def change_session(
    context: AppContext, person: Person, ref: str, session_id: str, change: SessionChange
) -> Session:
    """Edit a session; changes take effect at the next start.

    Raises:
        NotFoundError, ForbiddenError.
        InvalidInputError: also `variable_secret`, until it is confirmed.
        ConflictError: `title_taken`, or `changed` with the newer version in `details`.
    """
    project = await context.source.get_project(person, ref, ProjectAction.WRITE)
    if change.configuration is not None and not change.allow_secret:
        present = await read_transaction(context, lambda tx: get_session_of_project(tx, project, session_id))
        _require_no_secret_variables(change.configuration, present.configuration.variables)
    return await write_transaction(context, await prepare_session_change(context, person, project, session_id, change))


def _require_no_secret_variables(configuration: SessionConfiguration, known: Collection[str] = ()) -> None:
    """Ask once before variables are saved that look secret, except *known* names. Raises InvalidInputError."""
    names = [name[:64] for name in list_secret_variables(configuration.check().variables) if name not in known]
    if names:
        shown = names if len(names) <= 3 else [*names[:2], f"{len(names) - 2} more"]
        listed = " and ".join([", ".join(shown[:-1]), shown[-1]] if shown[1:] else shown)
        sentence = f"Everybody who sees this project will read {listed}. Save anyway?"
        raise InvalidInputError(sentence, fields={"variables": sentence}, code="variable_secret")


async def prepare_session_change(
    context: AppContext, person: Person, project: Project, session_id: str, change: SessionChange
) -> SessionOperation:
    """Return the operation that edits the session in a transaction, after all checks outside of the database.

    Raises the errors of `change_session`.
    """
    cleaned = SessionChange(
        version=change.version,
        title=None if change.title is None else clean_title(change.title),
        description=None if change.description is None else clean_description(change.description),
        configuration=None
        if change.configuration is None
        else validate_configuration(context.policy, project, change.configuration),
    )
    instead = await _prepare_replacement(context, person, project, session_id, change)

    def work(tx: Transaction) -> Session:
        session = get_session_of_project(tx, project, session_id)
        require_session_storages(tx, project.id, cleaned.configuration)
        try:
            revision = instead.store(tx, session) if instead else None
            return tx.sessions.update(session, cleaned, context.now(), revision)
        except UniqueConflict as clash:
            raise (
                _build_title_taken_error() if clash.what == "title" else build_session_changed_error(session)
            ) from None
        except ConcurrentUpdate:
            raise build_session_changed_error(session) from None

    return work


async def _prepare_replacement(
    context: AppContext, person: Person, project: Project, session_id: str, change: SessionChange
) -> EnvironmentReplacement | None:
    """Prepare another environment, image or run configuration.

    The version is checked first, so that no registry is queried for a change that is outdated.
    """
    if change.environment is None and change.image is None and change.built is None:
        return None
    session = await read_transaction(context, lambda tx: get_session_of_project(tx, project, session_id))
    require_session_version(session, change.version)
    return await prepare_environment_replacement(context, person, project, session, change)


async def get_project_id_of_session(context: AppContext, session_id: str) -> str:
    """Return the id of the session's project, or an unused id if there is no such session.

    Loading that project then fails in the same way as for a hidden one.
    """
    session = await read_transaction(context, lambda tx: tx.sessions.get(session_id))
    return session.project if session else create_id()


def get_session_of_project(tx: Transaction, project: Project, session_id: str) -> Session:
    """Return the session if it belongs to this project and was not deleted. Raises NotFoundError."""
    session = tx.sessions.get(session_id) if is_valid_id(session_id) else None
    if session is None or session.project != project.id:
        raise build_not_found_error()
    return session


def _build_title_taken_error() -> ConflictError:
    sentence = "Another session of this project has this title; choose another one."
    return ConflictError(sentence, code="title_taken", fields={"title": sentence})


def require_session_version(session: Session, version: int | None) -> None:
    """Raise ConflictError unless *version*, which the user saw, is that of *session*; None skips the check."""
    if version not in (None, session.version):
        raise build_session_changed_error(session)


def build_session_changed_error(session: Session) -> ConflictError:
    return ConflictError(
        "This session was changed since you opened the page. Check it as it is now, then try again.",
        code="changed",
        details={"version": session.version, "session": session.id},
    )


CI_IMAGE_NOT_COPYABLE_MESSAGE = (
    "Its image is built by this project's CI, so that it can only be copied inside this project."
)


@dataclass(frozen=True, kw_only=True)
class CopyTarget:
    """A project that a session can be copied to."""

    id: str
    path: str
    title: str


async def get_session_to_copy(
    context: AppContext, person: Person, ref: str, session_id: str
) -> tuple[Project, Session]:
    """Return the session to copy, with its project. Raises NotFoundError."""
    project = await context.source.get_project(person, ref, ProjectAction.READ)
    return project, await read_transaction(context, lambda tx: get_session_of_project(tx, project, session_id))


async def list_copy_targets(
    context: AppContext, person: Person, here: Project, session: Session, *, search: str = "", after: str | None = None
) -> tuple[list[CopyTarget], str | None]:
    """List the projects that *person* may copy the session to, and return the cursor of the next page.

    The project *here* comes first, then those of one page of projects that the user may change.
    """
    own = [] if search or after or not await _can_write_project(context, person, here) else [_build_copy_target(here)]
    if session.environment.kind is EnvironmentKind.REPOSITORY:
        return own, None
    entries, following = await context.source.list_projects(person, search=search, after=after)
    others = [e for e in entries if e.role >= Role.EDITOR and not e.archived and (e.id != here.id or not own)]
    return own + [_build_copy_target(entry) for entry in others], following


async def _can_write_project(context: AppContext, person: Person, project: Project) -> bool:
    try:
        await context.source.get_project(person, project.id, ProjectAction.WRITE)
    except (ForbiddenError, NotFoundError):
        return False
    return True


def _build_copy_target(project: Project | ProjectEntry) -> CopyTarget:
    return CopyTarget(id=project.id, path=project.path, title=project.title)


def list_uncopied_variables(session: Session) -> list[str]:
    """List the names of variables that look secret: they are meant for the session's own project and are not copied."""
    return list_secret_variables(session.configuration.variables)


async def copy_session(
    context: AppContext,
    person: Person,
    ref: str,
    session_id: str,
    to: str,
    *,
    title: str | None = None,
    default: bool = False,
    version: int | None = None,
) -> Session:
    """Copy a session to the project *to*.

    The copy runs the same revision of a managed environment, or a new environment with revision 1 and no link to the
    original. In another project it gets all repositories and storages of that project. Without a *title* it keeps the
    same one, with a number if that is taken. *version* is that of the session which the user saw.

    Raises:
        NotFoundError: one of the two projects, or the session.
        ForbiddenError: *person* may not change the project *to*.
        InvalidInputError: at `project`, for an image that CI has built or that *person* may not use; for a retired
            environment; or if no class is large enough.
        ConflictError: `changed`, `title_taken`, `limit_project`.
    """
    source, session = await get_session_to_copy(context, person, ref, session_id)
    require_session_version(session, version)
    target = await context.source.get_project(person, to, ProjectAction.WRITE)
    inside = source.id == target.id
    _require_copyable_image(context.policy, person, session, inside=inside)
    configuration = validate_configuration(context.policy, target, _copy_configuration(session, inside=inside))
    environment_of = _prepare_copied_environment(context, person, session, target)

    def work(tx: Transaction) -> Session:
        require_below_session_limit(tx, context.policy, target)
        environment, revision = environment_of(tx)
        return store_new_session(
            tx, target, default=default, environment=environment, revision=revision,
            title=clean_title(title) if title else find_free_title(tx, target, session.title),
            description=session.description, configuration=configuration, by=person.name, now=context.now(),
        )  # fmt: skip

    return await write_transaction(context, work)


def _require_copyable_image(policy: HubPolicy, person: Person, session: Session, *, inside: bool) -> None:
    kind, image = session.environment.kind, session.revision.canonical_reference
    if kind is EnvironmentKind.REPOSITORY and not inside:
        raise InvalidInputError(
            CI_IMAGE_NOT_COPYABLE_MESSAGE, fields={"project": CI_IMAGE_NOT_COPYABLE_MESSAGE}, code="copy_built"
        )
    if kind is EnvironmentKind.EXTERNAL and not policy.images.is_permitted(parse_image_reference(image), person):
        message = format_reason_sentence("registry_not_allowed", image=image)
        raise InvalidInputError(message, fields={"project": message}, code="registry_not_allowed")


def _copy_configuration(session: Session, *, inside: bool) -> SessionConfiguration:
    """Copy the configuration. Directories are specific to a project, so in another one the session gets all or none."""
    old, secret = session.configuration, set(list_uncopied_variables(session))
    kept = {name: value for name, value in old.variables.items() if name not in secret}
    if inside:
        return replace(old, variables=kept)
    return replace(
        old,
        variables=kept,
        repositories=None if old.repositories else old.repositories,
        storages=None if old.storages else old.storages,
    )


def _prepare_copied_environment(
    context: AppContext, person: Person, session: Session, target: Project
) -> Callable[[Transaction], tuple[Environment, Revision]]:
    """Return a function that gives the environment and pinned revision of the copy in a transaction."""
    old, pinned = session.environment, session.revision
    if old.kind is EnvironmentKind.DEFAULT:
        return lambda tx: (require_offered_environment(tx, old.id), pinned)
    new = NewEnvironment(
        name=old.name, kind=old.kind, project=target.id,
        description=old.description, keywords=old.keywords, icon=old.icon,
    )  # fmt: skip
    revision = NewRevision(
        image=pinned.image, repository=pinned.repository, tag=pinned.tag, digest=pinned.digest, facts=pinned.facts,
        run=pinned.run, commit=pinned.commit, built=pinned.built,
    )  # fmt: skip

    def made(tx: Transaction) -> tuple[Environment, Revision]:
        environment = tx.environments.add(new, revision, by=person.name, now=context.now())
        return environment, environment.revision

    return made


async def remove_session(
    context: AppContext, person: Person, ref: str, session_id: str, *, new_default: str | None = None
) -> Session:
    """Remove a session from its project; users keep their data in it.

    If it is the default, *new_default* replaces it, or else the oldest session that remains.

    Raises:
        NotFoundError, ForbiddenError.
        InvalidInputError: at `new_default`, if that session is not in the project.
    """
    project = await context.source.get_project(person, ref, ProjectAction.WRITE)
    return await write_transaction(context, prepare_session_removal(context, project, session_id, new_default))


def prepare_session_removal(
    context: AppContext, project: Project, session_id: str, new_default: str | None = None
) -> SessionOperation:
    """Return the operation that removes the session in a transaction."""

    def work(tx: Transaction) -> Session:
        session = get_session_of_project(tx, project, session_id)
        present = tx.projects.get(project.id)
        tx.sessions.delete(session.id, context.now())
        if present and present.default_session == session.id:
            tx.projects.set_default_session(project.id, _select_new_default(tx, project, session, new_default))
        return session

    return work


def _select_new_default(tx: Transaction, project: Project, session: Session, wanted: str | None) -> str | None:
    if wanted is None:
        oldest = tx.sessions.find_oldest_except(project.id, but=session.id)
        return oldest.id if oldest else None
    successor = tx.sessions.get(wanted)
    if successor is None or successor.project != project.id or successor.id == session.id:
        sentence = "There is no such session in this project."
        raise InvalidInputError(sentence, fields={"new_default": sentence})
    return successor.id


async def set_default_session(context: AppContext, person: Person, ref: str, session_id: str) -> Session:
    """Make this session the project's default."""
    project = await context.source.get_project(person, ref, ProjectAction.WRITE)
    return await write_transaction(context, prepare_default_session(project, session_id))


def prepare_default_session(project: Project, session_id: str) -> SessionOperation:
    """Return the operation that makes the session the default in a transaction."""

    def work(tx: Transaction) -> Session:
        session = get_session_of_project(tx, project, session_id)
        tx.projects.set_default_session(project.id, session.id)
        return session

    return work


async def list_session_revisions(context: AppContext, person: Person, ref: str, session_id: str) -> list[Revision]:
    """List the revisions of the session's environment, newest first."""
    project = await context.source.get_project(person, ref, ProjectAction.READ)
    return await read_transaction(
        context,
        lambda tx: tx.environments.list_revisions(get_session_of_project(tx, project, session_id).environment.id),
    )


async def get_last_launch_run(context: AppContext, instance: Instance) -> RunConfiguration:
    """Return the run configuration of the instance's last start."""
    revision = await read_transaction(context, lambda tx: tx.environments.get_revision(instance.revision or ""))
    return apply_image_user(revision) if revision else RunConfiguration()


async def choose_revision(
    context: AppContext,
    person: Person,
    ref: str,
    session_id: str,
    revision: int | str,
    digest: str | None = None,
    version: int | None = None,
) -> Session:
    """Switch a session to another revision from its next start on.

    *revision* is a number or an id. An update that is only known from its registry is stored as a revision now, unless
    another request has just done so. *digest* is the content that the user reviewed, and *version* the version of the
    session.

    Raises:
        NotFoundError, ForbiddenError.
        InvalidInputError: at `revision`, a revision of another environment, or the present image from before its
            content
            was known; `registry_not_allowed`; `image_root`.
        ConflictError: `changed`, also if the tag was moved again; `image_digest_gone`.
    """
    project = await context.source.get_project(person, ref, ProjectAction.WRITE)
    session = await read_transaction(context, lambda tx: get_session_of_project(tx, project, session_id))
    try:
        require_session_version(session, version)
        return await write_transaction(
            context, await prepare_revision_choice(context, person, project, session, revision, digest, version)
        )
    except UniqueConflict:
        raise build_session_changed_error(session) from None


async def prepare_revision_choice(
    context: AppContext,
    person: Person,
    project: Project,
    session: Session,
    revision: int | str,
    digest: str | None = None,
    version: int | None = None,
) -> SessionOperation:
    """Return the operation that switches the revision in a transaction, after all checks outside of the database.

    Raises the errors of `choose_revision`.
    """
    chosen = await read_transaction(context, lambda tx: _find_revision(tx, session, revision))
    if chosen is not None:
        await _require_available_revision(context, person, session.environment, chosen)
    new = await _find_newer_ci_revision(context, person, session, revision) if chosen is None else None

    def work(tx: Transaction) -> Session:
        present = get_session_of_project(tx, project, session.id)
        require_session_version(present, version)
        wanted = _find_revision(tx, present, revision) or _create_accepted_revision(
            tx, context, person, present, revision, new
        )
        _require_not_superseded(wanted, present.revision)
        _require_same_digest(wanted, digest)
        check_image_user(wanted.run, wanted.facts, field="revision")
        _require_permitted_revision(context, present.environment, wanted, person)
        try:
            return tx.sessions.pin_revision(present, wanted)
        except ConcurrentUpdate:
            raise build_session_changed_error(present) from None

    return work


async def dismiss_image_update(context: AppContext, person: Person, ref: str, session_id: str, digest: str) -> Session:
    """Dismiss the newer image with that *digest*, until there is another one.

    Raises:
        NotFoundError, ForbiddenError.
    """
    project = await context.source.get_project(person, ref, ProjectAction.WRITE)

    def work(tx: Transaction) -> Session:
        session = get_session_of_project(tx, project, session_id)
        tx.sessions.dismiss_image(session, digest)
        return get_session_of_project(tx, project, session_id)

    return await write_transaction(context, work)


def _find_revision(tx: Transaction, session: Session, number_or_id: int | str) -> Revision | None:
    revisions = tx.environments.list_revisions(session.environment.id)
    return next((revision for revision in revisions if str(number_or_id) in (str(revision.number), revision.id)), None)


def _require_not_superseded(wanted: Revision, pinned: Revision) -> None:
    """Reject going back to an unpinned revision of the pinned image, which would run whatever the tag names by then."""
    if wanted.is_unpinned_copy_of(pinned):
        message = (
            f"Revision {wanted.number} is the same image from before its content was known; "
            f"revision {pinned.number} pins it."
        )
        raise InvalidInputError(message, fields={"revision": message}, code="revision_superseded")


def _require_same_digest(revision: NewRevision, digest: str | None) -> None:
    if digest is not None and digest != revision.digest:
        raise ConflictError("The image has changed once more in the meantime; look at it again.", code="changed")


def _require_permitted_revision(
    context: AppContext, environment: Environment, revision: Revision, person: Person, *, field: str = "revision"
) -> None:
    if not is_image_permitted(context, environment, revision, person):
        message = format_reason_sentence("registry_not_allowed", image=revision.canonical_reference)
        raise InvalidInputError(message, fields={field: message}, code="registry_not_allowed")


async def _find_newer_ci_revision(
    context: AppContext, person: Person, session: Session, revision: int | str
) -> NewRevision | None:
    """Return the newest CI image as a revision, if *revision* can refer to it."""
    newest = session.environment.revision
    if session.environment.kind is not EnvironmentKind.REPOSITORY or str(revision) != str(newest.number + 1):
        return None
    newer = await get_newest_ci_revision(context, person, session)
    return None if newer.digest == newest.digest else newer


def _create_accepted_revision(
    tx: Transaction,
    context: AppContext,
    person: Person,
    session: Session,
    revision: int | str,
    new: NewRevision | None,
) -> Revision:
    """Create the revision of a newer image that an editor accepts."""
    if new is not None and str(revision) == str(session.environment.revision.number + 1):
        return tx.environments.add_revision(session.environment.id, new, by=person.name, now=context.now())
    update = find_image_update(tx, session)
    if update is None or update.stored or str(revision) != str(update.revision):
        message = "This environment has no such revision."
        raise InvalidInputError(message, fields={"revision": message})
    newest = session.environment.revision
    accepted = NewRevision(
        image=newest.image, repository=newest.repository, tag=newest.tag, digest=update.digest, facts=update.facts,
        run=newest.run, commit=newest.commit,
    )  # fmt: skip
    return tx.environments.add_revision(session.environment.id, accepted, by=person.name, now=context.now())


def find_image_update(tx: Transaction, session: Session) -> ImageUpdate | None:
    """Return the newer image that an editor could accept for *session*."""
    tag = get_tag_image(session.environment.revision)
    status = tx.images.get(format_image_reference(tag)) if tag else None
    return resolve_image_update(session.revision, session.environment, status)


async def _require_available_revision(
    context: AppContext, person: Person, environment: Environment, revision: Revision, *, field: str = "revision"
) -> None:
    """Raise ConflictError if the registry reports that the image is gone.

    A registry that does not answer blocks nothing.
    """
    content = get_digest_image(revision)
    if content is None or not is_image_permitted(context, environment, revision):
        return
    if environment.kind is EnvironmentKind.REPOSITORY:
        verdict = await check_ci_image(context, person, revision)
    else:
        verdict = await check_image_exists(context, content, trusted=environment.is_managed)
    if verdict is InspectionResult.NOT_FOUND:
        message = format_reason_sentence("image_digest_gone", image=revision.canonical_reference)
        raise ConflictError(message, code="image_digest_gone", fields={field: message})
