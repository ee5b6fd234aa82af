"""What the probe prints, read: lines of fields that are separated by tabs.

The first line is `renku-probe 1`, the last one `end`, or `late` when the time was up
before everything was looked at. Between them stand `<kind> <name> <version>` for a
package, `interpreter <name> <version>`, `cuda <version>` and `more <number>` for the
packages beyond the limit. `renku_spawner/runtime/probe` writes this.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from .software import PACKAGES_LIMIT, Kind, Origin, Software, from_json

HEAD = "renku-probe 1"
LIMIT = 1024 * 1024  # characters of a report; the longest that is honest has half of it
_ENDS = ("end", "late")
_LINES = PACKAGES_LIMIT + 100


def read(report: str, *, origin: Origin, found_at: datetime) -> Software | None:
    """What a probe found; None if this is no report, or one that was cut off.

    It comes out of a stranger's image: lines that are not of this form are left out.
    """
    lines = report[:LIMIT].split("\n", 2 * _LINES)
    while lines and not lines[-1].strip():
        lines.pop()
    if HEAD not in lines or lines[-1] not in _ENDS:
        return None
    fields = [line.split("\t") for line in lines[lines.index(HEAD) + 1 : -1]]
    return from_json(
        {
            "packages": {str(kind): list(_rows(fields, kind)) for kind in Kind},
            "interpreters": dict(_rows(fields, "interpreter")),
            "cuda": next((line[1] for line in fields if line[0] == "cuda" and len(line) == 2), None),
            "more": next((int(line[1]) for line in fields if _is_number(line)), 0),
            "complete": lines[-1] == "end",
        },
        origin=origin,
        found_at=found_at,
    )


def _rows(fields: list[list[str]], kind: str) -> Iterator[list[str]]:
    return (line[1:] for line in fields if line[0] == kind and len(line) == 3)


def _is_number(line: list[str]) -> bool:
    return line[0] == "more" and len(line) == 2 and line[1].isascii() and line[1].isdigit() and len(line[1]) < 8
