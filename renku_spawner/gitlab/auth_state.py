"""What the hub keeps of a log-in at GitLab, read without trust in its shape."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from .tokens import Token

State = Mapping[str, Any]
USER = "gitlab_user"
EXPIRES = "renku_expires_at"  # by the hub's own clock; GitLab's may be wrong
_EVERYTHING = "api"  # the scope that holds all others


def token_of(state: State | None) -> Token | None:
    """The token in an auth state; None where there is none, or no number of the user."""
    access, number = (state or {}).get("access_token"), user_id(state)
    if not state or not isinstance(access, str) or not access or number is None:
        return None
    return Token(access=access, user_id=number, scopes=scopes(state), expires_at=_expires_at(state))


def user_id(state: State | None) -> int | None:
    """GitLab's number of the user; names change hands, numbers do not."""
    return number_of((state or {}).get(USER))


def number_of(user: Any) -> int | None:
    """The number in GitLab's answer about a user."""
    number = user.get("id") if isinstance(user, Mapping) else None
    return number if type(number) is int and number > 0 else None


def scopes(state: State) -> frozenset[str]:
    """What was granted."""
    said = state.get("scope") or ()
    words: Iterable[Any] = said.split() if isinstance(said, str) else said
    return frozenset(word for word in words if isinstance(word, str) and word)


def missing(granted: frozenset[str], asked: Mapping[str, str]) -> dict[str, str]:
    """What of *asked* was not granted, each scope with what it is for."""
    if _EVERYTHING in granted:
        return {}
    return {scope: purpose for scope, purpose in asked.items() if scope not in granted}


def is_good(state: State | None, now: float, *, left: float, not_this: str | None = None) -> bool:
    """Whether its token is not *not_this* and lasts *left* more seconds, or half of a shorter life."""
    token = token_of(state)
    if state is None or token is None or token.access == not_this:
        return False
    lifetime = _number((state.get("token_response") or {}).get("expires_in"))
    return token.expires_at - now >= min(left, (math.inf if lifetime is None else lifetime) / 2)


def ends(response: State, now: float) -> float | None:
    """When the token of GitLab's *response*, which came *now*, ends: seconds since 1970, None where it does not say."""
    lifetime = _number(response.get("expires_in"))
    return None if lifetime is None else now + lifetime


def _expires_at(state: State) -> float:
    """One that was kept by somebody else's authenticator has only GitLab's own times."""
    known = _number(state.get(EXPIRES))
    if known is not None:
        return known
    response = state.get("token_response") or {}
    return ends(response, _number(response.get("created_at")) or 0.0) or math.inf


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
