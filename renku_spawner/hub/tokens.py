"""Tokens of session servers: their scopes, the session that a token belongs to, and revocation when a session ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from hmac import compare_digest
from time import monotonic
from typing import Any

from jupyterhub import orm
from jupyterhub.utils import maybe_future, url_escape_path, url_path_join

from ..config.renku import Renku
from ..domain.errors import UnavailableError
from ..domain.ids import is_valid_id
from .jupyterhub import HubServer, HubUser, is_check_pending

ServerTokenScopes = Sequence[str] | Callable[[Any], Any]


class TokenRevocationMixin:
    """Spawner mixin that revokes all tokens of a session when its server stops.

    The hub revokes only the token that it has in memory. After its restart it has none until the token is read from the
    running session, which may happen late or never.
    """

    name: str
    user: HubUser

    def run_post_stop_hook(self) -> Any:
        """Revoke tokens at the end of each stop, successful or not; no new start can have begun by then."""
        self.revoke_session_tokens()
        return super().run_post_stop_hook()  # type: ignore[misc]

    def revoke_session_tokens(self) -> None:
        """Revoke every token that the hub has issued to this session's server."""
        if not is_valid_id(self.name):
            return
        # The note that `User.spawn` gives the token: https://github.com/jupyterhub/jupyterhub/blob/6.1.0/jupyterhub/user.py
        note = f"Server at {url_path_join(self.user.base_url, url_escape_path(self.name), '/')}"
        hub = self.user.db
        for token in hub.query(orm.APIToken).filter_by(user_id=self.user.id, note=note):
            hub.delete(token)
        hub.commit()


_TOKEN_LOOKUP_TIMEOUT_SECONDS = 5.0  # wait for tokens that the hub still reads after its restart


async def find_session_by_token(user: HubUser, token: str | None) -> str | None:
    """Return the session whose server has *token*; None for any other token.

    Raises:
        UnavailableError: the hub has restarted and has not read the tokens of all sessions yet.
    """
    end = monotonic() + _TOKEN_LOOKUP_TIMEOUT_SECONDS
    while token:
        servers = [spawner for spawner in user.spawners.values() if spawner.active]
        for spawner in servers:
            if spawner.api_token and compare_digest(spawner.api_token.encode(), token.encode()):
                return str(spawner.name)
        if all(_has_known_token(spawner) for spawner in servers):
            return None
        if monotonic() > end:
            raise UnavailableError("The hub is still checking your sessions; try again in a moment.", retry_after=5)
        await asyncio.sleep(0.1)
    return None


def _has_known_token(spawner: HubServer) -> bool:
    token_task = getattr(spawner, "token_task", None)
    return not is_check_pending(spawner) and (token_task is None or token_task.done())


def build_server_token_scopes(
    theirs: ServerTokenScopes, git: str, own: str
) -> Callable[[Any], list[str] | Awaitable[list[str]]]:
    """Return a `Spawner.server_token_scopes` that extends the admin's own setting *theirs*.

    Sessions also get the scope *own*, and the scope *git* if git gets credentials. If the admin has set no scopes, the
    base is JupyterHub's default: the scopes of its role `server`.
    """

    def scopes(spawner: HubServer) -> list[str] | Awaitable[list[str]]:
        if not callable(theirs):
            return add_ours(spawner, theirs)
        spawner.user.db.commit()  # the end of any request rolls back uncommitted rows, such as this start's server
        return ask(theirs, spawner)

    async def ask(theirs: Callable[[Any], Any], spawner: HubServer) -> list[str]:
        return add_ours(spawner, await maybe_future(theirs(spawner)))

    def add_ours(spawner: HubServer, configured: Sequence[str] | None) -> list[str]:
        ours = [own, *([git] if _has_git_credentials() else [])] if is_valid_id(spawner.name) else []
        missing = [scope for scope in ours if scope not in (configured or ())]
        if not missing:
            return list(configured or ())
        return [*(configured or orm.Role.find(spawner.user.db, "server").scopes), *missing]

    return scopes


def _has_git_credentials() -> bool:
    context = Renku.instance().context
    return context.gitlab is not None and context.policy.git_credentials != "off"
