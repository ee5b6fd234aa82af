"""Inspect a session's working directory: its unsaved work and its size.

This is a program for Python 3.10 or newer: `python3 -I -c <this text> <directory>`. It prints one line of JSON, which
`parse_contents` reads in the hub. The directory is untrusted: nothing in it is run or changed, no link is followed, no
mount is entered, and all takes half a minute at most.
"""

import contextlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import Any

MAX_REPOSITORIES = 40  # to inspect, so that the line stays short
_FILE_SYSTEM_NAMES = ("lost+found",)  # belong to the file system
_NO_WORK_NAMES = (".local", *_FILE_SYSTEM_NAMES)  # .local has installed packages
_MAX_COUNTED_ENTRIES, _COUNT_TIMEOUT_SECONDS = 200_000, 5.0
_REPOSITORY_TIMEOUT_SECONDS, _REPOSITORIES_TIMEOUT_SECONDS = 10.0, 20.0  # each, and all together
_MAX_BRANCH_CHARACTERS = 250
_SUBMODULES_PROBLEM = "It has submodules, which are not looked into."

# Files


@dataclass(frozen=True, kw_only=True)
class FileTotal:
    """*files* (everything but directories) and the *bytes* they take on disk; a lower bound unless *complete*."""

    files: int
    bytes: int
    complete: bool


def count_files(
    top: Path,
    *,
    skip: Collection[str] = (),
    entries: int = _MAX_COUNTED_ENTRIES,
    seconds: float = _COUNT_TIMEOUT_SECONDS,
) -> FileTotal:
    """Count the files below *top*, without its direct entries named *skip*; stop after *entries* or *seconds*.

    The size of a file with several names counts once.
    """
    counter = _FileCounter(entries, monotonic() + seconds, get_device(str(top)))
    counter.folders = [str(top)]
    while counter.folders and counter.has_budget():
        folder = counter.folders.pop()
        counter.visit(folder, skip if folder == str(top) else ())
    return FileTotal(files=counter.files, bytes=counter.bytes, complete=counter.complete and not counter.folders)


def count_session_files(work: Path, *, seconds: float = _COUNT_TIMEOUT_SECONDS) -> FileTotal:
    """Count the files of a session with the working directory *work*, as they are on disk.

    Directories, `lost+found` and mounts do not count. All pages, and the extension (`renku_session/size.py`), use this
    rule.
    """
    return count_files(work, skip=_FILE_SYSTEM_NAMES, seconds=seconds)


def get_device(path: str) -> int | None:
    """Return the device number of *path*, None if it cannot be read; links are not followed."""
    try:
        return os.lstat(path).st_dev
    except OSError:  # also a mount whose server has died
        return None


class _FileCounter:
    def __init__(self, entries: int, end: float, device: int | None) -> None:
        self.left, self.end, self.device = entries, end, device
        self.files = self.bytes = 0
        self.complete = True
        self.folders: list[str] = []
        self._linked: set[tuple[int, int]] = set()

    def has_budget(self) -> bool:
        return self.left > 0 and monotonic() < self.end

    def visit(self, folder: str, skip: Collection[str]) -> None:
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if not self.has_budget():
                        self.complete = False
                        return
                    self.left -= 1
                    if entry.name not in skip:
                        self._count(entry)
        except OSError:  # unreadable, deleted meanwhile, or a path that is too long
            self.complete = False

    def _count(self, entry: os.DirEntry[str]) -> None:
        if entry.is_dir(follow_symlinks=False):
            # None: visiting it fails, which marks the total as incomplete.
            if get_device(entry.path) in (self.device, None):
                self.folders.append(entry.path)
            return
        status = entry.stat(follow_symlinks=False)
        self.files += 1
        if (status.st_dev, status.st_ino) not in self._linked:
            self.bytes += status.st_blocks * 512
        if status.st_nlink > 1:
            self._linked.add((status.st_dev, status.st_ino))


# Git

# A `.git/config` can make git run programs in many ways (filters, fsmonitor, hooks, pagers, text conversion, includes
# …), and each release may add new ones. So git never reads it: it gets a temporary git directory with links to the
# objects and refs of the repository, and with only those settings that decide how files on disk compare to the stored
# ones.

# Settings for how stored data is read and compared to files on disk; none names a program or a path.
_SAFE_SETTING = re.compile(
    r"core\.(filemode|ignorecase|symlinks|autocrlf|eol|precomposeunicode)=(true|false|input|lf|crlf|native)"
    r"|core\.repositoryformatversion=[01]|extensions\.objectformat=(sha1|sha256)|extensions\.refstorage=(files|reftable)",
    re.IGNORECASE,
)
_LINKED_PARTS = ("refs", "packed-refs", "logs", "reftable", "shallow", "index")
_REQUIRED_PARTS = ("HEAD", "objects", "refs", "config")
_MAX_GIT_OUTPUT_BYTES = 16 * 1024**2
_MAX_COPIED_BYTES = 1024**2


class RepositoryUnreadable(Exception):
    """The repository cannot be inspected; the message is a sentence for its owner."""


class GitView:
    """Runs git on one repository; *deadline* is a time of the monotonic clock."""

    def __init__(self, folder: Path, git_dir: Path, deadline: float) -> None:
        self._folder, self._deadline = folder, deadline
        self._environment = _build_git_environment(
            GIT_DIR=str(git_dir),
            GIT_WORK_TREE=str(folder),
            GIT_OBJECT_DIRECTORY=str(folder / ".git" / "objects"),
        )

    def run(self, *arguments: str) -> bytes:
        """Return what git prints. Raises RepositoryUnreadable."""
        return _run_git(arguments, self._environment, self._folder, self._deadline)


@contextlib.contextmanager
def open_git_view(folder: Path, *, seconds: float = _REPOSITORY_TIMEOUT_SECONDS) -> Iterator[GitView]:
    """Open the repository in *folder*, for *seconds* in all. Raises RepositoryUnreadable."""
    deadline = monotonic() + seconds
    source = folder / ".git"
    _check_repository(folder, source)
    with tempfile.TemporaryDirectory(prefix="renku-view-") as name:
        own = Path(name)
        (own / "HEAD").write_bytes(_read_small_file(source / "HEAD"))
        (own / "config").write_text(
            _filter_git_config(_read_small_file(source / "config"), own, deadline), encoding="utf-8"
        )
        shared = [path.name for path in source.glob("sharedindex.*")]
        for part in (*_LINKED_PARTS, *shared):
            if os.path.lexists(source / part):
                (own / part).symlink_to(source / part)
        with contextlib.suppress(OSError):
            exclude = _read_small_file(source / "info" / "exclude")
            (own / "info").mkdir()
            (own / "info" / "exclude").write_bytes(exclude)
        yield GitView(folder, own, deadline)


def _check_repository(folder: Path, source: Path) -> None:
    """Raise RepositoryUnreadable if anything leads out of the folder: links, or a .git file that points elsewhere."""
    if folder.is_symlink() or source.is_symlink():
        raise RepositoryUnreadable("It is a link to another place.")
    if not source.is_dir():
        raise RepositoryUnreadable(
            "Its .git points to another place." if source.exists() else "It is not a git repository."
        )
    parts = [*_REQUIRED_PARTS, *_LINKED_PARTS, "info", "objects/info", "objects/pack"]
    if any((source / part).is_symlink() for part in parts):
        raise RepositoryUnreadable("Its .git contains links to other places.")
    if not all((source / part).exists() for part in _REQUIRED_PARTS):
        raise RepositoryUnreadable("It is not a whole git repository.")
    if any((source / "objects" / "info" / part).exists() for part in ("alternates", "http-alternates")):
        raise RepositoryUnreadable("It borrows its contents from another repository.")


def _read_small_file(path: Path) -> bytes:
    """Read a small regular file. Raises RepositoryUnreadable, OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_COPIED_BYTES:
            raise RepositoryUnreadable("Its .git contains unusual files.")
        return os.read(descriptor, _MAX_COPIED_BYTES)
    finally:
        os.close(descriptor)


def _filter_git_config(untrusted: bytes, own: Path, deadline: float) -> str:
    """Return the safe settings of a configuration; git itself parses it, without includes."""
    copy = own / "untrusted"
    copy.write_bytes(untrusted)
    listed = _run_git(
        ("config", "--file", str(copy), "--no-includes", "--list", "-z"),
        _build_git_environment(GIT_CEILING_DIRECTORIES=str(own.parent)),
        own,
        deadline,
    )
    copy.unlink()
    pairs = [entry.replace("\n", "=", 1) for entry in listed.decode(errors="replace").split("\0")]
    kept = [pair.partition("=") for pair in pairs if _SAFE_SETTING.fullmatch(pair)]
    return "".join(f"[{name.partition('.')[0]}]\n\t{name.partition('.')[2]} = {value}\n" for name, _, value in kept)


def _build_git_environment(**more: str) -> dict[str, str]:
    settings = {
        "core.fsmonitor": "false",
        "core.untrackedCache": "false",
        "core.commitGraph": "false",
        "core.hooksPath": os.devnull,
        "core.attributesFile": os.devnull,
        "core.excludesFile": os.devnull,
        "core.pager": "cat",
        "submodule.recurse": "false",
        "status.submoduleSummary": "false",
        "gc.auto": "0",
    }
    numbered = list(enumerate(settings.items()))
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "GIT_ALLOW_PROTOCOL": "none",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_COUNT": str(len(settings)),
        **{f"GIT_CONFIG_KEY_{number}": key for number, (key, _) in numbered},
        **{f"GIT_CONFIG_VALUE_{number}": value for number, (_, value) in numbered},
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        **more,
    }


def _run_git(arguments: tuple[str, ...], environment: dict[str, str], folder: Path, deadline: float) -> bytes:
    if not shutil.which("git"):
        raise RepositoryUnreadable("git is not installed here.")
    with subprocess.Popen(
        ["git", "--no-pager", *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        timer = threading.Timer(max(deadline - monotonic(), 0), process.kill)
        timer.start()
        try:
            output = process.stdout.read(_MAX_GIT_OUTPUT_BYTES) if process.stdout else b""
            if len(output) == _MAX_GIT_OUTPUT_BYTES:
                process.kill()
                raise RepositoryUnreadable("It has too many changes to count.")
            process.wait()
        finally:
            timer.cancel()
    if process.returncode:
        is_late = monotonic() >= deadline
        raise RepositoryUnreadable("Looking at it took too long." if is_late else "git cannot read it.")
    return output


# Unsaved work


@dataclass(frozen=True, kw_only=True)
class UnsavedWork:
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


def list_unsaved_work(
    work: Path,
    directories: Iterable[str],
    *,
    seconds: float = _REPOSITORY_TIMEOUT_SECONDS,
    in_all: float = _REPOSITORIES_TIMEOUT_SECONDS,
) -> list[UnsavedWork]:
    """Inspect repositories in *work*, for at most *seconds* each and *in_all* together; skip missing directories."""
    end = monotonic() + in_all
    folders = [work / name for name in directories if _is_plain_name(name) and os.path.lexists(work / name)]
    return [_inspect_repository(folder, min(seconds, end - monotonic())) for folder in folders]


def list_repositories(work: Path) -> list[str]:
    """List the top directories of *work* with a `.git`, whether or not a project has them; storages are skipped."""
    try:
        device = get_device(str(work))
        folders = [path for path in work.iterdir() if get_device(str(path)) == device and not path.is_symlink()]
        return sorted(path.name for path in folders if os.path.lexists(path / ".git"))
    except OSError:
        return []


def count_loose_files(work: Path, directories: Iterable[str]) -> FileTotal:
    """Count the files of *work* outside *directories*."""
    return count_files(work, skip=frozenset(directories))


def _is_plain_name(name: str) -> bool:
    return "/" not in name and name not in ("", ".", "..")


def _inspect_repository(folder: Path, seconds: float) -> UnsavedWork:
    try:
        if seconds <= 0:
            raise RepositoryUnreadable("There was no time left to look at it.")
        with open_git_view(folder, seconds=seconds) as git:
            return _count_unsaved_work(folder, git)
    except RepositoryUnreadable as error:
        return UnsavedWork(directory=_to_shown_name(folder), problem=str(error))
    except OSError:
        return UnsavedWork(directory=_to_shown_name(folder), problem="It cannot be read.")


def _to_shown_name(folder: Path) -> str:
    """Return the folder's name as valid text: on disk it may be any bytes."""
    return os.fsencode(folder.name).decode(errors="replace")


def _count_unsaved_work(folder: Path, git: GitView) -> UnsavedWork:
    # Ignore submodules: git would use the configuration of each.
    status = git.run(
        "status", "--porcelain=v2", "--branch", "-z", "--no-renames", "--untracked-files=all", "--ignore-submodules=all"
    )
    entries = status.split(b"\0")
    kinds = Counter(entry[:2] for entry in entries)
    head = {key: value for _, key, value in (entry.split(b" ", 2) for entry in entries if entry[:2] == b"# ")}
    branch = head.get(b"branch.head", b"(detached)").decode(errors="replace")
    starts = ["--branches", *([] if head.get(b"branch.oid") == b"(initial)" else ["HEAD"])]
    return UnsavedWork(
        directory=_to_shown_name(folder),
        changed=kinds[b"1 "] + kinds[b"2 "] + kinds[b"u "],
        untracked=kinds[b"? "],
        unpushed=int(git.run("rev-list", "--count", *starts, "--not", "--remotes")),
        stashes=_count_stashes(git),
        branch=None if branch == "(detached)" else branch[:_MAX_BRANCH_CHARACTERS],
        problem=_SUBMODULES_PROBLEM if os.path.lexists(folder / ".gitmodules") else None,
    )


def _count_stashes(git: GitView) -> int:
    if not git.run("for-each-ref", "--format=x", "refs/stash"):
        return 0
    return int(git.run("rev-list", "--walk-reflogs", "--count", "refs/stash", "--"))


# Contents


@dataclass(frozen=True, kw_only=True)
class Contents:
    """Unsaved work by repository, totals of the files outside of repositories (*loose*) and of all files.

    *more* is the number of repositories that were not inspected.
    """

    unsaved: list[UnsavedWork]
    loose: FileTotal
    total: FileTotal
    more: int = 0


@dataclass(frozen=True, kw_only=True)
class ContentsInspection:
    """The state of an inspection: *contents* are None if unknown, which may change while it is *under_way*."""

    contents: Contents | None = None
    under_way: bool = False


def inspect_contents(work: Path) -> Contents:
    """Inspect *work* for half a minute at most."""
    directories = list_repositories(work)
    return Contents(
        unsaved=list_unsaved_work(work, directories[:MAX_REPOSITORIES]),
        loose=count_loose_files(work, [*directories, *_NO_WORK_NAMES]),
        total=count_session_files(work),
        more=len(directories[MAX_REPOSITORIES:]),
    )


def parse_contents(printed: str) -> Contents | None:
    """Parse the output of this program; None if it is anything else."""
    try:
        report = json.loads(printed)
        return Contents(
            unsaved=[UnsavedWork(**_check_fields(row, UnsavedWork)) for row in report["unsaved"]],
            loose=FileTotal(**_check_fields(report["loose"], FileTotal)),
            total=FileTotal(**_check_fields(report["total"], FileTotal)),
            more=int(report["more"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _check_fields(row: Any, kind: type) -> dict[str, Any]:
    """Return the row as a dict. Raises TypeError unless each value has the type of its field."""
    fields = {name: field.type for name, field in kind.__dataclass_fields__.items()}  # type: ignore[attr-defined]
    if not all(isinstance(value, fields[name]) for name, value in row.items()):
        raise TypeError(f"This is no {kind.__name__}: {row!r:.100}")
    return dict(row)


def main(work: str) -> None:
    """Print the contents of *work* as a line of JSON."""
    print(json.dumps(asdict(inspect_contents(Path(work)))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
