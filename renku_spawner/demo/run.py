"""Prepares the demo's data and becomes its hub."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from traitlets.config import Config

from ..app import Renku
from ..services import environments
from . import repositories, weather
from .seed import seed

PORTS = 4
CONFIG = Path(__file__).parents[2] / "jupyterhub_config.py"
MARKER = ".renku-demo"
USERS = {"alice": "owner", "bob": "editor", "carol": "viewer", "dave": "no member", "admin": "admin of the hub"}


def port(text: str) -> int:
    """The first of the four ports that the demo listens on: its page, the hub, the proxy's API, its git server.

    Raises:
        ValueError: four ports do not begin there.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= 65536 - PORTS):
        raise ValueError(f"PORT is {text[:20]!r}; please give a number from 1 to {65536 - PORTS}.")
    return int(text)


def require_free(port: int) -> None:
    """Raises OSError, naming the port, when one of the four is taken: otherwise only the proxy would say so."""
    for number in range(port, port + PORTS):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers themselves
            try:
                probe.bind(("127.0.0.1", number))
            except OSError as problem:
                raise OSError(f"Port {number} cannot be used ({problem.strerror}). Try another: PORT=9000") from None


def reset(data: Path) -> None:
    """Throw the demo's data away: its marker file guards against a wrong folder.

    Raises:
        SystemExit: the folder is not the demo's.
    """
    if not data.exists():
        return
    if not (data / MARKER).exists():
        sys.exit(f"{data} was not made by the demo; nothing was deleted.")
    shutil.rmtree(data)


def prepare(data: Path, *, port: int) -> None:
    """Make what is missing: folder, repositories, database, projects.

    Raises:
        SystemExit: the folder holds something else, which `reset` would delete one day.
    """
    if not CONFIG.exists():
        sys.exit("The demo runs from a checkout of the project, where jupyterhub_config.py is.")
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    if any(data.iterdir()) and not (data / MARKER).exists():
        sys.exit(f"{data} holds files that the demo did not make. Please choose an empty folder: DATA=…")
    (data / MARKER).touch()
    repositories.make(data / "repositories")
    weather.make(data / "weather")
    renku = Renku(config=settings(data, port=port))
    with ThreadPoolExecutor(1) as aside:  # the hub reads its configuration inside its loop
        aside.submit(asyncio.run, _fill(renku, git_url(port))).result()
    renku.parts.db.dispose()


async def _fill(renku: Renku, git: str) -> None:
    await environments.configure(renku.parts, renku.configured)
    await seed(renku.parts, git=git)


def git_url(port: int) -> str:
    """Where the demo's repositories are served: three ports above the hub's page."""
    return f"http://127.0.0.1:{port + 3}"


def crypt_key(data: Path) -> bytes:
    """What the demo's hub encrypts credentials of storages with: made once, and nobody else's to read."""
    file = data / "crypt_key"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_bytes(secrets.token_bytes(32))
    return file.read_bytes()


def settings(data: Path, *, port: int) -> Config:
    """Renku's settings for the demo."""
    c = Config()
    c.CryptKeeper.keys = [crypt_key(data)]
    c.Renku.db_url = f"sqlite:///{data}/jupyterhub.sqlite"
    c.Renku.workspace = str(data / "sessions")
    c.Renku.repository_hosts = {f"127.0.0.1:{port + 3}"}
    c.Renku.volumes = [{"name": "weather", "description": weather.DESCRIPTION, "directory": str(data / "weather")}]
    c.Renku.environments = [
        {
            "key": "jupyter-python",
            "name": "Jupyter Python",
            "image": "quay.io/jupyter/scipy-notebook:2026-11-02",
            "description": "JupyterLab with Python and the packages that most analyses need.",
            "keywords": ["python", "jupyter", "notebook"],
        }
    ]
    return c


def become_hub(data: Path, *, port: int, password: str) -> None:
    """Say how to get in, then be the hub: Ctrl-C reaches it, and nothing stands in between."""
    lines = [f"  {name:<6} {what}" for name, what in USERS.items()]
    print(f"\nRenku runs at http://127.0.0.1:{port}\n\n", "\n".join(lines), sep="")
    print(f"\nThe password of each is {password!r}. Ctrl-C ends everything; sessions are found paused.\n", flush=True)
    variables = {**os.environ, "PORT": str(port), "DATA": str(data), "PASSWORD": password}
    modules = CONFIG.parent / "node_modules" / ".bin"
    variables["PATH"] = f"{Path(sys.executable).parent}:{modules}:{variables['PATH']}"
    os.chdir(data)
    os.execve(sys.executable, [sys.executable, "-m", "jupyterhub", "-f", str(CONFIG)], variables)
