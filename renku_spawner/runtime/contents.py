"""What lies in a session's working directory: what would be lost with it, and how large it is.

On Kubernetes this runs in a pod of its own (see `alone`), which knows nothing of the package but this file and those
that it imports from beside it, and prints one line of JSON; `read` is for the hub.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .unsaved import Unsaved, loose_files, repositories, unsaved
from .walk import FILE_SYSTEMS_OWN, Total, files_of

MOST = 40  # repositories that are looked at, so that the line stays short
_NOT_WORK = (".local", *FILE_SYSTEMS_OWN)  # what can be installed again, and what file systems keep for themselves


@dataclass(frozen=True, kw_only=True)
class Contents:
    """The work per repository that is nowhere else, the files outside of repositories, and all files together; there
    are *more* repositories that were not looked at."""

    unsaved: list[Unsaved]
    loose: Total
    total: Total
    more: int = 0


@dataclass(frozen=True, kw_only=True)
class Look:
    """What came of looking: *contents* are None where they are not known, which may change while it is *under_way*."""

    contents: Contents | None = None
    under_way: bool = False


def look(work: Path) -> Contents:
    """Look at what is in *work*, for half a minute at most; nothing of it is run, changed, or left through a link."""
    directories = repositories(work)
    return Contents(
        unsaved=unsaved(work, directories[:MOST]),
        loose=loose_files(work, [*directories, *_NOT_WORK]),
        total=files_of(work),
        more=len(directories[MOST:]),
    )


def main(work: str) -> None:
    """Print what is in *work*."""
    print(json.dumps(asdict(look(Path(work)))), flush=True)


def read(printed: str) -> Contents | None:
    """What `main` has printed; None if that is not what this is."""
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
    """The row, if each value is of the type that its field says. Raises TypeError."""
    fields = {name: field.type for name, field in kind.__dataclass_fields__.items()}  # type: ignore[attr-defined]
    if not all(isinstance(value, fields[name]) for name, value in row.items()):
        raise TypeError(f"This is no {kind.__name__}: {row!r:.100}")
    return dict(row)
