"""Exceptions of the client, one class per kind of failure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ClientError(Exception):
    """A call that failed; `str()` of it is a sentence for the user.

    Attributes:
        status: HTTP status of the response; 0 if there was none.
        code: the reason as one word for programs, such as `already_running`.
        message: the sentence.
        fields: a message for each invalid field of the request body, by its name.
        details: further fields of the response, such as the session that blocks the call.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        code: str = "",
        fields: Mapping[str, str] | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message, self.status, self.code = message, status, code
        self.fields, self.details = dict(fields or {}), dict(details or {})


class NotAllowed(ClientError):
    """The token is invalid, lacks the scope, or its user lacks the right (401, 403; `credentials`, `scope_missing`)."""


class NotFound(ClientError):
    """The object does not exist, or this user may not see it (404)."""


class Refused(ClientError):
    """The hub rejected the request: a conflict (409), an invalid field (422) or a malformed request (400)."""


class Busy(ClientError):
    """The hub is busy (429, 503), and all retries are used up; `retry_after` is in seconds, None if unknown."""

    retry_after: float | None = None


class HubAway(ClientError):
    """The hub cannot be reached: no connection, a timeout, an invalid certificate, or an error page of a proxy."""


class NotUnderstood(ClientError):
    """The server is not a hub with Renku, or runs a release that this client does not know."""
