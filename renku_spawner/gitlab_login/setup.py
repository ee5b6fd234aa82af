"""What a hub needs so that people log in at GitLab: put there by `install`, looked at when the hub starts."""

from __future__ import annotations

from typing import Any, Protocol

from oauthenticator.gitlab import GitLabOAuthenticator
from traitlets.config import Config

from ..settings import SettingError
from .authenticator import RenkuGitLabOAuthenticator

_ITS_NAMES = ("gitlab", "oauthenticator.gitlab.GitLabOAuthenticator", GitLabOAuthenticator)
_NEEDED = {
    "client_id": "give it what GitLab shows for the application that is registered there for this hub",
    "client_secret": "give it what GitLab has shown for the application, best in the environment, GITLAB_CLIENT_SECRET",
    "enable_auth_state": "Renku's projects are asked for with the tokens that the hub keeps there; leave it out",
    "enable_pkce": "without it a log-in can be stolen on its way; leave it out",
}


class Wishes(Protocol):
    projects: str
    gitlab_url: str
    gitlab_ca: str

    def login_scopes(self) -> dict[str, str]: ...


def use(c: Config) -> None:
    """Where the hub that *c* configures has its projects in GitLab, let our authenticator take GitLabOAuthenticator's
    place; any other stays, and `check` says what is wrong with it."""
    if c.Renku.get("projects") == "gitlab" and c.JupyterHub.get("authenticator_class", "gitlab") in _ITS_NAMES:
        c.JupyterHub.authenticator_class = RenkuGitLabOAuthenticator


def check(hub: Any, wishes: Wishes) -> None:
    """Let the hub's authenticator ask people for what Renku needs. Raises SettingError where it cannot."""
    if wishes.projects != "gitlab":
        return
    login = hub.authenticator
    if not isinstance(login, RenkuGitLabOAuthenticator):
        raise SettingError(
            f"c.JupyterHub.authenticator_class is {type(login).__name__}, and with c.Renku.projects = 'gitlab' people "
            "log in at GitLab. Leave it out, or set it to 'gitlab' or a class derived from RenkuGitLabOAuthenticator."
        )
    for trait, why in _NEEDED.items():
        if not getattr(login, trait):
            raise SettingError(f"c.GitLabOAuthenticator.{trait} is {getattr(login, trait)!r}: {why}.")
    if login.gitlab_url.rstrip("/") != wishes.gitlab_url:
        raise SettingError(
            f"People log in at c.GitLabOAuthenticator.gitlab_url, {login.gitlab_url}, and their projects are at "
            f"c.Renku.gitlab_url, {wishes.gitlab_url}. Set only one of them."
        )
    login.http_request_kwargs = _trust(wishes) | login.http_request_kwargs
    login.need(wishes.login_scopes())


def _trust(wishes: Wishes) -> dict[str, Any]:
    return {"ca_certs": wishes.gitlab_ca} if wishes.gitlab_ca else {}
