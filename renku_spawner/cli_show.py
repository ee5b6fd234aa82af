"""What commands print: tables, JSON, and texts that do nothing to a terminal."""

from __future__ import annotations

import argparse
import json
import re
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TextIO

from pydantic import BaseModel

_JOINER = "\u200d"  # joins emoji
# Sequences that a terminal obeys: CSI, OSC and the like with what belongs to them, then any other escape
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?")
_COLOURS = {"running": "32", "failed": "31", "launching": "33", "stopping": "33", "unknown": "35"}


def safe(text: str) -> str:
    """*text* in one line, with what cannot be seen written out: a title neither moves the cursor nor hides a part."""
    return "".join(c if c.isprintable() or c == _JOINER else c.encode("unicode_escape").decode() for c in text)


def log_line(line: str, stream: TextIO) -> str:
    """A line that a session has printed: as it is in a file or pipe, without what a terminal would obey on one."""
    if not stream.isatty():
        return line
    return "\t".join(safe(part) for part in _ESCAPES.sub("", line).split("\t"))


def as_json(value: Any) -> None:
    """Print models as JSON; only ASCII, so that a terminal shows them and does not obey them."""
    print(json.dumps(_plain(value), indent=2))


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def listed(
    parsed: argparse.Namespace, items: Sequence[BaseModel], rows: Iterable[Mapping[str, Any]], *, empty: str
) -> None:
    """Print *items* as JSON if that is asked for, else *rows* as a table, or that there are none."""
    if parsed.json:
        as_json(items)
    elif items:
        table(list(rows), colours=coloured(parsed))
    else:
        print(empty, file=sys.stderr)


def coloured(parsed: argparse.Namespace) -> bool:
    """Whether a terminal reads, and its owner wants colours (https://no-color.org)."""
    return sys.stdout.isatty() and not parsed.environ.get("NO_COLOR") and parsed.environ.get("TERM") != "dumb"


def table(rows: Sequence[Mapping[str, Any]], *, colours: bool = False) -> None:
    """Print rows below the names of their columns; a column in which nothing stands is left out."""
    texts = [{name: safe(_text(value)) for name, value in row.items()} for row in rows]
    names = [name for name in texts[0] if any(row[name] for row in texts)]
    widths = {name: max(map(_cells, (name, *(row[name] for row in texts)))) for name in names}
    for row in ({name: name.upper() for name in names}, *texts):
        cells = [_painted(row[name], colours) + " " * (widths[name] - _cells(row[name])) for name in names]
        print("  ".join(cells).rstrip())


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return moment(value)
    return "" if value is None else str(value)


def moment(at: datetime | None) -> str:
    """A time as the clock on the wall has it, to the minute."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M") if at else ""


def _painted(text: str, colours: bool) -> str:
    colour = _COLOURS.get(text) if colours else None
    return f"\x1b[{colour}m{text}\x1b[0m" if colour else text


def _cells(text: str) -> int:
    """How many cells of a terminal *text* takes."""
    marks = sum(unicodedata.category(c) in ("Mn", "Me") or c == _JOINER for c in text)
    return len(text) - marks + sum(unicodedata.east_asian_width(c) in "WF" for c in text)
