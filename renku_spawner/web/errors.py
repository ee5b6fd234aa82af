"""Map exceptions to HTTP errors: status, code, message and headers.

The exceptions themselves are in `domain.errors`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import responses
from typing import Any

from tornado.web import HTTPError

from ..domain.errors import (
    NOT_FOUND_MESSAGE,
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    MalformedInputError,
    NotFoundError,
    RenkuError,
    TooManyRequestsError,
    UnavailableError,
)
from ..integrations.gitlab.client import GitLabLoginRequired

_STATUS_BY_ERROR: dict[type[RenkuError], int] = {
    MalformedInputError: 400,
    ForbiddenError: 403,
    NotFoundError: 404,
    ConflictError: 409,
    InvalidInputError: 422,
    TooManyRequestsError: 429,
    UnavailableError: 503,
}
_CODE_BY_STATUS = {
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
ERROR_TITLES = {
    400: "This request cannot be read",
    403: "Not allowed",
    404: "Not found",
    405: "Not possible here",
    409: "Conflict",
    413: "Too large",
    415: "This kind of content is not understood",
    422: "Please correct the highlighted fields",
    429: "Many sessions are starting",
    503: "Not now",
}
_ERROR_TITLES_BY_CODE = {  # more specific than the title of the status
    TooManyRequestsError.code: "Too many changes at once",
    GitLabLoginRequired.code: "Please log in again",
}
_DEFAULT_ERROR_MESSAGES = {
    404: NOT_FOUND_MESSAGE,
    405: "This address does not take such a request.",
    413: "The request is larger than 64 kB.",
    500: "Something went wrong on our side. It has been noted; please try again.",
}


@dataclass(frozen=True, kw_only=True)
class ErrorResponse:
    """An error as it is sent to the client, with its `headers`."""

    status: int
    code: str
    message: str
    fields: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return _ERROR_TITLES_BY_CODE.get(self.code) or ERROR_TITLES.get(self.status, "That did not work")

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON of the error; `fields` only if fields are wrong."""
        body: dict[str, Any] = {"status": self.status, "code": self.code, "message": self.message}
        if self.fields:
            body["fields"] = dict(self.fields)
        return body | {key: value for key, value in self.details.items() if key not in body}


def to_error_response(error: BaseException | None, status: int) -> ErrorResponse:
    """Map *error* to a response; *status* is what Tornado would answer by itself.

    Tornado answers 500 without an error where a hub that ends cancels a request (tornado/web.py `_execute`).
    """
    if error is None and status == 500:
        return _from_renku_error(
            UnavailableError("The hub is restarting. Please try again in a moment.", retry_after=5)
        )
    if isinstance(error, NotFoundError) or (isinstance(error, HTTPError) and error.status_code == 404):
        return ErrorResponse(
            status=404, code="not_found", message=NOT_FOUND_MESSAGE
        )  # identical for missing and hidden resources
    if isinstance(error, RenkuError):
        return _from_renku_error(error)
    if isinstance(error, HTTPError) or hasattr(error, "jupyterhub_message"):
        return _from_http_error(error)
    return ErrorResponse(
        status=status, code=_CODE_BY_STATUS.get(status, "internal"), message=_get_default_error_message(status)
    )


def get_error_status(error: RenkuError) -> int:
    return next(status for kind, status in _STATUS_BY_ERROR.items() if isinstance(error, kind))


def _from_renku_error(error: RenkuError) -> ErrorResponse:
    headers = {"Retry-After": str(error.retry_after)} if isinstance(error, UnavailableError) else {}
    return ErrorResponse(
        status=get_error_status(error),
        code=error.code,
        message=error.message,
        fields=error.fields,
        details=error.details,
        headers=headers,
    )


def _from_http_error(error: Any) -> ErrorResponse:
    """Map an error of the hub or of Tornado; its own message is used only for errors of the client."""
    status = error.status_code
    own = getattr(error, "jupyterhub_message", None) or getattr(error, "log_message", None)
    return ErrorResponse(
        status=status,
        code=_CODE_BY_STATUS.get(status, "internal"),
        message=own
        if own and status < 500 and status not in _DEFAULT_ERROR_MESSAGES
        else _get_default_error_message(status),
        headers=dict(getattr(error, "headers", None) or {}),
    )


def _get_default_error_message(status: int) -> str:
    return _DEFAULT_ERROR_MESSAGES.get(status) or f"{responses.get(status, 'Error')}."
