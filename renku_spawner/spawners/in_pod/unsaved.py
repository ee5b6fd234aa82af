"""Find the unsaved work in a working directory: uncommitted changes, unpushed commits, stashes, and loose files."""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from .git_view import Unreadable, View, view
from .walk import Total, disk_of, total

_SUBMODULES = "It has submodules, which are not looked into."
_IN_ALL = 20.0  # seconds for all repositories together
_LONG = 250  # characters of a branch name


@dataclass(frozen=True, kw_only=True)
class Unsaved:
    """Unsaved work in one repository.

    Numbers of files that are *changed* or *untracked* (each file of a new folder counts), of commits that no remote has
    (*unpushed*, as of the last fetch) and of *stashes*. *branch* is None if none is checked out. *problem*, a sentence
    for the owner, says why there may be more.
    """

    directory: str
    changed: int = 0
    untracked: int = 0
    unpushed: int = 0
    stashes: int = 0
    branch: str | None = None
    problem: str | None = None

    @property
    def lost(self) -> bool:
        """True if deleting the repository loses work, or may lose work."""
        return bool(self.problem or self.changed or self.untracked or self.unpushed or self.stashes)


def unsaved(work: Path, directories: Iterable[str], *, seconds: float = 10.0, in_all: float = _IN_ALL) -> list[Unsaved]:
    """Inspect repositories in *work*, for at most *seconds* each and *in_all* together; skip missing directories.

    Nothing in *work* is run or changed: its contents are untrusted.
    """
    end = monotonic() + in_all
    there = [work / name for name in directories if _is_name(name) and os.path.lexists(work / name)]
    return [_look(folder, min(seconds, end - monotonic())) for folder in there]


def repositories(work: Path) -> list[str]:
    """List the top directories of *work* with a `.git`, whether or not a project has them; storages are skipped."""
    try:
        own = [path for path in work.iterdir() if disk_of(str(path)) == disk_of(str(work)) and not path.is_symlink()]
        return sorted(path.name for path in own if os.path.lexists(path / ".git"))
    except OSError:
        return []


def loose_files(work: Path, directories: Iterable[str]) -> Total:
    """Count the files of *work* outside *directories*."""
    return total(work, skip=frozenset(directories))


def _is_name(name: str) -> bool:
    return "/" not in name and name not in ("", ".", "..")


def _look(folder: Path, seconds: float) -> Unsaved:
    try:
        if seconds <= 0:
            raise Unreadable("There was no time left to look at it.")
        with view(folder, seconds=seconds) as git:
            return _count(folder, git)
    except Unreadable as error:
        return Unsaved(directory=_shown(folder), problem=str(error))
    except OSError:
        return Unsaved(directory=_shown(folder), problem="It cannot be read.")


def _shown(folder: Path) -> str:
    """Return the folder's name as valid text: on disk it may be any bytes."""
    return os.fsencode(folder.name).decode(errors="replace")


def _count(folder: Path, git: View) -> Unsaved:
    # Ignore submodules: git would use the configuration of each.
    status = git.git(
        "status", "--porcelain=v2", "--branch", "-z", "--no-renames", "--untracked-files=all", "--ignore-submodules=all"
    )
    entries = status.split(b"\0")
    kinds = Counter(entry[:2] for entry in entries)
    head = {key: value for _, key, value in (entry.split(b" ", 2) for entry in entries if entry[:2] == b"# ")}
    branch = head.get(b"branch.head", b"(detached)").decode(errors="replace")
    starts = ["--branches", *([] if head.get(b"branch.oid") == b"(initial)" else ["HEAD"])]
    return Unsaved(
        directory=_shown(folder),
        changed=kinds[b"1 "] + kinds[b"2 "] + kinds[b"u "],
        untracked=kinds[b"? "],
        unpushed=int(git.git("rev-list", "--count", *starts, "--not", "--remotes")),
        stashes=_stashes(git),
        branch=None if branch == "(detached)" else branch[:_LONG],
        problem=_SUBMODULES if os.path.lexists(folder / ".gitmodules") else None,
    )


def _stashes(git: View) -> int:
    if not git.git("for-each-ref", "--format=x", "refs/stash"):
        return 0
    return int(git.git("rev-list", "--walk-reflogs", "--count", "refs/stash", "--"))
