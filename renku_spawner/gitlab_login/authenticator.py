"""Logs people in at GitLab, and out only when GitLab says so."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from traitlets import default

from ..gitlab import auth_state
from ..gitlab.auth_state import State
from ..gitlab.errors import Away, LogInAgain
from ..gitlab.tokens import Token
from . import people, refusals
from .renewal import WAIT, Renewing


class RenkuGitLabOAuthenticator(Renewing):
    """GitLabOAuthenticator with tokens that survive concurrent requests and a GitLab that is away.

    `install` sets it where `c.Renku.projects` is "gitlab"; what is set for
    GitLabOAuthenticator holds for it. An admin's own authenticator derives from it.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._known = people.Known()
        self._needed: dict[str, str] = {}

    @default("enable_auth_state")
    def _kept(self) -> bool:
        return True

    @default("gitlab_url")
    def _where_projects_are(self) -> str:
        return str(self.config.Renku.get("gitlab_url") or self._default_gitlab_url()).rstrip("/")

    @default("http_request_kwargs")
    def _in_time(self) -> dict[str, float]:
        return {"connect_timeout": WAIT, "request_timeout": 2 * WAIT}

    def need(self, scopes: Mapping[str, str]) -> None:
        """Ask people for *scopes*, each with what it is for, too, and let nobody in without them."""
        self._needed = dict(scopes)
        self.set_trait("scope", [*self.scope, *(each for each in scopes if each not in self.scope)])

    async def get_token_info(self, handler: Any, params: Any) -> Any:
        """GitLab's answer to a log-in. Raises HTTPError 403 if it grants less than is needed."""
        made = await super().get_token_info(handler, params)
        refusals.check_scopes(made, self._needed)
        return made if made.get("scope") else {**made, "scope": " ".join(self.scope)}

    async def authenticate(self, handler: Any, data: Any = None, **kwargs: Any) -> Any:
        """Who has come back from GitLab.

        Raises:
            HTTPError: 400, 403 or 503; the hub shows its words.
        """
        begun = time.monotonic()
        with refusals.told():
            model = await super().authenticate(handler, data, **kwargs)
        named = await people.identified(self._known, handler, model)
        self.heard.asked(named["name"])
        self.heard.took(named["name"], named["auth_state"]["access_token"], ago=time.monotonic() - begun)
        return named if named["name"] == model["name"] else await self._by_name(named)

    async def _by_name(self, model: dict[str, Any]) -> dict[str, Any]:
        """*model* with what had been decided by a name that is not this person's here."""
        model = {**model, "admin": True if model["name"] in self.admin_users else None}
        made: dict[str, Any] = await self._apply_managed_groups(model)
        return made

    async def check_allowed(self, username: str, auth_model: Any) -> Any:
        """Whether an admin lets this person in; GitLab is asked where that hangs on its groups or projects."""
        with refusals.told():
            return await super().check_allowed(username, auth_model)

    async def refresh_user(self, user: Any, handler: Any = None, **kwargs: Any) -> Any:
        """Whether the log-in of the hub's *user* goes on: as long as it has the scopes and GitLab does not end it."""
        if self.refresh_user_hook is not None:
            said = await self._call_refresh_user_hook(user, await user.get_auth_state())
            if said is not None:
                return said
        try:
            state = await self.checked(user)
        except Away:
            return True
        except LogInAgain:
            return False
        if auth_state.missing(auth_state.scopes(state), self._needed):  # an admin asks for more than at their log-in
            return False
        return await self._changes(user, state)

    async def _changes(self, user: Any, state: State) -> Any:
        """True, so that the hub stores nothing; where it has to change something, that and what is stored just now."""
        if not self.manage_groups:
            return True
        admin = True if user.name in self.admin_users else None
        model = await self.update_auth_model({"name": user.name, "admin": admin, "auth_state": dict(state)})
        model = await self._apply_managed_groups(model)
        same = set(model["groups"]) == {group.name for group in user.groups}
        return True if same and model["admin"] in (None, user.admin) else model

    async def token(self, user: Any, *, left: float, not_this: str | None = None) -> Token:
        """The access token of the hub's *user*; see `gitlab.tokens.Tokens`.

        Raises:
            LogInAgain, Away: as there.
        """
        token = auth_state.token_of(await self.good(user, left=left, not_this=not_this))
        if token is None:
            raise LogInAgain
        return token
