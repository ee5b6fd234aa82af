"""What can go wrong between a program and a hub."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ClientError(Exception):
    """A call that came to nothing; as a text it is a sentence for the person who asked.

    Attributes:
        status: of the answer in HTTP; 0 if there was none.
        code: what went wrong, as one word for programs, such as `already_running`.
        message: the sentence.
        fields: which fields of the body are wrong, and why.
        details: what else the hub said, such as the session that is in the way.
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
    """The token is unknown or has not the scope (`credentials`, `scope_missing`), or its user not the right (403)."""


class NotFound(ClientError):
    """There is no such thing, or this user may not see it (404)."""


class Refused(ClientError):
    """The hub understood and will not: a clash (409), a field that is wrong (422), a request it cannot read (400)."""


class Busy(ClientError):
    """Not now (429, 503): it was tried again as often as it should be. `retry_after` is in seconds, None if unknown."""

    retry_after: float | None = None


class HubAway(ClientError):
    """No hub answered: no connection, no answer in time, a certificate that is not right, or only a proxy's words."""


class NotUnderstood(ClientError):
    """What answered is no hub with Renku, or one whose release this client does not know."""
