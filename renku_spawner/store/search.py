"""Searching and paging: what people type is text, never a pattern, and never an order."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam

from ..domain.errors import Invalid
from ..domain.text import folded

# Stands around each keyword; a cleaned text never has it.
_MARK = "\x1f"


def searchable(*texts: str, keywords: Iterable[str] = ()) -> str:
    """What a search looks through: databases fold only ASCII, so we fold."""
    marked = "".join(f"{folded(word)}{_MARK}" for word in keywords)
    return "\n".join([*map(folded, texts), f"{_MARK}{marked}"])


def contains(column: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether the text of `pattern` stands in a `searchable` column."""
    return column.like(bindparam("pattern"), escape="\\")


def has_keyword(column: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether the keyword of `keyword_pattern` is one of a `searchable` column's."""
    return column.like(bindparam("keyword_pattern"), escape="\\")


def pattern(text: str) -> dict[str, str]:
    """The value for `contains`; empty for an empty text. `%` and `_` are themselves."""
    return {"pattern": f"%{_escaped(text)}%"} if text else {}


def keyword_pattern(word: str) -> dict[str, str]:
    """The value for `has_keyword`; empty for an empty word."""
    return {"keyword_pattern": f"%{_MARK}{_escaped(word)}{_MARK}%"} if word else {}


def _escaped(text: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", _typed(text))


def _typed(text: str) -> str:
    """Without what no stored text has and no database takes: the mark, NUL, halves of surrogate pairs."""
    return folded(text.replace(_MARK, "").replace("\0", "").encode(errors="ignore").decode())


def cursor(*place: Any) -> str:
    """The place after which the next page begins, as one word for an address."""
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def place(text: str, *types: type) -> tuple[Any, ...]:
    """What `cursor` has made.

    Raises:
        Invalid: at field `after`; it is nothing that a page has offered.
    """
    try:
        found = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or [type(v) for v in found] != list(types) or not all(map(_storable, found)):
        raise no_such_page()
    return tuple(found)


def moment(text: str) -> datetime:
    """A time that stood in a `cursor`. Raises Invalid."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise no_such_page() from None
    if found.tzinfo is None:
        raise no_such_page()
    return found


def no_such_page() -> Invalid:
    sentence = "There is no such page."
    return Invalid(sentence, fields={"after": sentence})


def _storable(value: str | int) -> bool:
    return (
        abs(value) < 2**31
        if isinstance(value, int)
        else value == value.replace("\0", "").encode(errors="ignore").decode()
    )
