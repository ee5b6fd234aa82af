"""The login that a command remembers: one file, which nobody else can read."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from .cli_base import Ended, Exit

_MOST = 10_000  # bytes of a file that has one address and one token


@dataclass(frozen=True, kw_only=True)
class Login:
    """Who asks which hub; `borrowed` is the token of a session, which may do little."""

    url: str
    token: str = field(repr=False)
    borrowed: bool = False


def file_of(environ: Mapping[str, str]) -> Path:
    """Where the login is kept, as https://specifications.freedesktop.org/basedir-spec says."""
    base = environ.get("XDG_CONFIG_HOME", "")
    folder = Path(base) if base.startswith("/") else Path.home() / ".config"
    return folder / "renku-spawner" / "login.json"


def keep(file: Path, login: Login) -> None:
    """Write it whole or not at all, for its owner only. Raises OSError."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".login-", dir=file.parent)  # made with 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            json.dump({"url": login.url, "token": login.token}, out)
        Path(name).replace(file)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def kept(file: Path) -> Login | None:
    """None if nobody has logged in.

    Raises:
        Ended: others can read it, or it is no login.
    """
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError:
        raise _odd(file) from None
    with os.fdopen(handle, "rb") as opened:
        found = os.fstat(opened.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid():
            raise _odd(file)
        if found.st_mode & 0o077:
            raise Ended(
                f"Others can read {file}, so its token is not used. Make a new one, and log in again.", Exit.LOG_IN
            )
        return _read(file, opened.read(_MOST))


def _read(file: Path, text: bytes) -> Login:
    try:
        said = json.loads(text)
        return Login(url=str(said["url"]), token=str(said["token"]))
    except (ValueError, KeyError, TypeError):
        raise _odd(file) from None


def _odd(file: Path) -> Ended:
    return Ended(f"{file} is no login of yours. Please remove it, and log in again.", Exit.LOG_IN)
