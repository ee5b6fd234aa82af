"""Whose token GitLab is asked with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Token:
    """An access token of a person; `user_id` is GitLab's number of them, `expires_at` in seconds since 1970 (UTC)."""

    access: str = field(repr=False)
    user_id: int
    scopes: frozenset[str]
    expires_at: float


class Tokens(Protocol):
    async def of(self, name: str, *, left: float = 60.0, not_this: str | None = None) -> Token:
        """The token of the hub's user *name*, good for *left* more seconds; refreshed once however many ask.

        *not_this* is an access token that GitLab has just refused (401): another one is got.

        Raises:
            LogInAgain: there is none, or GitLab does not renew it.
            Away: GitLab does not answer.
        """

    def taken(self, name: str, token: Token, *, ago: float) -> None:
        """GitLab has given *name* what was asked for with *token*, *ago* seconds ago."""
