"""Texts that people type: cleaned once, in one place, before anything is stored."""

from __future__ import annotations

import re
import unicodedata

from .errors import Invalid

TITLE_LIMIT = 99
DESCRIPTION_LIMIT = 2000
KEYWORD_LIMIT = 32
KEYWORDS_LIMIT = 20
_COMBINING_LIMIT = 8
_SURPLUS = 2000  # how many characters may be left out of a text before it is refused unread
_MARKS = {"Mn", "Me"}
# Cc control, Cf format (bidirectional overrides, zero width), Cs surrogates, Co private, Cn unassigned
_REMOVED = {"Cc", "Cf", "Cs", "Co", "Cn"}
_KEPT_FORMAT = {"\u200d"}  # joins emoji
_BLANK = set("\u115f\u1160\u2800\u3164\uffa0")  # letters and symbols that nobody can see
_IGNORED = re.compile("[\u034f\u200d\ufe00-\ufe0f]")  # invisible, so that titles with and without look equal


def clean(text: str, *, limit: int, lines: bool = False) -> str:
    """NFC, without control and bidirectional characters and superfluous blanks.

    Raises:
        ValueError: a NUL byte, too many combining marks, or more than *limit*
            characters; the argument is the sentence for the person who typed it.
    """
    if "\x00" in text:
        raise ValueError("This text has a character that cannot be stored (NUL).")
    if len(text) > limit + _SURPLUS:
        raise ValueError(f"This text is too long: at most {limit} characters.")
    kept = _fewer_marks("".join(c for c in text if _stays(c, lines=lines)))  # first: NFC takes marks² time
    kept = unicodedata.normalize("NFC", _fewer_marks(unicodedata.normalize("NFC", kept)))
    kept = "\n".join(" ".join(line.split()) for line in kept.split("\n")).strip()
    if len(kept) > limit or len(kept.encode()) > 4 * limit:
        raise ValueError(f"This text is too long: at most {limit} characters.")
    return kept


def cut(text: str, *, limit: int, lines: bool = False) -> str:
    """What can be shown of a text that nobody here has typed: cleaned, and cut where it is too long."""
    spaced = text.replace("\x00", "").replace("\r\n", "\n") if lines else text.replace("\x00", "").replace("\n", " ")
    try:
        kept = clean(spaced[:limit], limit=limit, lines=lines)
    except ValueError:  # it grows as it is cleaned, threefold at most
        kept = clean(spaced[: limit // 4], limit=limit, lines=lines)
    return f"{kept[: limit - 1].rstrip()}…" if len(spaced) > limit else kept


def _stays(character: str, *, lines: bool) -> bool:
    if character in "\n\t":
        return lines or character == "\t"
    if character in _KEPT_FORMAT:
        return True
    return character not in _BLANK and unicodedata.category(character) not in _REMOVED


def _fewer_marks(text: str) -> str:
    """Drop combining marks beyond a handful in a row: they paint over the lines around."""
    kept, run = [], 0
    for character in text:
        run = run + 1 if unicodedata.category(character) in _MARKS else 0
        if run <= _COMBINING_LIMIT:
            kept.append(character)
    return "".join(kept)


def title(text: str, *, field: str = "title") -> str:
    """A title of one line, 1 to 99 characters.

    Raises:
        Invalid: with the sentence at *field*.
    """
    try:
        cleaned = clean(text.replace("\n", " "), limit=TITLE_LIMIT)
    except ValueError as problem:
        raise _at(field, str(problem)) from None
    if not _IGNORED.sub("", cleaned).strip():
        raise _at(field, "Please give a title.")
    return cleaned


def description(text: str, *, field: str = "description") -> str:
    """Up to 2000 characters in several lines; may be empty.

    Raises:
        Invalid: with the sentence at *field*.
    """
    try:
        return clean(text.replace("\r\n", "\n"), limit=DESCRIPTION_LIMIT, lines=True)
    except ValueError as problem:
        raise _at(field, str(problem)) from None


def keywords(words: list[str] | tuple[str, ...], *, field: str = "keywords") -> tuple[str, ...]:
    """At most 20 keywords of 32 characters, each once, in the order given.

    Raises:
        Invalid: with the sentence at *field*.
    """
    try:
        cleaned = [clean(word, limit=KEYWORD_LIMIT) for word in words[: 10 * KEYWORDS_LIMIT]]
    except ValueError as problem:
        raise _at(field, str(problem)) from None
    unique = tuple(dict.fromkeys(word for word in cleaned if word))
    if len(unique) > KEYWORDS_LIMIT or len(words) > 10 * KEYWORDS_LIMIT:
        raise _at(field, f"At most {KEYWORDS_LIMIT} keywords, please.")
    return unique


def folded(text: str) -> str:
    """The form in which two titles count as equal: Unicode's compatibility caseless
    match (definition D146 of the Unicode standard), without what cannot be seen."""
    text = unicodedata.normalize("NFD", _IGNORED.sub("", text)).casefold()
    text = unicodedata.normalize("NFKD", text).casefold()
    return unicodedata.normalize("NFKC", text)


def display_name(project: str, session: str) -> str:
    """The hub's name for a server: JupyterHub takes 1 to 255 printable characters,
    without blanks at the ends or doubled (jupyterhub.slugs.is_valid_display_name)."""
    printable = "".join(c for c in f"{project}: {session}" if c.isprintable())
    return unicodedata.normalize("NFC", " ".join(printable.split())[:255]).strip()


def one_line(text: str, *, limit: int = 200) -> str:
    """What may stand in a log: one line, printable, at most *limit* characters."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:limit])


def _at(field: str, sentence: str) -> Invalid:
    return Invalid(sentence, fields={field: sentence})
