"""The tokens of the hub's users, as the rest of Renku asks for them."""

from __future__ import annotations

from typing import Any

from ..gitlab.errors import LogInAgain
from ..gitlab.tokens import Token
from .authenticator import RenkuGitLabOAuthenticator


class HubTokens:
    """`gitlab.tokens.Tokens` of the hub's users; without a *hub*, on the command line, nobody has one."""

    def __init__(self, hub: Any) -> None:
        self._hub = hub

    async def of(self, name: str, *, left: float = 60.0, not_this: str | None = None) -> Token:
        """The token of the hub's user *name*; see `gitlab.tokens.Tokens`.

        Raises:
            LogInAgain, Away: as there.
        """
        authenticator = self._authenticator()
        if authenticator is None:
            raise LogInAgain
        user = self._hub.users.get(name)
        if user is None:
            raise LogInAgain
        return await authenticator.token(user, left=left, not_this=not_this)

    def taken(self, name: str, token: Token, *, ago: float) -> None:
        """See `gitlab.tokens.Tokens`."""
        authenticator = self._authenticator()
        if authenticator is not None:
            authenticator.heard.took(name, token.access, ago=ago)

    def _authenticator(self) -> RenkuGitLabOAuthenticator | None:
        found = getattr(self._hub, "authenticator", None)
        return found if isinstance(found, RenkuGitLabOAuthenticator) else None
