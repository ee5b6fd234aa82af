"""Exceptions with a message for the user, and the messages of failed validations.

The web layer maps them to HTTP status codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class RenkuError(Exception):
    """A request that cannot be fulfilled.

    `message` is a sentence for the user, `code` a word from a closed list for programs, `fields` says what
    is wrong with each field of a form or body, and `details` are further values for programs (JSON types only).
    """

    code = "error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        fields: Mapping[str, str] | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.code
        self.fields = dict(fields or {})
        self.details = dict(details or {})


class MalformedInputError(RenkuError):
    """The request cannot be parsed: syntax, encoding, duplicate keys (400)."""

    code = "malformed"


class InvalidInputError(RenkuError):
    """The request was parsed, but its values are not valid (422)."""

    code = "invalid"


class ForbiddenError(RenkuError):
    """The person may see this but not do it (403)."""

    code = "permission_denied"


class NotFoundError(RenkuError):
    """The object does not exist, or the person must not learn that it does (404)."""

    code = "not_found"


class ConflictError(RenkuError):
    """The request conflicts with the present state (409)."""

    code = "conflict"


class LaunchRefusedError(ConflictError):
    """A start was refused; `code` is a code of `domain.reasons` (409)."""

    code = "refused"


class UnavailableError(RenkuError):
    """The service is unavailable now; a retry after `retry_after` seconds may succeed (503)."""

    code = "unavailable"

    def __init__(self, message: str, *, retry_after: int = 1, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class TooManyRequestsError(UnavailableError):
    """The person has reached a rate limit (429)."""

    code = "too_many"


NOT_FOUND_MESSAGE = "There is no such page, or you have no access to it."


def build_not_found_error() -> NotFoundError:
    """Return the same error for an object that is absent and for one that is hidden."""
    return NotFoundError(NOT_FOUND_MESSAGE)


VALIDATION_MESSAGES = {
    "missing": "This is required.",
    "extra_forbidden": "There is no such field.",
    "string_type": "A text, please.",
    "int_type": "A whole number, please.",
    "bool_type": "true or false, please.",
    "list_type": "A list, please.",
    "dict_type": "An object, please.",
    "model_type": "An object, please.",
    "string_too_long": "This text is too long.",
    "string_pattern_mismatch": "This is not an id.",
}


class SettingError(ValueError):
    """A setting has an invalid value; the message names the setting and says what is wrong."""
