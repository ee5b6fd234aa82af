"""What makes a hub one whose people log in at GitLab, and what keeps it from starting."""

from pathlib import Path
from typing import Any

import pytest
from jupyterhub.auth import DummyAuthenticator
from oauthenticator.gitlab import GitLabOAuthenticator
from traitlets import TraitError
from traitlets.config import Config, Configurable

from renku_spawner.config.gitlab import GitLabSettings
from renku_spawner.domain.errors import SettingError
from renku_spawner.hub.gitlab_login import (
    RenkuGitLabOAuthenticator,
    check_gitlab_authenticator,
    use_gitlab_authenticator,
)
from tests.fixtures.network import Authority
from tests.integrations.gitlab.raw import answer, raw

GOOD = {"client_id": "renku", "client_secret": "s" * 8}


class Settings(GitLabSettings):
    projects = "gitlab"


class Hub(Configurable):
    authenticator: Any


class Own(RenkuGitLabOAuthenticator):
    """An admin's."""


def chosen(projects: str = "gitlab", **hub: Any) -> Any:
    c = Config({"Renku": {"projects": projects}, "JupyterHub": hub})
    use_gitlab_authenticator(c)
    return c.JupyterHub.get("authenticator_class")


def checked(*, login: type = RenkuGitLabOAuthenticator, renku: Any = None, **keys: Any) -> Any:
    """The authenticator of a hub with these settings after it was checked."""
    c = Config({"GitLabOAuthenticator": {**GOOD, **keys}, "Renku": renku or {}})
    hub = Hub(config=c)
    hub.authenticator = login(config=c)
    check_gitlab_authenticator(hub, Settings(parent=hub, config=Config({"Settings": renku or {}})))
    return hub.authenticator


@pytest.mark.parametrize("said", [{}, {"authenticator_class": "gitlab"}, {"authenticator_class": GitLabOAuthenticator}])
def test_gitlabs_authenticator_becomes_ours(said: dict[str, Any]) -> None:
    assert chosen(**said) is RenkuGitLabOAuthenticator


@pytest.mark.parametrize("own", ["dummy", Own, DummyAuthenticator])
def test_an_admins_other_authenticator_stays(own: Any) -> None:
    assert chosen(authenticator_class=own) is own


def test_a_hub_with_projects_of_its_own_keeps_its_authenticator() -> None:
    assert chosen("hub", authenticator_class="gitlab") == "gitlab"
    assert chosen("hub") is None


def test_an_authenticator_that_cannot_renew_tokens_keeps_the_hub_from_starting() -> None:
    for login in (DummyAuthenticator, GitLabOAuthenticator):
        with pytest.raises(SettingError, match=f"is {login.__name__}, .* derived from RenkuGitLabOAuthenticator"):
            checked(login=login)


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"client_id": ""}, "client_id is ''"),
        ({"client_secret": ""}, "GITLAB_CLIENT_SECRET"),
        ({"enable_auth_state": False}, "enable_auth_state is False"),
        ({"enable_pkce": False}, "enable_pkce is False"),
    ],
)
def test_what_is_missing_is_said(keys: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence):
        checked(**keys)


def test_people_log_in_where_their_projects_are() -> None:
    assert checked().token_url == "https://gitlab.com/oauth/token"
    assert checked(gitlab_url="https://git.a.org").token_url == "https://git.a.org/oauth/token"
    assert checked(renku={"gitlab_url": "https://git.a.org/"}).token_url == "https://git.a.org/oauth/token"
    with pytest.raises(SettingError, match="Set only one of them"):
        checked(gitlab_url="https://git.a.org", renku={"gitlab_url": "https://git.b.org"})


@pytest.mark.parametrize("address", ["", "git.a.org", "ftp://git.a.org", "https://a b", "https://git.a.org/?x"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(TraitError, match=r"Renku\.gitlab_url: .* is not an address"):
        GitLabSettings().gitlab_url = address


async def test_the_log_in_trusts_the_authority_that_an_admin_has_named(authority: Authority) -> None:
    login = checked(renku={"gitlab_ca": str(authority.file)})
    async with raw(authority.server("localhost")) as server:
        server.says = answer(body={"id": 7})
        assert await login.httpfetch(f"https://localhost:{server.port}/api/v4/user") == {"id": 7}
    own = {"ca_certs": "/etc/own.pem", "proxy_host": "proxy"}
    assert checked(renku={"gitlab_ca": str(authority.file)}, http_request_kwargs=own).http_request_kwargs == own


def test_a_file_of_certificates_that_is_none_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    for said in ("No such file or directory", "it holds no certificates"):
        with pytest.raises(TraitError, match=rf"Renku\.gitlab_ca: '.*ca\.pem' cannot be read: {said}"):
            GitLabSettings().gitlab_ca = str(file)
        file.write_text("nothing\n")


def test_more_is_asked_for_where_more_is_wanted() -> None:
    assert checked().scope == ["openid", "read_user", "read_api", "read_repository"]
    wide = checked(renku={"push": True, "private_images": True}, scope=["email"]).scope
    assert wide == ["email", "openid", "read_user", "read_api", "read_repository", "read_registry", "write_repository"]
