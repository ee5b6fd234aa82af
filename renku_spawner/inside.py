"""What a session gets from GitLab: the right to ask for passwords, whom commits are by, and its image."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from jupyterhub import orm
from jupyterhub.utils import maybe_future

from .app import Renku
from .domain.names import is_id
from .domain.session import SessionSpec
from .people import person_of
from .services import git_credentials, pulls

Scopes = Sequence[str] | Callable[[Any], Any]


def token_scopes(theirs: Scopes, git: str, own: str) -> Callable[[Any], Awaitable[list[str]]]:
    """`Spawner.server_token_scopes`: the admin's own, for sessions *own*, and *git* where git is given credentials.

    Where an admin has set none they are those of the hub's role `server`, as they are without us.
    """

    def scopes(spawner: Any) -> Awaitable[list[str]]:
        spawner.user.db.commit()  # the end of any request rolls back what is not: this start would lose its server
        return asked_for(spawner)

    async def asked_for(spawner: Any) -> list[str]:
        said = list(await maybe_future(theirs(spawner)) if callable(theirs) else theirs or [])
        ours = [own, *([git] if _asks_for_credentials() else [])] if is_id(spawner.name) else []
        missing = [scope for scope in ours if scope not in said]
        if not missing:
            return said
        role = orm.Role.find(spawner.user.db, "server")
        return [*(said or role.scopes), *missing]

    return scopes


def _asks_for_credentials() -> bool:
    parts = Renku.instance().parts
    return parts.gitlab is not None and parts.policy.git_credentials != "off"


async def at_gitlab(user: Any, spec: SessionSpec) -> SessionSpec:
    """The same start, with what git inside knows of the hub's *user*, and where their own token opens the image.

    Raises:
        Refused, LogInAgain, Unavailable: see `pulls.registry_of`.
    """
    parts = Renku.instance().parts
    if parts.gitlab is None:
        return spec
    state = await user.get_auth_state() or {}
    known = state.get("gitlab_user") or {}
    person = person_of(user)
    git = await git_credentials.inside(parts, person, spec, known)
    return replace(spec, git=git, pull=await pulls.registry_of(parts, person, spec))
