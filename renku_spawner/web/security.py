"""Check requests before they are handled: scope, origin, content type, rate limits and strict parsing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from tornado.web import HTTPError

from ..domain.errors import ForbiddenError
from ..hub.jupyterhub import HubRequestHandler, is_token_authenticated
from ..hub.scopes import ADMIN_SCOPE, READ_SCOPE
from .request_parsing import has_request_body

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_OWN_SITE_FETCH_VALUES = {None, "same-origin", "none"}


class CheckedHandler(HubRequestHandler, Protocol):
    """The part of `web.base.RenkuBaseHandler` that decides which requests are accepted."""

    scope: Mapping[str, str]
    kinds: Sequence[str]
    get_page_url: Callable[..., str]


def hide_admin_route(handler: CheckedHandler) -> bool:
    """Hide an address for admins from any other user, and return whether it is hidden.

    It then accepts the same requests as an address that does not exist, and gives the same answer.
    """
    if set(handler.scope.values()) != {ADMIN_SCOPE} or handler.has_scope(ADMIN_SCOPE):
        return False
    handler.scope = dict.fromkeys(("get", "post", "put", "patch", "delete"), READ_SCOPE)
    handler.get_page_url = lambda *args: (
        handler.request.uri if handler.request.method == "GET" else handler.request.path
    )
    return True


def check_request(handler: CheckedHandler) -> None:
    """Raise unless the request has the scope of its method, and comes from our own pages or a program."""
    scope = handler.scope.get(handler.request.method.lower())
    if scope is None:
        raise HTTPError(405)
    require_scope(handler, scope)
    if handler.request.method not in SAFE_METHODS:
        _check_request_origin(handler)
        check_content_type(handler)


def require_scope(handler: CheckedHandler, scope: str) -> None:
    if not handler.has_scope(scope):
        raise ForbiddenError(f"This needs the scope {scope}.", code="scope_missing")


def require_same_origin(handler: CheckedHandler) -> None:
    """Reject requests from other sites to an expensive read-only address. Raises ForbiddenError."""
    _check_request_origin(handler)


def _check_request_origin(handler: CheckedHandler) -> None:
    """Reject requests from other sites, also of the same domain. Raises ForbiddenError."""
    headers = handler.request.headers
    foreign = headers.get("Sec-Fetch-Site") not in _OWN_SITE_FETCH_VALUES
    unchecked = headers.get("Sec-Fetch-Mode") == "websocket"  # for which the hub checks no XSRF token
    if (foreign or unchecked) and not is_token_authenticated(handler):
        raise ForbiddenError("This request comes from another site.", code="cross_site")


def check_content_type(handler: CheckedHandler) -> None:
    kind = handler.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind not in handler.kinds and (kind or has_request_body(handler.request.headers)):
        raise HTTPError(415, f"Please send {' or '.join(handler.kinds)}.")
