"""Require a current login before a start."""

from __future__ import annotations

from ..domain.errors import ForbiddenError
from .jupyterhub import HubRequestHandler, HubUser


async def require_current_login(handler: HubRequestHandler, user: HubUser) -> None:
    """Refresh the user's log-in before a start, if `Authenticator.refresh_pre_spawn` is set.

    The hub would do the same during the start, but its refusal there would be reported as an internal error. It
    refreshes only once in a request.

    Raises:
        ForbiddenError: `log_in_again`.
    """
    if handler.authenticator.refresh_pre_spawn and await handler.refresh_auth(user, force=True) is None:
        raise build_log_in_again_error()


def build_log_in_again_error() -> ForbiddenError:
    return ForbiddenError("Your log-in has ended. Please log in again.", code="log_in_again")
