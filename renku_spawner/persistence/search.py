"""Build search patterns and page cursors; user input is escaped, so that it is never read as a pattern."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam

from ..domain.errors import InvalidInputError
from ..domain.text import fold_title

# Separates the keywords in a search column; a cleaned text never contains it.
_KEYWORD_MARK = "\x1f"


def build_search_text(*texts: str, keywords: Iterable[str] = ()) -> str:
    """Return the folded text of a search column: databases fold only ASCII, so fold here."""
    marked = "".join(f"{fold_title(word)}{_KEYWORD_MARK}" for word in keywords)
    return "\n".join([*map(fold_title, texts), f"{_KEYWORD_MARK}{marked}"])


def build_text_condition(column: ColumnElement[str]) -> ColumnElement[bool]:
    """Build the condition that a search column contains the text of `build_text_pattern`."""
    return column.like(bindparam("pattern"), escape="\\")


def build_keyword_condition(column: ColumnElement[str]) -> ColumnElement[bool]:
    """Build the condition that a search column has the keyword of `build_keyword_pattern`."""
    return column.like(bindparam("keyword_pattern"), escape="\\")


def build_text_pattern(text: str) -> dict[str, str]:
    """Return the parameters of `build_text_condition`; empty for an empty text. `%` and `_` are escaped."""
    return {"pattern": f"%{_escape_like(text)}%"} if text else {}


def build_keyword_pattern(word: str) -> dict[str, str]:
    """Return the parameters of `build_keyword_condition`; empty for an empty word."""
    return {"keyword_pattern": f"%{_KEYWORD_MARK}{_escape_like(word)}{_KEYWORD_MARK}%"} if word else {}


def _escape_like(text: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", _clean_search_input(text))


def _clean_search_input(text: str) -> str:
    """Fold *text*, and remove the keyword mark, NUL and lone surrogates, which no stored text contains."""
    return fold_title(text.replace(_KEYWORD_MARK, "").replace("\0", "").encode(errors="ignore").decode())


def encode_cursor(*place: Any) -> str:
    """Encode the position after which the next page begins, for use in a URL."""
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def decode_cursor(text: str, *types: type) -> tuple[Any, ...]:
    """Decode a cursor of `encode_cursor` whose values have these *types*.

    Raises:
        InvalidInputError: field `after`; *text* is not a cursor of an earlier page.
    """
    try:
        values = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        values = None
    if not isinstance(values, list) or [type(v) for v in values] != list(types) or not all(map(_is_storable, values)):
        raise build_no_such_page_error()
    return tuple(values)


def parse_cursor_time(text: str) -> datetime:
    """Parse a time of a cursor.

    Raises:
        InvalidInputError: it is not a time with a zone.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise build_no_such_page_error() from None
    if time.tzinfo is None:
        raise build_no_such_page_error()
    return time


def build_no_such_page_error() -> InvalidInputError:
    sentence = "There is no such page."
    return InvalidInputError(sentence, fields={"after": sentence})


def _is_storable(value: str | int) -> bool:
    return (
        abs(value) < 2**31
        if isinstance(value, int)
        else value == value.replace("\0", "").encode(errors="ignore").decode()
    )
