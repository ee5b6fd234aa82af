"""A request that nobody has made: what the hub does of itself goes through its own handlers all the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jupyterhub.handlers import BaseHandler
from tornado.httputil import HTTPConnection, HTTPHeaders, HTTPServerRequest, RequestStartLine


class _NoConnection(HTTPConnection):
    """Nothing comes from there, and nothing is sent there."""

    def set_close_callback(self, callback: Callable[[], None]) -> None:
        """It is never closed."""


class Nobody(BaseHandler):
    """Starts as the hub's handlers do, on behalf of the hub's *user* and with nobody's login.

    The line, not the hub, limits how many start: see `services.line`. A login that has to be renewed is treated as
    that of a program with a token of the user: renewed if that needs nobody, used as it is, or, where an admin is
    strict about that (`Authenticator.auth_refresh_strict`), the end of the start with 403.
    """

    concurrent_spawn_limit = 0
    active_server_limit = 0
    slow_spawn_timeout = 0
    current_user = None

    _token_authenticated = True

    def __init__(self, hub: Any, user: Any) -> None:
        line, headers = RequestStartLine("POST", "/", "HTTP/1.1"), HTTPHeaders({"Host": "127.0.0.1"})
        request = HTTPServerRequest(start_line=line, headers=headers, connection=_NoConnection())
        super().__init__(hub.tornado_application, request)
        self._jupyterhub_user = user
