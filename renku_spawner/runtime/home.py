"""What of an instance lies beside its working directory: a home and the server's token, for our eyes only."""

import json
import os
from pathlib import Path

from .folders import Folder


def prepare(folder: Folder, *, token: str, username: str) -> None:
    """Make the home with a git identity to start from, and keep the token for a hub that restarts meanwhile.

    Raises OSError if the disk says no; what is there stays usable then.
    """
    home = folder.path / "home"
    home.mkdir(mode=0o700, exist_ok=True)
    name = "".join(c for c in username if c.isprintable() and c not in '"\\')
    _write_once(home / ".gitconfig", f'[user]\n\tname = "{name}"\n\temail = "{name}@localhost"\n')
    _settle_lab(home)
    _write_private(folder, token)


def _settle_lab(home: Path) -> None:
    """JupyterLab asks each new home whether it may fetch news: a machine without internet cannot."""
    settings = home / ".jupyter/lab/user-settings/@jupyterlab/apputils-extension"
    settings.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"fetchNews": "false", "checkForUpdates": False})
    _write_once(settings / "notification.jupyterlab-settings", text)


def _write_once(path: Path, text: str) -> None:
    """Write what is not there yet, whole or not at all: a disk may be full this time and have room the next."""
    if not path.exists():
        new = path.with_name(f"{path.name}.new")
        new.write_text(text, encoding="utf-8")
        new.replace(path)


def token(folder: Folder) -> str | None:
    """The token that the running start was given, None if there is none."""
    try:
        return (folder.path / "token").read_text(encoding="ascii")
    except OSError:
        return None


def forget_token(folder: Folder) -> None:
    """A session that ended needs no token."""
    (folder.path / "token").unlink(missing_ok=True)


def _write_private(folder: Folder, token: str) -> None:
    path = str(folder.path / "token.new")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "w", encoding="ascii") as file:
        file.write(token)
    os.replace(path, folder.path / "token")
