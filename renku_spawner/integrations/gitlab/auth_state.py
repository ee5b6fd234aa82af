"""Read GitLab tokens, scopes and user ids from JupyterHub's auth state."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True)
class GitLabToken:
    """A user's access token; `user_id` is GitLab's id, `expires_at` is in seconds since 1970 (UTC)."""

    access: str = field(repr=False)
    user_id: int
    scopes: frozenset[str]
    expires_at: float


class GitLabTokenProvider(Protocol):
    async def get_token(self, name: str, *, left: float = 60.0, not_this: str | None = None) -> GitLabToken:
        """Return a token of the hub user *name* that is valid for *left* more seconds, refreshing it if needed.

        Parallel calls share one refresh. *not_this* is an access token that GitLab has just refused (401): another one
        is returned.

        Raises:
            GitLabLoginRequired: there is no token, or GitLab does not refresh it.
            GitLabUnavailable: GitLab does not answer.
        """

    def record_accepted(self, name: str, token: GitLabToken, *, ago: float) -> None:
        """Record that GitLab accepted *token* of *name* in a request that started *ago* seconds ago."""


AuthState = Mapping[str, Any]
AUTH_STATE_USER_KEY = "gitlab_user"
AUTH_STATE_EXPIRES_KEY = "renku_expires_at"  # by the hub's own clock; GitLab's may be wrong
_API_SCOPE = "api"  # the scope that includes all others


def parse_gitlab_token(state: AuthState | None) -> GitLabToken | None:
    """Return the token in an auth state, or None without a token or a GitLab user id."""
    access, number = (state or {}).get("access_token"), get_gitlab_user_id(state)
    if not state or not isinstance(access, str) or not access or number is None:
        return None
    return GitLabToken(
        access=access, user_id=number, scopes=parse_granted_scopes(state), expires_at=_read_token_expiry(state)
    )


def get_gitlab_user_id(state: AuthState | None) -> int | None:
    """Return GitLab's user id, which is never reused, unlike user names; None if there is none."""
    return parse_gitlab_user_id((state or {}).get(AUTH_STATE_USER_KEY))


def parse_gitlab_user_id(user: Any) -> int | None:
    """Return the id in GitLab's answer about a user, or None."""
    number = user.get("id") if isinstance(user, Mapping) else None
    return number if type(number) is int and number > 0 else None


def parse_granted_scopes(state: AuthState) -> frozenset[str]:
    """Return the scopes that the user granted."""
    value = state.get("scope") or ()
    scopes: Iterable[Any] = value.split() if isinstance(value, str) else value
    return frozenset(scope for scope in scopes if isinstance(scope, str) and scope)


def find_missing_scopes(granted: frozenset[str], asked: Mapping[str, str]) -> dict[str, str]:
    """Return the entries of *asked* (purpose by scope) that were not granted."""
    if _API_SCOPE in granted:
        return {}
    return {scope: purpose for scope, purpose in asked.items() if scope not in granted}


def has_valid_token(state: AuthState | None, now: float, *, left: float, not_this: str | None = None) -> bool:
    """Return whether the token is not *not_this* and lasts *left* more seconds, or half its lifetime if shorter."""
    token = parse_gitlab_token(state)
    if state is None or token is None or token.access == not_this:
        return False
    lifetime = _parse_number((state.get("token_response") or {}).get("expires_in"))
    return token.expires_at - now >= min(left, (math.inf if lifetime is None else lifetime) / 2)


def get_token_expiry(response: AuthState, now: float) -> float | None:
    """Return when the token in GitLab's *response*, received at *now*, expires (seconds since 1970), or None."""
    lifetime = _parse_number(response.get("expires_in"))
    return None if lifetime is None else now + lifetime


def _read_token_expiry(state: AuthState) -> float:
    """Return the expiry time, by GitLab's clock if another authenticator class stored the auth state."""
    expires_at = _parse_number(state.get(AUTH_STATE_EXPIRES_KEY))
    if expires_at is not None:
        return expires_at
    response = state.get("token_response") or {}
    return get_token_expiry(response, _parse_number(response.get("created_at")) or 0.0) or math.inf


def _parse_number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
