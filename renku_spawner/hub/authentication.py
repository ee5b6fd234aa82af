"""Resolve the user of a cookie with one query, and require a current login before a start."""

from __future__ import annotations

from typing import Any

from jupyterhub import orm, version_info
from jupyterhub.handlers import BaseHandler

from ..domain.errors import ForbiddenError

_REVIEWED_JUPYTERHUB_VERSION = (6, 1)  # the release whose cookie look-up `CookieUserHandler` reproduces


async def require_current_login(handler: Any, user: Any) -> None:
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


class CookieUserHandler(BaseHandler):
    """Look up the user of a cookie without loading roles and groups again.

    The hub's own look-up reads a user's roles and groups at each request, which takes a third of the time of a small
    page. This one still checks the cookie against the database each time. It leaves every other case to the hub: a
    cookie that it does not find, and a release of JupyterHub whose look-up may check more.
    """

    _token_authenticated = False  # the hub reads it without having set it when the log-in at the provider has ended

    def _user_for_cookie(self, cookie_name: str, cookie_value: str | None = None) -> Any:
        if version_info[:2] != _REVIEWED_JUPYTERHUB_VERSION:
            return super()._user_for_cookie(cookie_name, cookie_value)
        signed = self.get_secure_cookie(cookie_name, cookie_value, max_age_days=self.cookie_max_age_days)
        user = self._find_known_user(signed.decode("utf8", "replace")) if signed else None
        if user is None:
            return super()._user_for_cookie(cookie_name, cookie_value)
        if self._record_activity(user):
            self.db.commit()
        return user

    def _find_known_user(self, cookie_id: str) -> Any:
        key = self.db.query(orm.User.id).filter(orm.User.cookie_id == cookie_id).scalar()
        return None if key is None else self._user_from_orm(self.db.get(orm.User, key))
