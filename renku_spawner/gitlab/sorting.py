"""What an answer of GitLab means; nothing of it is passed on, since it may be a page, or carry a token."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import requests
from gitlab import Gitlab
from gitlab.exceptions import GitlabError

from ..domain.text import one_line
from .errors import Away, Denied, LogInAgain, Missing
from .waiting import retry_after
from .wire import Call

_SURE = {401: LogInAgain, 403: Denied, 404: Missing}
_RETRIED = {502, 503, 504}


class Busy(Away):
    """GitLab tells us to come back later (429)."""


class Broken(Away):
    """Another try may well succeed."""


def answered(call: Call, gitlab: Gitlab, work: Callable[[Gitlab], Any]) -> Any:
    """What *work* finds.

    Raises:
        LogInAgain, Denied, Missing: GitLab says so.
        Away: everything else, however odd.
    """
    try:
        return work(gitlab)
    except GitlabError as problem:
        raise _meant(problem, call) from None
    except requests.ConnectionError:
        raise Broken from None
    except (requests.RequestException, TimeoutError, LookupError, TypeError, ValueError, AttributeError):
        raise Away from None


def _meant(problem: GitlabError, call: Call) -> Exception:
    status = problem.response_code
    sure: type[Exception] | None = _SURE.get(status or 0)
    if status == 403 and problem.error_message == "insufficient_scope":
        return Denied(scope=_scope(problem))
    if sure is not None:
        return sure()
    if status == 429:
        return Busy(retry_after=retry_after(call.retry_after))
    return Broken() if status in _RETRIED else Away()


def _scope(problem: GitlabError) -> str:
    """The scopes of which the token would need one."""
    try:
        return one_line(str(json.loads(problem.response_body or b"{}")["scope"]))
    except (ValueError, LookupError, TypeError):
        return "?"
