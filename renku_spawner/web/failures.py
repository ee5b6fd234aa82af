"""What a failure says to whoever asked: one status, one code, one sentence per kind of error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import responses
from typing import Any

from tornado.web import HTTPError

from ..domain import errors
from ..gitlab.errors import LogInAgain

_STATUS: dict[type[errors.RenkuError], int] = {
    errors.Malformed: 400,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Invalid: 422,
    errors.TooMany: 429,
    errors.Unavailable: 503,
}
_CODES = {
    400: "malformed",
    403: "permission_denied",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid",
    429: "hub_busy",
    503: "unavailable",
}
TITLES = {
    400: "This request cannot be read",
    403: "Not allowed",
    404: "Not found",
    405: "Not possible here",
    409: "That does not go together",
    413: "Too large",
    415: "This kind of content is not understood",
    422: "Something is to be corrected",
    429: "Many sessions are starting",
    503: "Not now",
}
_TITLES_OF_CODES = {  # where the status says less
    errors.TooMany.code: "Too many changes at once",
    LogInAgain.code: "Please log in again",
}
_SENTENCES = {
    404: errors.NOT_FOUND,
    405: "This address does not take such a request.",
    413: "The request is larger than 64 kB.",
    500: "Something went wrong on our side. It has been noted; please try again.",
}


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A failure as it is told; `headers` go with the answer."""

    status: int
    code: str
    message: str
    fields: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return _TITLES_OF_CODES.get(self.code) or TITLES.get(self.status, "That did not work")

    def answer(self) -> dict[str, Any]:
        """The JSON of design §9; `fields` only where a field is wrong."""
        said: dict[str, Any] = {"status": self.status, "code": self.code, "message": self.message}
        if self.fields:
            said["fields"] = dict(self.fields)
        return said | {key: value for key, value in self.details.items() if key not in said}


def of(error: BaseException | None, status: int) -> Failure:
    """What *error* says; *status* is what the web server would answer by itself."""
    if isinstance(error, errors.NotFound) or (isinstance(error, HTTPError) and error.status_code == 404):
        return Failure(status=404, code="not_found", message=errors.NOT_FOUND)  # the same bytes, whatever was asked
    if isinstance(error, errors.RenkuError):
        return _ours(error)
    if isinstance(error, HTTPError) or hasattr(error, "jupyterhub_message"):
        return _web(error)
    return Failure(status=status, code=_CODES.get(status, "internal"), message=_sentence(status))


def status_of(error: errors.RenkuError) -> int:
    return next(status for kind, status in _STATUS.items() if isinstance(error, kind))


def _ours(error: errors.RenkuError) -> Failure:
    headers = {"Retry-After": str(error.retry_after)} if isinstance(error, errors.Unavailable) else {}
    return Failure(
        status=status_of(error),
        code=error.code,
        message=error.message,
        fields=error.fields,
        details=error.details,
        headers=headers,
    )


def _web(error: Any) -> Failure:
    """An error of the hub or of the web server: its own words only where the client is at fault."""
    status = error.status_code
    own = getattr(error, "jupyterhub_message", None) or getattr(error, "log_message", None)
    return Failure(
        status=status,
        code=_CODES.get(status, "internal"),
        message=own if own and status < 500 and status not in _SENTENCES else _sentence(status),
        headers=dict(getattr(error, "headers", None) or {}),
    )


def _sentence(status: int) -> str:
    return _SENTENCES.get(status) or f"{responses.get(status, 'Error')}."
