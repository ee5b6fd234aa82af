"""Settings of `c.Renku` about GitLab: its address, access checks and the scopes requested at login."""

from __future__ import annotations

import re
import ssl
from typing import Any
from urllib.parse import urlsplit

from traitlets import Bool, Enum, Integer, TraitError, Unicode, default, validate
from traitlets.config import LoggingConfigurable

from ..integrations.gitlab.auth_state import GitLabToken, GitLabTokenProvider
from ..integrations.gitlab.client import GitLabClient, GitLabLoginRequired
from ..integrations.gitlab.projects import GitLabProjectSource
from ..integrations.project_source import HubProjectSource, ProjectSource
from ..persistence.database import Database

_GITLAB_URL_PATTERN = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+(/[A-Za-z0-9._~-]+)*")
# https://docs.gitlab.com/integration/oauth_provider/#view-all-authorized-applications
GITLAB_LOGIN_SCOPES = {
    "openid": "to know who you are",
    "read_user": "to know your name and address",
    "read_api": "to show your projects and what you may do in them",
    "read_repository": "to read repositories in your sessions",
}
READ_REGISTRY_SCOPE, WRITE_REPOSITORY_SCOPE = "read_registry", "write_repository"


class NoTokenProvider:
    """Implement `GitLabTokenProvider` where there is no hub, on the command line: no user has a token."""

    async def get_token(self, name: str, *, left: float = 60.0, not_this: str | None = None) -> GitLabToken:
        """Raise GitLabLoginRequired."""
        raise GitLabLoginRequired

    def record_accepted(self, name: str, token: GitLabToken, *, ago: float) -> None:
        """Do nothing: there is no token."""


class GitLabSettings(LoggingConfigurable):
    """Settings of `c.Renku` about GitLab."""

    projects = Enum(
        ["hub", "gitlab"],
        default_value="hub",
        config=True,
        help="""
        Where projects come from. `hub`, the default: projects are stored in Renku's own tables, and roles are given on
        the project's settings page. `gitlab`: users log in at GitLab and see their GitLab projects. Users who can see a
        project can start its sessions; Developers and above can change them.
        """,
    )
    gitlab_url = Unicode(
        config=True,
        help="""
        Address of the GitLab instance that has the projects, such as `https://gitlab.example.org`. By default the one
        at which users log in: `c.GitLabOAuthenticator.gitlab_url`, or `https://gitlab.com` if that is not set either.
        """,
    )
    gitlab_ca = Unicode(
        config=True,
        help="""
        Path of a PEM file with the CA certificates for GitLab, in place of the system's. It is used for the hub's
        requests to GitLab and for the log-in. It is not used by git in sessions, by nodes that pull images or for
        requests to registries: those use the CA certificates of their own system.
        """,
    )
    access_window = Integer(
        300,
        min=0,
        max=900,
        config=True,
        help="""
        Number of seconds for which a user may still start and change sessions while GitLab does not answer, counted
        from GitLab's last confirmation that the user has access. Pages are still shown for 15 minutes. A confirmation
        within the last minute is always accepted.
        """,
    )
    access_check = Integer(
        300,
        min=1,
        max=3600,
        config=True,
        help="""
        Number of seconds between checks at GitLab whether owners of running sessions still have access to the project.
        Sessions of users who lost access are paused; their files are kept. No session is paused because GitLab does not
        answer.
        """,
    )
    git_credentials = Enum(
        ["off", "members", "all"],
        default_value="members",
        config=True,
        help="""
        Which users can use git with GitLab inside a session without typing a password: `members` of the project, the
        default, `all` users who can start its sessions, or no user (`off`). GitLab cannot limit what such a session may
        do: its code can act as the user, with all scopes that the user has granted to this hub at log-in.
        """,
    )
    push = Bool(
        False,
        config=True,
        help="""
        Allow sessions to push to GitLab. Users are then asked for the scope `write_repository` at log-in, which the
        application registered at GitLab must have.
        """,
    )
    private_images = Bool(
        False,
        config=True,
        help="""
        Allow sessions to use private images of GitLab's registry. Users are then asked for the scope `read_registry` at
        log-in, which the application registered at GitLab must have.
        """,
    )

    @default("gitlab_url")
    def _get_default_gitlab_url(self) -> str:
        login = getattr(self.parent, "authenticator", None)
        return str(getattr(login, "gitlab_url", "https://gitlab.com")).rstrip("/")

    @validate("gitlab_url")
    def _validate_gitlab_url(self, proposal: Any) -> str:
        address = str(proposal.value).rstrip("/")
        if not _GITLAB_URL_PATTERN.fullmatch(address):
            raise TraitError(f"Renku.gitlab_url: {address!r} is not an address such as https://gitlab.example.org.")
        return address

    @validate("gitlab_ca")
    def _validate_gitlab_ca(self, proposal: Any) -> str:
        file = str(proposal.value)
        try:
            ssl.create_default_context(cafile=file or None)
        except OSError as problem:
            reason = "it holds no certificates" if isinstance(problem, ssl.SSLError) else problem.strerror
            raise TraitError(f"Renku.gitlab_ca: {file!r} cannot be read: {reason}.") from None
        return file

    def build_gitlab_client(self, tokens: GitLabTokenProvider) -> GitLabClient | None:
        """Return a GitLab client for these settings; None if projects are not in GitLab."""
        return GitLabClient(self.gitlab_url, tokens, ca=self.gitlab_ca) if self.projects == "gitlab" else None

    def get_gitlab_hosts(self) -> frozenset[str]:
        """Return hosts whose repositories may be cloned even if they are not public: the projects' own GitLab."""
        return frozenset({urlsplit(self.gitlab_url).netloc.lower()} if self.projects == "gitlab" else ())

    def build_project_source(self, database: Database, gitlab: GitLabClient | None) -> ProjectSource:
        """Return the source of projects: GitLab, or the hub's own tables if *gitlab* is None."""
        if gitlab is None:
            return HubProjectSource(database)
        return GitLabProjectSource(gitlab, database, window=float(self.access_window))

    def get_login_scopes(self) -> dict[str, str]:
        """Return the scopes that all users are asked for at log-in, each with its purpose."""
        scopes = dict(GITLAB_LOGIN_SCOPES)
        if self.private_images:
            scopes[READ_REGISTRY_SCOPE] = "to start sessions from private images"
        if self.push:
            scopes[WRITE_REPOSITORY_SCOPE] = "to push from your sessions"
        return scopes
