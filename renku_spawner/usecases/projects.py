"""List, create, change, leave and delete projects, and check their repositories."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from urllib.parse import quote, urlsplit

from ..context.app_context import AppContext, read_transaction, write_transaction
from ..domain.access import Person, ProjectAction, Role
from ..domain.errors import ConflictError, ForbiddenError, InvalidInputError
from ..domain.ids import check_directory, create_id, make_unique_directory, parse_project_path, to_namespace
from ..domain.instances import Instance
from ..domain.policy import HubPolicy
from ..domain.projects import (
    NewProject,
    NewRepository,
    Project,
    ProjectChange,
    ProjectEntry,
    ProjectMember,
    Repository,
    check_git_ref,
    check_repository_url,
)
from ..domain.sessions import SessionChange
from ..domain.text import clean_description, clean_title
from ..integrations.git_server import RepositoryNotFound
from ..integrations.gitlab.client import GitLabClient, GitLabForbidden, GitLabNotFound
from ..integrations.net.errors import ConnectionNotAllowed, RemoteUnreachable
from ..persistence.database import Transaction
from ..persistence.statements import ConcurrentUpdate, UniqueConflict

MAX_PROJECT_REPOSITORIES = 20
_MAX_CONCURRENT_REPOSITORY_CHECKS = 4  # per request
_COMMIT_PATTERN = re.compile(r"[0-9a-f]{7,40}")  # a commit is not advertised as a ref, so it cannot be looked up


async def prepare_project_repositories(
    context: AppContext, person: Person, project: Project, wanted: Sequence[NewRepository]
) -> list[Repository]:
    """Return the repositories besides the project's own, after checking those with a new address or branch."""
    own = project.own_repository
    result = assign_repository_directories(context.policy, wanted, own, kept=project.directory)
    known = {(repository.url, repository.ref) for repository in project.repositories}
    numbers = [number for number, new in enumerate(wanted) if own is None or new.url != own.url]
    placed_at = zip(numbers, result, strict=True)
    await _check_new_repositories(
        context,
        person,
        {number: repository for number, repository in placed_at if (repository.url, repository.ref) not in known},
    )
    return result


async def _check_new_repositories(context: AppContext, person: Person, new: Mapping[int, Repository]) -> None:
    """Check the new repositories concurrently.

    Raises the errors of `check_repository`; InvalidInputError names the fields of all repositories that are wrong.
    """
    gate = asyncio.Semaphore(_MAX_CONCURRENT_REPOSITORY_CHECKS)

    async def one(each: Repository) -> None:
        async with gate:
            await check_repository(context, person, each)

    results = await asyncio.gather(*map(one, new.values()), return_exceptions=True)
    problems = [(number, problem) for number, problem in zip(new, results, strict=True) if problem is not None]
    invalid = [
        _add_repository_path(number, problem) for number, problem in problems if isinstance(problem, InvalidInputError)
    ]
    if len(invalid) < len(problems):
        raise next(problem for _, problem in problems if not isinstance(problem, InvalidInputError))
    if invalid:
        raise InvalidInputError(
            invalid[0].message, fields={key: sentence for each in invalid for key, sentence in each.fields.items()}
        )


def assign_repository_directories(
    policy: HubPolicy, repositories: Sequence[NewRepository], own: Repository | None = None, *, kept: str | None = None
) -> list[Repository]:
    """Return repositories with checked URLs, each in a directory of its own, without the project's own repository.

    The directory *kept* is reserved for the project's own repository while it has none.

    Raises:
        InvalidInputError: at `repositories.<n>.url`, `.ref` or `.directory`.
    """
    if len(repositories) > MAX_PROJECT_REPOSITORIES:
        sentence = f"At most {MAX_PROJECT_REPOSITORIES} repositories, please."
        raise InvalidInputError(sentence, fields={"repositories": sentence})
    named = [r.directory for r in repositories if r.directory]
    taken = [own.directory] if own else [kept] if kept else []
    result: list[Repository] = []
    for number, new in enumerate(repositories):
        if own and new.url == own.url:
            continue
        try:
            _reject_own_repository(own, new)
            repository = _build_repository(policy, new, [*taken, *named])
            _reject_duplicate_directories([*taken, repository.directory])
        except InvalidInputError as problem:
            raise _add_repository_path(number, problem) from None
        taken.append(repository.directory)
        result.append(repository)
    return result


def _add_repository_path(number: int, problem: InvalidInputError) -> InvalidInputError:
    fields = {f"repositories.{number}.{key}": sentence for key, sentence in problem.fields.items()}
    return InvalidInputError(problem.message, fields=fields)


def _build_repository(policy: HubPolicy, new: NewRepository, taken: Sequence[str]) -> Repository:
    url = check_repository_url(new.url, hosts=policy.repository_hosts)
    return Repository(
        directory=check_directory(new.directory) if new.directory else make_unique_directory(url, taken),
        url=url,
        ref=check_git_ref(new.ref) if new.ref else None,
        lfs=new.lfs,
        submodules=new.submodules,
    )


def _reject_own_repository(own: Repository | None, new: NewRepository) -> None:
    """Reject the project's own repository under another spelling, which would be cloned twice."""
    if own and _normalize_repository_url(own.url) == _normalize_repository_url(new.url):
        raise _build_repository_field_error("url", "This is the project itself, which is there already.")


def _normalize_repository_url(url: str) -> str:
    return url.casefold().rstrip("/").removesuffix(".git")


def _reject_duplicate_directories(directories: Sequence[str]) -> None:
    """Reject directories that differ only in case: many file systems ignore case."""
    folded = [directory.casefold() for directory in directories]
    if len(set(folded)) < len(folded):
        sentence = "Another repository has this directory already; capitals make no difference."
        raise InvalidInputError(sentence, fields={"directory": sentence})


def reject_storage_directories(repositories: Sequence[Repository], storages: Collection[str]) -> None:
    """Reject repositories in the directories of *storages*: both are mounted side by side.

    Raises:
        InvalidInputError: at `repositories.<n>.directory`.
    """
    folded = {directory.casefold() for directory in storages}
    for number, repository in enumerate(repositories):
        if repository.directory.casefold() in folded:
            raise _add_repository_path(
                number,
                _build_repository_field_error("directory", "A storage of the project has this directory already."),
            )


async def check_repository(context: AppContext, person: Person, new: Repository) -> None:
    """Check that a repository exists: in our GitLab as *person*, on other hosts anonymously, as a clone will.

    Raises:
        InvalidInputError: at `url` or `ref`.
        GitLabUnavailable, GitLabLoginRequired: GitLab gives no answer.
    """
    path = get_path_in_gitlab(context.gitlab, new.url) if context.gitlab else None
    if context.gitlab and path is not None:
        await _check_gitlab_repository(context.gitlab, person, path, new.ref)
    elif context.git is not None:
        await _check_external_repository(context, new)


def get_path_in_gitlab(gitlab: GitLabClient, url: str) -> str | None:
    """Return the path of the project at *url* in *gitlab*, or None for other hosts."""
    gitlab_address, address = urlsplit(gitlab.url), urlsplit(url)
    if (address.scheme, address.netloc.lower()) != (gitlab_address.scheme, gitlab_address.netloc.lower()):
        return None
    return address.path.removeprefix(f"{gitlab_address.path}/").strip("/").removesuffix(".git")


async def _check_gitlab_repository(gitlab: GitLabClient, person: Person, path: str, ref: str | None) -> None:
    repository = f"/projects/{quote(path, safe='')}/repository"
    try:
        await gitlab.get(person.name, f"{repository}/branches", {"per_page": 1})
    except GitLabNotFound:
        raise _build_repository_field_error(
            "url", "There is no such repository in GitLab, or you have no access to it."
        ) from None
    except GitLabForbidden as refusal:
        raise _build_repository_field_error(
            "url", refusal.message if refusal.scope else "You may not read its code in GitLab."
        ) from None
    if ref is None:
        return
    try:
        await gitlab.get(person.name, f"{repository}/commits/{quote(ref, safe='')}")
    except GitLabNotFound:
        raise _build_unknown_ref_error(ref) from None


async def _check_external_repository(context: AppContext, new: Repository) -> None:
    host = urlsplit(new.url).hostname or ""
    try:
        has_ref = context.git is None or await context.git.has_ref(new.url, new.ref)
    except RepositoryNotFound as problem:
        raise _build_repository_field_error("url", str(problem)) from None
    except ConnectionNotAllowed as problem:
        raise _build_repository_field_error("url", f"The hub may not fetch from there: {problem.detail}.") from None
    except RemoteUnreachable as problem:
        raise _build_repository_field_error(
            "url", f"The host {host[:100]} {problem.detail}. Nothing was saved; try again later."
        ) from None
    if not has_ref and new.ref and not _COMMIT_PATTERN.fullmatch(new.ref):
        raise _build_unknown_ref_error(new.ref)


def _build_unknown_ref_error(ref: str) -> InvalidInputError:
    return _build_repository_field_error("ref", f"The repository has no branch, tag or commit {ref}.")


def _build_repository_field_error(field: str, sentence: str) -> InvalidInputError:
    return InvalidInputError(sentence, fields={field: sentence})


MAX_PROJECT_MEMBERS = 200


async def list_projects(
    context: AppContext, person: Person, *, search: str = "", after: str | None = None, limit: int = 20
) -> tuple[list[tuple[ProjectEntry, Instance | None]], str | None]:
    """List the projects that *person* may see, with their own instance of each default session."""
    entries, following = await context.source.list_projects(person, search=search, after=after, limit=limit)
    defaults = [entry.default_session for entry in entries if entry.default_session]
    mine = (
        await read_transaction(context, lambda tx: tx.instances.get_for_sessions(person.name, defaults))
        if defaults
        else {}
    )
    return [(entry, mine.get(entry.default_session or "")) for entry in entries], following


async def get_project(context: AppContext, person: Person, ref: str) -> Project:
    """Return the project with id or path *ref*. Raises NotFoundError."""
    return await context.source.get_project(person, ref, ProjectAction.READ)


async def create_project(context: AppContext, person: Person, new: NewProject) -> Project:
    """Create a project below the user's own name, or as an admin below the name of any group.

    Raises:
        InvalidInputError: with a message for each wrong field.
        ForbiddenError: the namespace is not the user's, or projects are created in GitLab.
        ConflictError: `path_taken`; `limit_projects`, if the user has created as many as an admin allows.
    """
    _require_local_project_creation(context)
    new, repositories = validate_new_project(context.policy, new)
    _require_own_namespace(context, person, new.path)
    await _check_new_repositories(context, person, dict(enumerate(repositories)))
    limit = _get_project_limit(context.policy, person)

    def work(tx: Transaction) -> Project:
        if limit is not None:
            tx.instances.lock_user(person.name)
            _require_below_project_limit(limit, tx.projects.count_created(person.name))
        try:
            return tx.projects.add(new, id=create_id(), repositories=repositories, owner=person.name, now=context.now())
        except UniqueConflict:
            raise _build_path_taken_error(new.path) from None

    return await write_transaction(context, work)


async def suggest_members(context: AppContext, person: Person, project: Project) -> list[str]:
    """Return names that an owner may be offered as new members: those who share another project with *person*.

    The list of all users of the hub is not for everyone, so names that *person* does not see elsewhere are left out.
    """
    if not project.is_hub_project or project.get_role(person) is not Role.OWNER:
        return []
    present = {member.name for member in project.members if member.kind == "user"}
    names = await read_transaction(context, lambda tx: tx.projects.list_fellow_members(person.name))
    return [name for name in names if name not in present]


async def get_project_quota(context: AppContext, person: Person) -> tuple[int, int] | None:
    """Return how many projects the user has created and may create, or None without a limit."""
    limit = _get_project_limit(context.policy, person)
    if limit is None:
        return None
    return await read_transaction(context, lambda tx: tx.projects.count_created(person.name)), limit


def _get_project_limit(policy: HubPolicy, person: Person) -> int | None:
    """Return no limit for hub admins: they create projects for groups, and could change the limit anyway."""
    return None if person.admin else policy.projects_per_user


def _require_below_project_limit(limit: int, count: int) -> None:
    if count >= limit:
        raise ConflictError(
            f"You have created {count} of {limit} projects, the limit that an admin has set. Delete one first.",
            code="limit_projects", details={"count": count, "limit": limit},
        )  # fmt: skip


def validate_new_project(policy: HubPolicy, new: NewProject) -> tuple[NewProject, list[Repository]]:
    """Return the new project with cleaned texts, and its repositories with their directories."""
    first, second = parse_project_path(new.path)
    cleaned = NewProject(
        path=f"{first}/{second}",
        title=clean_title(new.title),
        description=clean_description(new.description),
        visibility=new.visibility,
    )
    return cleaned, assign_repository_directories(policy, new.repositories)


async def change_project(context: AppContext, person: Person, ref: str, change: ProjectChange) -> Project:
    """Edit a project.

    Owners change members, path, visibility and `listed`; editors the rest. Of a project in GitLab only the default
    session and the further repositories can be changed here.

    Raises:
        NotFoundError, ForbiddenError, InvalidInputError.
        ConflictError: `changed` (with the newer version in `details`), `path_taken`.
    """
    owners_only = (change.members, change.path, change.visibility, change.listed)
    action = ProjectAction.WRITE if all(value is None for value in owners_only) else ProjectAction.MANAGE
    project = await context.source.get_project(person, ref, action)
    _require_locally_managed_fields(project, change)
    change = _clean_project_change(context, person, project, change)
    repositories = (
        None
        if change.repositories is None
        else await prepare_project_repositories(context, person, project, change.repositories)
    )

    def work(tx: Transaction) -> Project:
        _require_default_in_project(tx, project, change.default_session)
        reject_storage_directories(
            repositories or (), [storage.directory for storage in tx.storages.list_for_project(project.id)]
        )
        try:
            changed = tx.projects.update(project, change, repositories=repositories, now=context.now())
            if change.moved_repository:
                _select_moved_repository(tx, project.id, *change.moved_repository, context.now())
            return changed
        except UniqueConflict:
            raise _build_path_taken_error(change.path or project.path) from None
        except ConcurrentUpdate:
            raise _build_project_changed_error(tx.projects.get(project.id)) from None

    changed = await write_transaction(context, work)
    return (
        changed if project.is_hub_project else await context.source.get_project(person, project.id, ProjectAction.READ)
    )


def _clean_project_change(
    context: AppContext, person: Person, project: Project, change: ProjectChange
) -> ProjectChange:
    if change.path is not None and change.path != project.path:
        parse_project_path(change.path)
        _require_own_namespace(context, person, change.path)
    return replace(
        change,
        title=None if change.title is None else clean_title(change.title),
        description=None if change.description is None else clean_description(change.description),
        members=None if change.members is None else _require_known_members(context, project, change),
    )


def _select_moved_repository(tx: Transaction, project_id: str, old: str, new: str, now: datetime) -> None:
    """Let the sessions that select the repository in the directory *old* select it in *new*."""
    after: str | None = None
    while True:
        sessions, after = tx.sessions.list_for_project(project_id, after=after, limit=100)
        for session in sessions:
            selected = session.configuration.repositories
            if selected and old in selected:
                moved = tuple(new if each == old else each for each in selected)
                configuration = replace(session.configuration, repositories=moved)
                tx.sessions.update(session, SessionChange(version=session.version, configuration=configuration), now)
        if after is None:
            return


def _require_known_members(context: AppContext, project: Project, change: ProjectChange) -> tuple[ProjectMember, ...]:
    """Return the members of *change*. Raises InvalidInputError for new members or owners that the hub does not know."""
    wanted = _validate_members(change.members or ())
    new = {(m.kind, m.name): m for m in wanted if m not in project.members}
    unknown = {
        ("user", name) for name in context.find_missing_users([m.name for m in new.values() if m.kind == "user"])
    }
    if any(m.kind == "group" for m in new.values()):
        groups = set(context.list_groups())
        unknown |= {("group", m.name) for m in new.values() if m.kind == "group" and m.name not in groups}
    present = {(m.kind, m.name) for m in project.members}
    fields = {
        f"members.{place}.name": _format_unknown_member(m)
        for place, m in enumerate(wanted)
        if (m.kind, m.name) in unknown
        and (m.role is Role.OWNER or not (change.allow_unknown or (m.kind, m.name) in present))
    }
    if fields:
        raise InvalidInputError(next(iter(fields.values())), fields=fields, code="member_unknown")
    return wanted


def _format_unknown_member(member: ProjectMember) -> str:
    """Build the message for a member that the hub does not know; an unknown owner cannot be confirmed."""
    message = (
        f"There is no group “{member.name}” here."
        if member.kind == "group"
        else f"“{member.name}” has never logged in here."
    )
    return (
        f"{message} Only users and groups that this hub knows can be owners."
        if member.role is Role.OWNER
        else f"{message} Add anyway?"
    )


def _validate_members(members: Sequence[ProjectMember]) -> tuple[ProjectMember, ...]:
    """Require each user and group only once, and at least one user as owner."""
    message = None
    if len(members) > MAX_PROJECT_MEMBERS:
        message = f"At most {MAX_PROJECT_MEMBERS} members, please; a group counts as one."
    elif len({(m.kind, m.name) for m in members}) < len(members):
        message = "A member is listed twice."
    elif not any(m.kind == "user" and m.role is Role.OWNER for m in members):
        message = "A project needs at least one owner."
    elif any(not m.name or len(m.name) > 255 or not m.name.isprintable() for m in members):
        message = "A member needs a name."
    if message:
        raise InvalidInputError(message, fields={"members": message})
    return tuple(members)


def _require_default_in_project(tx: Transaction, project: Project, session_id: str | None) -> None:
    if session_id is None:
        return
    session = tx.sessions.get(session_id)
    if session is None or session.project != project.id:
        sentence = "There is no such session in this project."
        raise InvalidInputError(sentence, fields={"default_session": sentence})


async def delete_project(context: AppContext, person: Person, ref: str) -> None:
    """Delete a project. Its instances remain, so that their owners can stop, save and delete them."""
    project = await context.source.get_project(person, ref, ProjectAction.MANAGE)
    _require_local_project(project)

    def work(tx: Transaction) -> None:
        tx.projects.delete(project.id, context.now())
        tx.storages.delete_project_secrets(project.id)

    await write_transaction(context, work)


async def has_data_of_others(context: AppContext, person: Person, ref: str) -> bool:
    """Return True if other users have data in the project's sessions; who and how many is never revealed."""
    project = await context.source.get_project(person, ref, ProjectAction.MANAGE)
    _require_local_project(project)
    return await read_transaction(context, lambda tx: tx.instances.has_project_data_of_others(project.id, person.name))


async def leave_project(context: AppContext, person: Person, ref: str) -> None:
    """Remove the user from the project's members.

    Raises:
        ConflictError: `last_owner`; `no_member`, if the user is only a member through a group.
    """
    project = await context.source.get_project(person, ref, ProjectAction.READ)
    _require_local_project(project)
    mine = [m for m in project.members if m.kind == "user" and m.name == person.name]
    if not mine:
        raise ConflictError(
            "You are a member through a group. Ask the admins of the group to remove you from it.", code="no_member"
        )
    owners = [m for m in project.members if m.kind == "user" and m.role is Role.OWNER]
    if mine[0] in owners and len(owners) == 1:
        raise ConflictError("You are the only owner. Make another member an owner first.", code="last_owner")
    await write_transaction(context, lambda tx: tx.projects.remove_member(project.id, "user", person.name))


def list_namespaces(context: AppContext, person: Person) -> list[str]:
    """List the namespaces in which *person* may create projects: their own name first, then for admins all groups.

    Raises:
        ForbiddenError: projects are created in GitLab.
    """
    _require_local_project_creation(context)
    own = to_namespace(person.name)
    groups = sorted(map(to_namespace, context.list_groups())) if person.admin else []
    return [own, *(group for group in groups if group != own)]


def _require_local_project_creation(context: AppContext) -> None:
    if context.gitlab:
        raise ForbiddenError(
            f"Projects are made in GitLab: {context.gitlab.url}/projects/new", code="decided_in_gitlab"
        )


def _require_local_project(project: Project) -> None:
    if not project.is_hub_project:
        raise _build_managed_in_gitlab_error()


def _require_locally_managed_fields(project: Project, change: ProjectChange) -> None:
    """Reject changes of fields that GitLab manages."""
    theirs = ("title", "description", "path", "visibility", "listed", "members")
    changed = [name for name in theirs if getattr(change, name) is not None]
    if changed and not project.is_hub_project:
        raise _build_managed_in_gitlab_error(*changed)


def _build_managed_in_gitlab_error(*fields: str) -> ForbiddenError:
    sentence = "This project lives in GitLab: change it there."
    return ForbiddenError(sentence, code="decided_in_gitlab", fields=dict.fromkeys(fields, sentence))


def _require_own_namespace(context: AppContext, person: Person, path: str) -> None:
    own, *groups = list_namespaces(context, person)
    if path.partition("/")[0].casefold() in {name.casefold() for name in (own, *groups)}:
        return
    others = " and, as an admin, below the names of groups" if person.admin else ""
    sentence = f"You can make projects below {own}/{others} only."
    raise ForbiddenError(sentence, fields={"path": sentence})


def _build_path_taken_error(path: str) -> ConflictError:
    sentence = f"There is a project {path} already; choose another path."
    return ConflictError(sentence, code="path_taken", fields={"path": sentence})


def _build_project_changed_error(newer: Project | None) -> ConflictError:
    details = {"version": newer.version, "project": newer.id} if newer else {}
    message = "This project was changed since you opened the page. Check it as it is now, then try again."
    return ConflictError(message, code="changed", details=details)
