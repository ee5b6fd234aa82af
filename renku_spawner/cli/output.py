"""Print tables, JSON and text that is safe for a terminal."""

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

_ZERO_WIDTH_JOINER = "\u200d"  # joins emoji
# Control sequences of terminals: CSI, OSC and the like with their parameters, then any other escape
_ESCAPE_SEQUENCE_PATTERN = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?"
)
_STATUS_COLOURS = {"running": "32", "failed": "31", "launching": "33", "stopping": "33", "unknown": "35"}


def escape_for_terminal(text: str) -> str:
    """Return *text* in one line with invisible characters escaped, so that it cannot control the terminal."""
    return "".join(
        c if c.isprintable() or c == _ZERO_WIDTH_JOINER else c.encode("unicode_escape").decode() for c in text
    )


def format_log_line(line: str, stream: TextIO) -> str:
    """Return a line of a session's log, without control sequences if *stream* is a terminal."""
    if not stream.isatty():
        return line
    return "\t".join(escape_for_terminal(part) for part in _ESCAPE_SEQUENCE_PATTERN.sub("", line).split("\t"))


def print_json(value: Any) -> None:
    """Print models as JSON, in ASCII only, so that they cannot control the terminal."""
    print(json.dumps(_to_json_value(value), indent=2))


def _to_json_value(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return [_to_json_value(each) for each in value] if isinstance(value, list | tuple) else value


def print_items(
    parsed: argparse.Namespace, items: Sequence[BaseModel], rows: Iterable[Mapping[str, Any]], *, empty: str
) -> None:
    """Print *items* as JSON with `--json`, otherwise *rows* as a table, or *empty* to stderr if there are none."""
    if parsed.json:
        print_json(items)
    elif items:
        print_table(list(rows), colours=can_use_colours(parsed))
    else:
        print(empty, file=sys.stderr)


def can_use_colours(parsed: argparse.Namespace) -> bool:
    """Return True if stdout is a terminal and colours are not disabled (https://no-color.org)."""
    return sys.stdout.isatty() and not parsed.environ.get("NO_COLOR") and parsed.environ.get("TERM") != "dumb"


def print_table(rows: Sequence[Mapping[str, Any]], *, colours: bool = False) -> None:
    """Print rows below a header; empty columns are left out."""
    texts = [{name: escape_for_terminal(_format_cell(value)) for name, value in row.items()} for row in rows]
    names = [name for name in texts[0] if any(row[name] for row in texts)]
    widths = {name: max(map(_get_display_width, (name, *(row[name] for row in texts)))) for name in names}
    for row in ({name: name.upper() for name in names}, *texts):
        cells = [
            _colour_status(row[name], colours) + " " * (widths[name] - _get_display_width(row[name])) for name in names
        ]
        print("  ".join(cells).rstrip())


def _format_cell(value: Any) -> str:
    if isinstance(value, datetime):
        return format_local_time(value)
    return "" if value is None else str(value)


def format_local_time(at: datetime | None) -> str:
    """Format a time in the local time zone, to the minute; empty for None."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M") if at else ""


def _colour_status(text: str, colours: bool) -> str:
    colour = _STATUS_COLOURS.get(text) if colours else None
    return f"\x1b[{colour}m{text}\x1b[0m" if colour else text


def _get_display_width(text: str) -> int:
    """Return the number of terminal cells that *text* takes."""
    marks = sum(unicodedata.category(c) in ("Mn", "Me") or c == _ZERO_WIDTH_JOINER for c in text)
    return len(text) - marks + sum(unicodedata.east_asian_width(c) in "WF" for c in text)
