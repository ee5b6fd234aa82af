"""People who log in at a fake GitLab: with a whole hub, or with no more of it than keeps their tokens."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from jupyterhub import orm
from jupyterhub.user import UserDict
from traitlets.config import Config

from renku_spawner.config.gitlab import GITLAB_LOGIN_SCOPES
from renku_spawner.hub import gitlab_login
from renku_spawner.hub.gitlab_login import HubTokenProvider, RenkuGitLabOAuthenticator
from renku_spawner.integrations.gitlab.auth_state import GitLabToken
from tests.fakes.gitlab import FakeGitLab
from tests.fixtures import canaries, renku
from tests.fixtures.renku import RenkuHub

renku_hub = renku.renku_hub


class Desk:
    """Where the tokens of the hub's users are kept; `app` has what of a hub is needed for that."""

    def __init__(self, app: Any, lab: FakeGitLab) -> None:
        self.app, self.lab = app, lab
        self.tokens = HubTokenProvider(app)
        app.authenticator.require_scopes(GITLAB_LOGIN_SCOPES)

    def user(self, name: str) -> Any:
        return self.app.users[name]

    async def state(self, name: str = "alice") -> dict[str, Any]:
        state: dict[str, Any] = await self.user(name).get_auth_state()
        return state

    async def change_state(self, name: str = "alice", **keys: Any) -> None:
        await self.user(name).save_auth_state({**await self.state(name), **keys})

    async def expire(self, name: str = "alice") -> None:
        """Two hours have passed, here and there."""
        self.lab.expire(name)
        await self.change_state(name, renku_expires_at=0.0)

    async def of(self, name: str = "alice", **more: Any) -> GitLabToken:
        return await self.tokens.get_token(name, **more)

    async def works(self, name: str = "alice") -> bool:
        """Whether GitLab takes what is kept."""
        found = self.lab.world.token((await self.of(name)).access)
        return found is not None and not found.revoked and not found.expired

    def asked(self, what: str) -> int:
        """How often GitLab was asked: `user` or `token`."""
        return self.lab.counted({"user": "/api/v4/user", "token": "/oauth/token"}[what])

    async def known(self, name: str) -> None:
        """Let somebody have logged in."""
        row = orm.User(name=name)
        self.app.db.add(row)
        self.app.db.commit()
        pair = self.lab.pair(name, tuple(GITLAB_LOGIN_SCOPES))
        said = {"access_token": pair.access, "refresh_token": pair.refresh, "token_type": "Bearer"}
        said |= {"scope": " ".join(pair.scopes), "created_at": int(pair.created), "expires_in": self.lab.lifetime}
        model = await self.app.authenticator._token_to_auth_model(said)
        await self.user(name).save_auth_state(model["auth_state"])
        self.lab.calls.clear()

    async def looked_at(self, name: str = "alice") -> Any:
        """What the hub does every five minutes for somebody who asks for pages; False ends the log-in."""
        return await self.app.authenticator.refresh_user(self.user(name))


class Hub(Desk):
    """A whole hub, and people with browsers."""

    def __init__(self, hub: RenkuHub, lab: FakeGitLab) -> None:
        super().__init__(hub.app, lab)
        self.hub = hub

    async def browser(self) -> httpx.AsyncClient:
        client = httpx.AsyncClient(base_url=self.hub.url, timeout=300, trust_env=False, follow_redirects=True)
        self.hub.clients[str(id(client))] = client
        return client

    async def log_in(self, client: httpx.AsyncClient, name: str, to: str = "oauth_login") -> httpx.Response:
        """Follow the redirects from a page of the hub to GitLab's form and back."""
        page = await client.get(to)
        token = re.search('name="authenticity_token" value="([^"]+)"', page.text)
        assert token, page.text
        form = {"user[login]": name, "user[password]": name, "authenticity_token": token.group(1)}
        return await client.post(f"{self.lab.url}/users/sign_in", data=form)

    async def visitor(self, name: str) -> httpx.AsyncClient:
        """Somebody who has logged in, and whose token is looked at again by the next request."""
        client = await self.browser()
        answer = await self.log_in(client, name)
        assert answer.status_code == 200, answer.text
        self.look_again(name)
        self.lab.calls.clear()
        return client

    def look_again(self, name: str) -> None:
        """The hub's five minutes are over."""
        self.user(name)._auth_refreshed = None
        self.app.authenticator.heard._asked.pop(name, None)

    def minute_passes(self, name: str) -> None:
        """What GitLab has taken so far says nothing any more."""
        self.app.authenticator.heard._taken.pop(name, None)

    async def page(self, client: httpx.AsyncClient) -> int:
        """What a page of ours is answered with; 302 leads to the log-in."""
        return (await client.get("renku/sessions", follow_redirects=False)).status_code

    async def at_once(self, client: httpx.AsyncClient, times: int) -> list[int]:
        return list(await asyncio.gather(*[self.page(client) for _ in range(times)]))


def planting(issue: Callable[..., Any]) -> Callable[..., Any]:
    """No token that GitLab gives may be seen anywhere."""

    def issued(*what: Any) -> Any:
        made = issue(*what)
        canaries.plant("token", made.access)
        canaries.plant("token", made.refresh)
        return made

    return issued


@pytest.fixture
async def lab(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeGitLab]:
    async with FakeGitLab(trusted=True) as made:
        canaries.plant("token", made.client_secret)
        monkeypatch.setenv("GITLAB_CLIENT_SECRET", made.client_secret)  # configurations are logged
        for patience in ("RENEWAL_WAIT_SECONDS", "_TOKEN_CHECK_TIMEOUT_SECONDS"):  # of a busy machine
            monkeypatch.setattr(gitlab_login, patience, 60.0)
        made.world.issue = planting(made.world.issue)  # type: ignore[method-assign]
        for name in ("alice", "bob"):
            made.user(name)
        yield made


Start = Callable[..., Awaitable[Hub]]
Begin = Callable[..., Awaitable[Desk]]


@pytest.fixture
async def start(renku_hub: Any, lab: FakeGitLab) -> Start:
    """A function that starts the hub; its arguments are settings of the authenticator."""

    async def make(**login: Any) -> Hub:
        keys = {"client_id": lab.client_id, "gitlab_url": lab.url, "allow_all": True} | login
        hub = {"authenticator_class": RenkuGitLabOAuthenticator, "extra_handlers": keys.pop("extra_handlers", [])}
        return Hub(await renku_hub(JupyterHub=hub, GitLabOAuthenticator=keys), lab)

    return make


@pytest.fixture
async def hub(start: Start) -> Hub:
    return await start()


@pytest.fixture
async def begin(lab: FakeGitLab) -> AsyncIterator[Begin]:
    """A function that makes a desk where alice and bob are known; its arguments are settings of the authenticator."""
    made = []

    async def make(kind: type = RenkuGitLabOAuthenticator, **login: Any) -> Desk:
        sessions = orm.new_session_factory("sqlite:///:memory:")
        keys = {"client_id": lab.client_id, "gitlab_url": lab.url} | login
        authenticator = kind(config=Config({"GitLabOAuthenticator": keys}))
        db = sessions()
        made.append((db, sessions))
        users = UserDict(lambda db=db: db, {"authenticator": authenticator, "db": db})
        desk = Desk(SimpleNamespace(users=users, db=db, authenticator=authenticator), lab)
        for name in ("alice", "bob"):
            await desk.known(name)
        return desk

    yield make
    for db, sessions in made:
        db.close()
        sessions.kw["bind"].dispose()


@pytest.fixture
async def desk(begin: Begin) -> Desk:
    return await begin()
