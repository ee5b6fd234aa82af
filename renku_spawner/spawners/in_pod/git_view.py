"""Inspect an untrusted git repository with git, without using its configuration.

A `.git/config` can make git run programs in many ways (filters, fsmonitor, hooks, pagers, text conversion, includes …),
and each release may add new ones. So git never reads it: it gets a temporary git directory with links to the objects
and refs of the repository, and with only those settings that decide how files on disk compare to the stored ones.
"""

import contextlib
import os
import re
import shutil
import stat
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

# Settings for how stored data is read and compared to files on disk; none names a program or a path.
_SAFE = re.compile(
    r"core\.(filemode|ignorecase|symlinks|autocrlf|eol|precomposeunicode)=(true|false|input|lf|crlf|native)"
    r"|core\.repositoryformatversion=[01]|extensions\.objectformat=(sha1|sha256)|extensions\.refstorage=(files|reftable)",
    re.IGNORECASE,
)
_LINKED = ("refs", "packed-refs", "logs", "reftable", "shallow", "index")
_NEEDED = ("HEAD", "objects", "refs", "config")
_OUTPUT_LIMIT = 16 * 1024**2  # bytes
_SMALL = 1024**2  # bytes of a file that is copied


class Unreadable(Exception):
    """The repository cannot be inspected; the message is a sentence for its owner."""


class View:
    """Runs git on one repository; *deadline* is a time of the monotonic clock."""

    def __init__(self, folder: Path, git_dir: Path, deadline: float) -> None:
        self._folder, self._deadline = folder, deadline
        self._environment = _environment(
            GIT_DIR=str(git_dir),
            GIT_WORK_TREE=str(folder),
            GIT_OBJECT_DIRECTORY=str(folder / ".git" / "objects"),
        )

    def git(self, *arguments: str) -> bytes:
        """Return what git prints. Raises Unreadable."""
        return _run(arguments, self._environment, self._folder, self._deadline)


@contextlib.contextmanager
def view(folder: Path, *, seconds: float = 10.0) -> Iterator[View]:
    """Open the repository in *folder*, for *seconds* in all. Raises Unreadable."""
    deadline = monotonic() + seconds
    source = folder / ".git"
    _check(folder, source)
    with tempfile.TemporaryDirectory(prefix="renku-view-") as name:
        own = Path(name)
        (own / "HEAD").write_bytes(_small(source / "HEAD"))
        (own / "config").write_text(_config(_small(source / "config"), own, deadline), encoding="utf-8")
        shared = [path.name for path in source.glob("sharedindex.*")]
        for part in (*_LINKED, *shared):
            if os.path.lexists(source / part):
                (own / part).symlink_to(source / part)
        with contextlib.suppress(OSError):
            exclude = _small(source / "info" / "exclude")
            (own / "info").mkdir()
            (own / "info" / "exclude").write_bytes(exclude)
        yield View(folder, own, deadline)


def _check(folder: Path, source: Path) -> None:
    """Raise Unreadable if anything leads out of the folder: links, or a .git file that points elsewhere."""
    if folder.is_symlink() or source.is_symlink():
        raise Unreadable("It is a link to another place.")
    if not source.is_dir():
        raise Unreadable("Its .git points to another place." if source.exists() else "It is not a git repository.")
    parts = [*_NEEDED, *_LINKED, "info", "objects/info", "objects/pack"]
    if any((source / part).is_symlink() for part in parts):
        raise Unreadable("Its .git contains links to other places.")
    if not all((source / part).exists() for part in _NEEDED):
        raise Unreadable("It is not a whole git repository.")
    if any((source / "objects" / "info" / part).exists() for part in ("alternates", "http-alternates")):
        raise Unreadable("It borrows its contents from another repository.")


def _small(path: Path) -> bytes:
    """Read a small regular file. Raises Unreadable, OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode) or about.st_size > _SMALL:
            raise Unreadable("Its .git contains unusual files.")
        return os.read(descriptor, _SMALL)
    finally:
        os.close(descriptor)


def _config(theirs: bytes, own: Path, deadline: float) -> str:
    """Return the safe settings of a configuration; git itself parses it, without includes."""
    copy = own / "theirs"
    copy.write_bytes(theirs)
    listed = _run(
        ("config", "--file", str(copy), "--no-includes", "--list", "-z"),
        _environment(GIT_CEILING_DIRECTORIES=str(own.parent)),
        own,
        deadline,
    )
    copy.unlink()
    pairs = [entry.replace("\n", "=", 1) for entry in listed.decode(errors="replace").split("\0")]
    kept = [pair.partition("=") for pair in pairs if _SAFE.fullmatch(pair)]
    return "".join(f"[{name.partition('.')[0]}]\n\t{name.partition('.')[2]} = {value}\n" for name, _, value in kept)


def _environment(**more: str) -> dict[str, str]:
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


def _run(arguments: tuple[str, ...], environment: dict[str, str], folder: Path, deadline: float) -> bytes:
    if not shutil.which("git"):
        raise Unreadable("git is not installed here.")
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
            output = process.stdout.read(_OUTPUT_LIMIT) if process.stdout else b""
            if len(output) == _OUTPUT_LIMIT:
                process.kill()
                raise Unreadable("It has too many changes to count.")
            process.wait()
        finally:
            timer.cancel()
    if process.returncode:
        late = monotonic() >= deadline
        raise Unreadable("Looking at it took too long." if late else "git cannot read it.")
    return output
