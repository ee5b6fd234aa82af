"""Inspect a session's working directory: its unsaved work and its size.

On Kubernetes this runs in a helper pod (see `alone`), which has only this module and those that it imports, and prints
one line of JSON. `read` parses that line in the hub.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .unsaved import Unsaved, loose_files, repositories, unsaved
from .walk import FILE_SYSTEMS_OWN, Total, files_of

MOST = 40  # repositories to inspect, so that the line stays short
_NOT_WORK = (".local", *FILE_SYSTEMS_OWN)  # installed packages, and folders that belong to the file system


@dataclass(frozen=True, kw_only=True)
class Contents:
    """Unsaved work by repository, totals of the files outside of repositories (*loose*) and of all files.

    *more* is the number of repositories that were not inspected.
    """

    unsaved: list[Unsaved]
    loose: Total
    total: Total
    more: int = 0


@dataclass(frozen=True, kw_only=True)
class Look:
    """The result of an inspection: *contents* are None if unknown, which may change while it is *under_way*."""

    contents: Contents | None = None
    under_way: bool = False


def look(work: Path) -> Contents:
    """Inspect *work* for half a minute at most; nothing in it is run or changed, and no link is followed."""
    directories = repositories(work)
    return Contents(
        unsaved=unsaved(work, directories[:MOST]),
        loose=loose_files(work, [*directories, *_NOT_WORK]),
        total=files_of(work),
        more=len(directories[MOST:]),
    )


def main(work: str) -> None:
    """Print the contents of *work* as a line of JSON."""
    print(json.dumps(asdict(look(Path(work)))), flush=True)


def read(printed: str) -> Contents | None:
    """Parse the output of `main`; None if it is anything else."""
    try:
        said = json.loads(printed)
        return Contents(
            unsaved=[Unsaved(**_kept(row, Unsaved)) for row in said["unsaved"]],
            loose=Total(**_kept(said["loose"], Total)),
            total=Total(**_kept(said["total"], Total)),
            more=int(said["more"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _kept(row: Any, kind: type) -> dict[str, Any]:
    """Return the row as a dict. Raises TypeError unless each value has the type of its field."""
    fields = {name: field.type for name, field in kind.__dataclass_fields__.items()}  # type: ignore[attr-defined]
    if not all(isinstance(value, fields[name]) for name, value in row.items()):
        raise TypeError(f"This is no {kind.__name__}: {row!r:.100}")
    return dict(row)
