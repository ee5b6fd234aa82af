"""What somebody reads who comes back from GitLab and is not let in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tornado.httpclient import HTTPClientError
from tornado.web import HTTPError

from ..gitlab import auth_state

_AWAY = "GitLab does not answer at the moment. Please log in again in a minute; what is running goes on."
_STALE = "GitLab did not accept this log-in; perhaps it took too long. Please log in again."
_SHUT = "GitLab does not let this account in. Please look there for what it wants of you."
_WORDS = {400: (400, _STALE), 401: (400, _STALE), 403: (403, _SHUT)}


@contextmanager
def told() -> Iterator[None]:
    """What goes wrong with GitLab within is raised as words; the hub's own would be a fault, with what GitLab sent."""
    try:
        yield
    except HTTPClientError as problem:
        raise _refusal(problem.code) from None
    except HTTPError as problem:
        if problem.status_code < 500:
            raise
        raise _refusal(problem.status_code) from None
    except (OSError, ValueError):
        raise _refusal(503) from None


def _refusal(code: int) -> HTTPError:
    status, words = _WORDS.get(code, (503, _AWAY))
    return HTTPError(status, words)


def check_scopes(response: Mapping[str, Any], needed: Mapping[str, str]) -> None:
    """Raise HTTPError 403 with what GitLab's *response* about a token lacks, and what each would be for.

    Without a scope it has what was asked for: RFC 6749, section 5.1.
    """
    granted = auth_state.scopes(response)
    missing = auth_state.missing(granted, needed) if granted else {}
    if missing:
        list_of = ", ".join(f"{scope} ({purpose})" for scope, purpose in missing.items())
        raise HTTPError(
            403,
            f"GitLab has not granted what this hub needs: {list_of}. Log in again and allow all of it; if GitLab "
            "does not offer that, an admin has to add these scopes to the application registered there.",
        )
