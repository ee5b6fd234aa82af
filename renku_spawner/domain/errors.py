"""The ways in which Renku says no; each carries words for the person who asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class RenkuError(Exception):
    """Something that a person asked for and does not get.

    `message` is a sentence for that person, `code` a word from a closed list for
    programs, `fields` says what is wrong with which field of a form or body, and
    `details` are further values for programs (JSON types only).
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


class Malformed(RenkuError):
    """The request cannot be read at all: syntax, encoding, duplicate keys (400)."""

    code = "malformed"


class Invalid(RenkuError):
    """The request reads well and asks for something impossible (422)."""

    code = "invalid"


class Forbidden(RenkuError):
    """The person may see this but not do it (403)."""

    code = "permission_denied"


class NotFound(RenkuError):
    """It does not exist, or the person may not know that it does (404)."""

    code = "not_found"


class Conflict(RenkuError):
    """It clashes with what is there already (409)."""

    code = "conflict"


class Refused(Conflict):
    """A start that does not happen; `code` is a code of `reasons` (409)."""

    code = "refused"


class Unavailable(RenkuError):
    """Not now; trying again in `retry_after` seconds may help (503)."""

    code = "unavailable"

    def __init__(self, message: str, *, retry_after: int = 1, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class TooMany(Unavailable):
    """The person has done as much of it as an admin allows for now (429)."""

    code = "too_many"


NOT_FOUND = "There is no such page, or you have no access to it."


def not_found() -> NotFound:
    """The one answer for what is absent and for what is hidden."""
    return NotFound(NOT_FOUND)
