"""Clean and truncate text that users type, and format durations."""

from __future__ import annotations

import re
import unicodedata
from datetime import timedelta
from typing import Annotated

from pydantic import Field

from .errors import InvalidInputError

# Of what bodies, forms and documents may have, before a text is cleaned; the limit of a title is in `clean_title`.
LongText = Annotated[str, Field(max_length=40_000)]
ShortText = Annotated[str, Field(max_length=300)]


def format_duration(span: timedelta) -> str:
    """Format a duration as people write it: `45 s`, `10 min`, `1 h`, `1 h 30 min`, `24 h`, `3 days`."""
    seconds = max(0, round(span.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    return f"{round(hours / 24)} days"


MAX_TITLE_LENGTH = 99
MAX_DESCRIPTION_LENGTH = 2000
MAX_KEYWORD_LENGTH = 32
MAX_KEYWORDS = 20
_MAX_COMBINING_MARKS = 8
_MAX_REMOVABLE_CHARACTERS = 2000  # characters that may be removed from a text before it is refused without cleaning
_MARK_CATEGORIES = {"Mn", "Me"}
# Cc control, Cf format (bidirectional overrides, zero width), Cs surrogates, Co private, Cn unassigned
_REMOVED_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Cn"}
_KEPT_FORMAT_CHARACTERS = {"\u200d"}  # joins emoji
_BLANK_CHARACTERS = set("\u115f\u1160\u2800\u3164\uffa0")  # letters and symbols that are invisible
_INVISIBLE_PATTERN = re.compile("[\u034f\u200d\ufe00-\ufe0f]")  # invisible, so that titles with and without look equal


def clean_text(text: str, *, limit: int, lines: bool = False) -> str:
    """Return *text* in NFC, without control and bidirectional characters and superfluous blanks.

    Raises:
        ValueError: a NUL byte, too many combining marks, or more than *limit*
            characters; the argument is a sentence for the user who typed it.
    """
    if "\x00" in text:
        raise ValueError("This text has a character that cannot be stored (NUL).")
    if len(text) > limit + _MAX_REMOVABLE_CHARACTERS:
        raise ValueError(f"This text is too long: at most {limit} characters.")
    kept = _limit_combining_marks(
        "".join(c for c in text if _is_kept_character(c, lines=lines))
    )  # before NFC, which takes time quadratic in the number of marks
    kept = unicodedata.normalize("NFC", _limit_combining_marks(unicodedata.normalize("NFC", kept)))
    kept = "\n".join(" ".join(line.split()) for line in kept.split("\n")).strip()
    if len(kept) > limit or len(kept.encode()) > 4 * limit:
        raise ValueError(f"This text is too long: at most {limit} characters.")
    return kept


def truncate_text(text: str, *, limit: int, lines: bool = False) -> str:
    """Clean a text from outside the hub and cut it to *limit*."""
    spaced = text.replace("\x00", "").replace("\r\n", "\n") if lines else text.replace("\x00", "").replace("\n", " ")
    try:
        kept = clean_text(spaced[:limit], limit=limit, lines=lines)
    except ValueError:  # cleaning can lengthen a text, at most threefold
        kept = clean_text(spaced[: limit // 4], limit=limit, lines=lines)
    return f"{kept[: limit - 1].rstrip()}…" if len(spaced) > limit else kept


def _is_kept_character(character: str, *, lines: bool) -> bool:
    if character in "\n\t":
        return lines or character == "\t"
    if character in _KEPT_FORMAT_CHARACTERS:
        return True
    return character not in _BLANK_CHARACTERS and unicodedata.category(character) not in _REMOVED_CATEGORIES


def _limit_combining_marks(text: str) -> str:
    """Drop combining marks beyond `_MAX_COMBINING_MARKS` in a row: they would cover the lines above and below."""
    kept, run = [], 0
    for character in text:
        run = run + 1 if unicodedata.category(character) in _MARK_CATEGORIES else 0
        if run <= _MAX_COMBINING_MARKS:
            kept.append(character)
    return "".join(kept)


def clean_title(text: str, *, field: str = "title") -> str:
    """Return a title of one line, 1 to 99 characters.

    Raises:
        InvalidInputError: with the sentence at *field*.
    """
    try:
        cleaned = clean_text(text.replace("\n", " "), limit=MAX_TITLE_LENGTH)
    except ValueError as problem:
        raise _build_field_error(field, str(problem)) from None
    if not _INVISIBLE_PATTERN.sub("", cleaned).strip():
        raise _build_field_error(field, "Please give a title.")
    return cleaned


def clean_description(text: str, *, field: str = "description") -> str:
    """Return a description of several lines, up to 2000 characters; may be empty.

    Raises:
        InvalidInputError: with the sentence at *field*.
    """
    try:
        return clean_text(text.replace("\r\n", "\n"), limit=MAX_DESCRIPTION_LENGTH, lines=True)
    except ValueError as problem:
        raise _build_field_error(field, str(problem)) from None


def clean_keywords(words: list[str] | tuple[str, ...], *, field: str = "keywords") -> tuple[str, ...]:
    """Return at most 20 keywords of 32 characters, each once, in the order given.

    Raises:
        InvalidInputError: with the sentence at *field*.
    """
    try:
        cleaned = [clean_text(word, limit=MAX_KEYWORD_LENGTH) for word in words[: 10 * MAX_KEYWORDS]]
    except ValueError as problem:
        raise _build_field_error(field, str(problem)) from None
    unique = tuple(dict.fromkeys(word for word in cleaned if word))
    if len(unique) > MAX_KEYWORDS or len(words) > 10 * MAX_KEYWORDS:
        raise _build_field_error(field, f"At most {MAX_KEYWORDS} keywords, please.")
    return unique


def fold_title(text: str) -> str:
    """Return the form in which two titles count as equal.

    That is Unicode's compatibility caseless match (definition D146 of the Unicode standard), without invisible
    characters.
    """
    text = unicodedata.normalize("NFD", _INVISIBLE_PATTERN.sub("", text)).casefold()
    text = unicodedata.normalize("NFKD", text).casefold()
    return unicodedata.normalize("NFKC", text)


def build_display_name(project: str, session: str) -> str:
    """Return the display name of a session's server.

    JupyterHub accepts 1 to 255 printable characters, without blanks at the ends or doubled
    (`jupyterhub.slugs.is_valid_display_name`).
    """
    printable = "".join(c for c in f"{project}: {session}" if c.isprintable())
    return unicodedata.normalize("NFC", " ".join(printable.split())[:255]).strip()


def to_single_line(text: str, *, limit: int = 200) -> str:
    """Return a text that is safe in a log: one line, printable, at most *limit* characters."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:limit])


def _build_field_error(field: str, sentence: str) -> InvalidInputError:
    return InvalidInputError(sentence, fields={field: sentence})
