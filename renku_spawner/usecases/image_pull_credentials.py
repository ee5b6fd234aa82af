"""Provide the login to pull a private CI image: the user's own GitLab token, for the project's own registry only."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..context.app_context import AppContext, read_transaction
from ..domain.access import Person
from ..domain.ci_images import is_project_repository
from ..domain.environments import EnvironmentKind, Revision
from ..domain.reasons import build_launch_refusal
from ..domain.sessions import LaunchSpec
from ..integrations.gitlab.client import GitLabForbidden, GitLabNotFound

# Minimum validity of a token when the pod is created: large images take long to download.
PULL_TOKEN_MIN_SECONDS_AT_LAUNCH = 900.0
PULL_TOKEN_MIN_SECONDS = 60.0
PULL_REGISTRY_TIMEOUT_SECONDS = 5.0  # for queries to GitLab, while the user waits for the start
_PULL_USERNAME = "oauth2"  # GitLab accepts any user name with an OAuth token


@dataclass(frozen=True, kw_only=True)
class ImagePullLogin:
    """The login for the registry at *host* (`host` or `host:port`)."""

    host: str
    password: str = field(repr=False)
    username: str = _PULL_USERNAME


async def resolve_pull_registry(context: AppContext, person: Person, spec: LaunchSpec) -> str | None:
    """Return the host of the registry where *person*'s own token is needed to pull the image, or None.

    GitLab is asked whether the registry is its own: the token is sent to no other one.

    Raises:
        LaunchRefusedError: `image_denied`, if the person may not see the project of the registry.
        GitLabLoginRequired: GitLab does not accept their token.
        GitLabUnavailable: GitLab does not answer.
    """
    revision = await _find_private_revision(context, spec)
    if context.gitlab is None or revision is None or revision.built is None:
        return None
    # Tell the user now if their login has expired.
    await context.gitlab.tokens.get_token(person.name, left=PULL_TOKEN_MIN_SECONDS_AT_LAUNCH)
    try:
        gitlab_project = await context.gitlab.get(
            person.name, f"/projects/{int(revision.built.source)}", within=PULL_REGISTRY_TIMEOUT_SECONDS
        )
    except (GitLabNotFound, GitLabForbidden):
        raise build_launch_refusal("image_denied", image=spec.image) from None
    prefix = gitlab_project.get("container_registry_image_prefix") if isinstance(gitlab_project, dict) else None
    if not isinstance(prefix, str) or not is_project_repository(revision.repository, prefix):
        return None
    return revision.repository.partition("/")[0]


async def _find_private_revision(context: AppContext, spec: LaunchSpec) -> Revision | None:
    """Return the session's revision if its image may be private."""
    if not context.policy.private_images or context.policy.local:
        return None
    session = await read_transaction(context, lambda tx: tx.sessions.get(spec.session))
    if session is None or session.environment.kind is not EnvironmentKind.REPOSITORY:
        return None
    return session.revision


async def get_image_pull_login(
    context: AppContext, spec: LaunchSpec, *, left: float = PULL_TOKEN_MIN_SECONDS
) -> ImagePullLogin | None:
    """Return the login that is valid now, or None if no login is needed.

    Raises:
        GitLabLoginRequired, GitLabUnavailable: there is no valid token.
    """
    if context.gitlab is None or spec.pull is None:
        return None
    token = await context.gitlab.tokens.get_token(spec.username, left=left)
    return ImagePullLogin(host=spec.pull, password=token.access)
