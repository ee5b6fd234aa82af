"""Who may come in: the scope, the site and the kind of a request, looked at before its body is read."""

from __future__ import annotations

from typing import Any

from tornado.web import HTTPError

from ..domain.errors import Forbidden
from . import reading
from .scopes import ADMIN, READ

SAFE = {"GET", "HEAD", "OPTIONS"}
_OWN_SITE = {None, "same-origin", "none"}


def hide(handler: Any) -> bool:
    """Whether the address is for admins alone, and this is none: it then takes the same requests as one that
    does not exist, and gives the same answer in the end."""
    if set(handler.scope.values()) != {ADMIN} or handler.has_scope(ADMIN):
        return False
    handler.scope = dict.fromkeys(("get", "post", "put", "patch", "delete"), READ)
    handler.page = lambda *args: handler.request.uri if handler.request.method == "GET" else handler.request.path
    return True


def check(handler: Any) -> None:
    """Raise unless the request has the scope of its method, and comes as our own pages or a program send it."""
    scope = handler.scope.get(handler.request.method.lower())
    if scope is None:
        raise HTTPError(405)
    require_scope(handler, scope)
    if handler.request.method not in SAFE:
        _check_origin(handler)
        check_kind(handler)


def require_scope(handler: Any, scope: str) -> None:
    if not handler.has_scope(scope):
        raise Forbidden(f"This needs the scope {scope}.", code="scope_missing")


def require_own_site(handler: Any) -> None:
    """For what is only read, and is work all the same. Raises Forbidden."""
    _check_origin(handler)


def _check_origin(handler: Any) -> None:
    """Other sites, also neighbours below the same domain, send no forms of ours (T5)."""
    headers = handler.request.headers
    foreign = headers.get("Sec-Fetch-Site") not in _OWN_SITE
    unchecked = headers.get("Sec-Fetch-Mode") == "websocket"  # of which the hub wants no XSRF token
    if (foreign or unchecked) and not getattr(handler, "_token_authenticated", False):
        raise Forbidden("This request comes from another site.", code="cross_site")


def check_kind(handler: Any) -> None:
    kind = handler.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind not in handler.kinds and (kind or reading.sends_body(handler.request.headers)):
        raise HTTPError(415, f"Please send {' or '.join(handler.kinds)}.")
