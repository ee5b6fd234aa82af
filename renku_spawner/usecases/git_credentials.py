"""Provide the Git identity and GitLab credentials of a session, limited to the project's own repositories.

This module also restricts the hosts that local clones may connect to.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from ..context.app_context import AppContext
from ..domain.access import Person, ProjectAction
from ..domain.errors import ForbiddenError, NotFoundError, UnavailableError
from ..domain.git_credentials import (
    SessionGitIdentity,
    filter_gitlab_repositories,
    get_commit_identity,
    normalize_repository_address,
)
from ..domain.ids import is_project_path
from ..domain.instances import DesiredState, Instance
from ..domain.projects import Project, remove_url_credentials
from ..domain.sessions import LaunchSpec
from ..domain.text import LongText
from ..integrations.gitlab.client import GitLabClient, GitLabLoginRequired
from ..integrations.net.errors import ConnectionNotAllowed, RemoteUnreachable
from ..integrations.net.guarded_http import EgressGuard
from ..integrations.net.socks_proxy import AllowedAddressResolver
from ..lifecycle.runs import load_instance
from .audit import record_audit_event

GIT_TOKEN_MIN_SECONDS = 300.0  # minimum validity of a token: git keeps using it for the whole operation
GIT_REPOSITORY_TIMEOUT_SECONDS = 5.0  # for queries to GitLab, while git waits
_GIT_TOKEN_USERNAME = "oauth2"  # GitLab accepts any user name with an OAuth token; this one is conventional


@dataclass(frozen=True, kw_only=True)
class GitCredentialRequest:
    """A repository as git's credential protocol describes it (https://git-scm.com/docs/git-credential#IOFMT)."""

    protocol: LongText
    host: LongText
    path: LongText


@dataclass(frozen=True, kw_only=True)
class IssuedGitCredential:
    username: str = _GIT_TOKEN_USERNAME
    password: str = field(repr=False)


async def issue_git_credential(
    context: AppContext, person: Person, session_id: str | None, asked: GitCredentialRequest
) -> IssuedGitCredential:
    """Return a valid token of *person* for the repository that git in their session asks for.

    *session_id* is the session that the API token of the request belongs to, None for any other token. Refused requests
    are recorded in the audit log.

    Raises:
        ForbiddenError: with a message that is shown in the terminal.
        UnavailableError: GitLab does not answer.
    """
    try:
        gitlab, project = await _require_git_access(context, person, session_id)
        await _require_project_repository(context, person, project, asked)
    except (ForbiddenError, NotFoundError) as refusal:
        wanted = remove_url_credentials(f"{refusal.code} {asked.protocol}://{asked.host}/{asked.path}")
        action, subject = "git credentials refused", session_id or "no session"
        await record_audit_event(
            context, actor=person.name, username=person.name, action=action, subject=subject, detail=wanted
        )
        raise
    token = await gitlab.tokens.get_token(person.name, left=GIT_TOKEN_MIN_SECONDS)
    return IssuedGitCredential(password=token.access)


async def _require_git_access(
    context: AppContext, person: Person, session_id: str | None
) -> tuple[GitLabClient, Project]:
    gitlab = context.gitlab
    if gitlab is None or context.policy.git_credentials == "off":
        raise ForbiddenError("This hub does not provide git credentials.", code="git_off")
    if session_id is None:
        raise ForbiddenError("Git credentials are given to running sessions only.", code="git_no_session")
    instance = await load_instance(context, person.name, session_id)
    if instance is None or not _is_starting_or_running(instance):
        raise ForbiddenError("Git credentials are given to running sessions only.", code="git_no_session")
    project = await context.source.get_project(person, instance.project, ProjectAction.LAUNCH)
    if not await can_get_git_credentials(context, person, project, ProjectAction.LAUNCH):
        raise ForbiddenError(
            "You are not a member of this session's project, so the hub does not provide git credentials.",
            code="git_no_member",
        )
    return gitlab, project


def _is_starting_or_running(instance: Instance) -> bool:
    """Include starting instances, because repositories are cloned during the start."""
    return instance.is_active and instance.desired is DesiredState.RUNNING


async def _require_project_repository(
    context: AppContext, person: Person, project: Project, asked: GitCredentialRequest
) -> None:
    gitlab = context.gitlab.url if context.gitlab else ""
    wanted = normalize_repository_address(asked.protocol, asked.host, asked.path)
    ours = filter_gitlab_repositories(gitlab, (repository.url for repository in project.repositories))
    if wanted in ours or (wanted and await _is_former_address(context, person, project, wanted, ours)):
        return
    sentence = "The hub gives git credentials for the repositories of this session's project only."
    raise ForbiddenError(sentence, code="git_foreign")


async def _is_former_address(
    context: AppContext, person: Person, project: Project, wanted: str, ours: Collection[str]
) -> bool:
    """Return True if the project had that address before it was moved or renamed.

    Clones of that time still use the old address, and GitLab redirects it. GitLab says which project is there now, so
    another project that has taken the path is not accepted.
    """
    if context.gitlab is None or not filter_gitlab_repositories(context.gitlab.url, [wanted]):
        return False
    path = wanted.removeprefix(context.gitlab.url).strip("/")
    if not is_project_path(path) or wanted.lower() in {address.lower() for address in ours}:
        return False
    try:
        gitlab_project = await context.gitlab.get(
            person.name, f"/projects/{quote(path, safe='')}", within=GIT_REPOSITORY_TIMEOUT_SECONDS
        )
    except (ForbiddenError, NotFoundError):
        return False
    return isinstance(gitlab_project, dict) and str(gitlab_project.get("id")) == project.source_id


async def load_git_identity(
    context: AppContext, person: Person, spec: LaunchSpec, user: Mapping[str, Any]
) -> SessionGitIdentity | None:
    """Build the Git identity of *person* in a session; *user* is GitLab's description of them (`GET /user`).

    A cached membership is good enough here, and a GitLab that does not answer blocks no start: membership is checked
    again whenever git asks for credentials.
    """
    if context.gitlab is None:
        return None
    name, email = get_commit_identity(user, context.gitlab.url) if user else ("", "")
    project = await context.source.get_project(person, spec.project, ProjectAction.LAUNCH)
    urls = (repository.url for repository in project.repositories)
    return SessionGitIdentity(
        gitlab=context.gitlab.url,
        name=name,
        email=email,
        credentials=await _may_have_git_credentials(context, person, project),
        repositories=filter_gitlab_repositories(context.gitlab.url, urls),
        ssh=project.ssh,
    )


async def _may_have_git_credentials(context: AppContext, person: Person, project: Project) -> bool:
    try:
        return await can_get_git_credentials(context, person, project, ProjectAction.READ)
    except (UnavailableError, GitLabLoginRequired):
        return True


async def can_get_git_credentials(context: AppContext, person: Person, project: Project, action: ProjectAction) -> bool:
    """Return True if git in a session of *project* may act in GitLab as *person*.

    *action* decides how fresh the membership must be.
    """
    if context.gitlab is None or project.is_hub_project or context.policy.git_credentials == "off":
        return False
    return context.policy.git_credentials == "all" or await context.source.is_member(person, project, action)


def build_egress_check(guard: EgressGuard) -> AllowedAddressResolver:
    """Build a resolver that allows public hosts at port 443, and the hosts that an admin has listed in *guard*."""

    async def vet(host: str, port: int) -> Sequence[str]:
        try:
            return await guard.resolve_allowed_addresses(host, port)
        except ConnectionNotAllowed as refusal:
            raise PermissionError(refusal.detail) from None
        except RemoteUnreachable as problem:
            raise OSError(problem.detail) from None

    return vet
