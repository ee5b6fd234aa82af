"""Who has sent a cookie, found with one statement instead of the hub's four."""

from __future__ import annotations

from typing import Any

from jupyterhub import orm, version_info
from jupyterhub.handlers import BaseHandler

from ..domain.errors import Forbidden

_READ = (6, 1)  # the release of JupyterHub


async def require_log_in(handler: Any, user: Any) -> None:
    """Whoever starts something must still be logged in where people log in. The hub asks the authenticator before
    each start, once in a request; its own refusal in the middle of a start would be told as a fault.

    Raises:
        Forbidden: `log_in_again`.
    """
    if handler.authenticator.refresh_pre_spawn and await handler.refresh_auth(user, force=True) is None:
        raise log_in_again()


def log_in_again() -> Forbidden:
    return Forbidden("Your log-in has ended. Please log in again.", code="log_in_again")


class Visitor(BaseHandler):
    """Takes people whom the hub knows already from its memory.

    The hub's own look-up reads roles and groups of a user at each request, although it keeps
    those that it has read before: a third of a small page. Whether the cookie holds is still
    asked of the database each time; whatever is not plainly good is left to the hub, and so is
    everything in a release of JupyterHub whose look-up may check more than the one read here.
    """

    _token_authenticated = False  # the hub reads it also where it has not set it: when a log-in elsewhere has ended

    def _user_for_cookie(self, cookie_name: str, cookie_value: str | None = None) -> Any:
        if version_info[:2] != _READ:
            return super()._user_for_cookie(cookie_name, cookie_value)
        signed = self.get_secure_cookie(cookie_name, cookie_value, max_age_days=self.cookie_max_age_days)
        user = self._known(signed.decode("utf8", "replace")) if signed else None
        if user is None:
            return super()._user_for_cookie(cookie_name, cookie_value)
        if self._record_activity(user):
            self.db.commit()
        return user

    def _known(self, cookie_id: str) -> Any:
        key = self.db.query(orm.User.id).filter(orm.User.cookie_id == cookie_id).scalar()
        return None if key is None else self._user_from_orm(self.db.get(orm.User, key))
