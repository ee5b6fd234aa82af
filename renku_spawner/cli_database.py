"""`renku-spawner db upgrade | check | downgrade`, and how a command finds the hub's configuration and database."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stdout
from pathlib import Path

from sqlalchemy.engine import make_url
from traitlets.config import Config, PyFileConfigLoader

from .cli_base import Ended
from .store import migrate

_DB_URL = "sqlite:///jupyterhub.sqlite"  # JupyterHub's default


def load_config(file: Path) -> Config:
    """Load the hub's configuration, which is a program and raises what it likes.

    Paths in it are relative to the folder in which the hub runs: the hub's image names it in RENKU_HUB_FOLDER, since
    `kubectl exec` may be used from any folder.
    """
    folder = Path(os.environ.get("RENKU_HUB_FOLDER", ".")).resolve()
    # Zero to JupyterHub's configuration prints, and --json is for programs.
    with redirect_stdout(sys.stderr), chdir(folder if folder.is_dir() else "."):
        config = PyFileConfigLoader(file.name, path=str(file.parent)).load_config()
    for section, default in ((config.Renku, ""), (config.JupyterHub, _DB_URL)):
        if url := section.get("db_url", default):
            section.db_url = _in_folder(str(url), folder)
    return config


def _in_folder(url: str, folder: Path) -> str:
    """*url* with the whole path of a SQLite file that is named relative to *folder*."""
    found = make_url(url) if url.startswith("sqlite:///") else None
    if found is None or not found.database or found.database == ":memory:":
        return url
    return str(found.set(database=str(folder / found.database)))


@contextmanager
def in_words() -> Iterator[None]:
    """What a database of another release is told as. Raises Ended."""
    try:
        yield
    except migrate.OutOfDate as problem:
        raise Ended(str(problem)) from None


def upgrade(parsed: argparse.Namespace) -> None:
    """Raises Ended, ValueError."""
    with in_words():
        migrate.prepare(parsed.url, upgrade=True)
    print(f"Renku's tables are at revision {migrate.current(parsed.url)}.")


def check(parsed: argparse.Namespace) -> None:
    """Raises Ended, ValueError."""
    with in_words():
        migrate.check(parsed.url)
    print(f"Renku's tables are up to date (revision {migrate.current(parsed.url)}).")


def downgrade(parsed: argparse.Namespace) -> None:
    """Raises Ended: something would be lost, and nobody has agreed to that; ValueError."""
    try:
        with in_words():
            lost = migrate.downgrade(parsed.url, parsed.revision, may_lose=parsed.yes)
    except migrate.Loses as refused:
        listed = "\n".join(f"  {line}" for line in refused.args[0])
        raise Ended(f"This would lose\n{listed}\nNothing has been changed. With --yes it is done.") from None
    print("\n".join([*(f"Lost: {line}" for line in lost), f"Renku's tables are at revision {parsed.revision}."]))
