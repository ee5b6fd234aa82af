"""The settings about GitLab: what people's sessions and this hub may do there in their name."""

from __future__ import annotations

import re
import ssl
from typing import Any
from urllib.parse import urlsplit

from traitlets import Bool, Enum, Integer, TraitError, Unicode, default, validate
from traitlets.config import LoggingConfigurable

from .gitlab.client import GitLab
from .gitlab.tokens import Tokens
from .projects.gitlab import GitLabProjects
from .projects.hub import HubProjects
from .projects.source import ProjectSource
from .store.database import Database

_ADDRESS = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+(/[A-Za-z0-9._~-]+)*")
# https://docs.gitlab.com/integration/oauth_provider/#view-all-authorized-applications
SCOPES = {
    "openid": "to know who you are",
    "read_user": "to know your name and address",
    "read_api": "to show your projects and what you may do in them",
    "read_repository": "to read repositories in your sessions",
}
READ_REGISTRY, WRITE_REPOSITORY = "read_registry", "write_repository"


class GitLabSettings(LoggingConfigurable):
    """Those of the settings of `c.Renku` that are about GitLab."""

    projects = Enum(
        ["hub", "gitlab"],
        default_value="hub",
        config=True,
        help="""
        Where projects come from. `hub`: they are kept in Renku's own tables, and
        roles are given on the project's settings page. `gitlab`: they are the GitLab
        projects of whoever looks, and people log in there. Whoever sees a project may start
        its sessions; Developers and above change them.
        """,
    )
    gitlab_url = Unicode(
        config=True,
        help="""
        Address of the GitLab in which projects live, such as `https://gitlab.example.org`.
        By default the one at which people log in: `c.GitLabOAuthenticator.gitlab_url`, or
        `https://gitlab.com` where that is not set either.
        """,
    )
    gitlab_ca = Unicode(
        config=True,
        help="""
        File with the certificates (PEM) of the authorities that vouch for GitLab, in place
        of the system's. It serves for what the hub asks GitLab, and for the log-in. What
        it does not serve for are git in sessions, the machines that pull images and
        questions to registries: those trust what their own system trusts.
        """,
    )
    access_window = Integer(
        300,
        min=0,
        max=900,
        config=True,
        help="""
        Seconds for which GitLab's last yes lets somebody start and change sessions while
        GitLab does not answer. Pages are shown for 15 minutes. A yes of the last minute
        always counts.
        """,
    )
    access_check = Integer(
        300,
        min=1,
        max=3600,
        config=True,
        help="""
        Seconds between looks at GitLab whether those whose sessions run may still see the
        project; of whom it says no, the session is paused and the files stay. Nobody is
        paused because GitLab does not answer.
        """,
    )
    git_credentials = Enum(
        ["off", "members", "all"],
        default_value="members",
        config=True,
        help="""
        Who gets to GitLab from inside a session without typing a password: `members` of
        the project, `all` who may start one of its sessions, or nobody (`off`). GitLab
        cannot narrow what such a session may do there: its code can act as the user,
        in everything that this hub was allowed at the log-in.
        """,
    )
    push = Bool(
        False,
        config=True,
        help="""
        Whether sessions may also push to GitLab. People are then asked for the scope
        `write_repository` when they log in, which the application registered at GitLab
        must have.
        """,
    )
    private_images = Bool(
        False,
        config=True,
        help="""
        Whether sessions may use images of GitLab's registry that not everybody may
        pull. People are then asked for the scope `read_registry` when they log in, which
        the application registered at GitLab must have.
        """,
    )

    @default("gitlab_url")
    def _where_people_log_in(self) -> str:
        login = getattr(self.parent, "authenticator", None)
        return str(getattr(login, "gitlab_url", "https://gitlab.com")).rstrip("/")

    @validate("gitlab_url")
    def _address(self, proposal: Any) -> str:
        address = str(proposal.value).rstrip("/")
        if not _ADDRESS.fullmatch(address):
            raise TraitError(f"Renku.gitlab_url: {address!r} is no address such as https://gitlab.example.org.")
        return address

    @validate("gitlab_ca")
    def _certificates(self, proposal: Any) -> str:
        file = str(proposal.value)
        try:
            ssl.create_default_context(cafile=file or None)
        except OSError as problem:
            said = "it holds no certificates" if isinstance(problem, ssl.SSLError) else problem.strerror
            raise TraitError(f"Renku.gitlab_ca: {file!r} cannot be read: {said}.") from None
        return file

    def gitlab(self, tokens: Tokens) -> GitLab | None:
        """Asks GitLab as these settings say; None where projects do not live there."""
        return GitLab(self.gitlab_url, tokens, ca=self.gitlab_ca) if self.projects == "gitlab" else None

    def gitlab_hosts(self) -> frozenset[str]:
        """Whose repositories may be cloned wherever they are: those of the projects themselves."""
        return frozenset({urlsplit(self.gitlab_url).netloc.lower()} if self.projects == "gitlab" else ())

    def source(self, database: Database, gitlab: GitLab | None) -> ProjectSource:
        """Where projects are looked for."""
        if gitlab is None:
            return HubProjects(database)
        return GitLabProjects(gitlab, database, window=float(self.access_window))

    def login_scopes(self) -> dict[str, str]:
        """The scopes that everybody is asked for at the log-in, and what each is for (decision 31)."""
        asked = dict(SCOPES)
        if self.private_images:
            asked[READ_REGISTRY] = "to start sessions from images that not everybody may pull"
        if self.push:
            asked[WRITE_REPOSITORY] = "to push from your sessions"
        return asked
