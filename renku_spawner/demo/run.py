"""Prepares the demo's data and runs its hub."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from traitlets.config import Config

from ..app import Renku
from ..runtime import proc, process
from ..runtime.folders import is_id
from ..services import environments
from . import repositories, weather
from .seed import seed

PORTS = 4
CONFIG = Path(__file__).parents[2] / "jupyterhub_config.py"
MARKER = ".renku-demo"
PROCESSES = "processes.json"  # of the demo that runs, or was killed
LOG = "hub.log"
PROXY_COMMAND = "configurable-http-proxy"
USERS = {"alice": "owner", "bob": "editor", "carol": "viewer", "dave": "no member", "admin": "admin of the hub"}
_GRACE_SECONDS = 20.0  # a hub ends its sessions first
_POLL_INTERVAL_SECONDS = 0.2
_LINES_OF_FAILURE = 20


def port(text: str) -> int:
    """The first of the four ports that the demo listens on: its page, the hub, the proxy's API, its git server.

    Raises:
        ValueError: four ports do not begin there.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= 65536 - PORTS):
        raise ValueError(f"PORT is {text[:20]!r}; please give a number from 1 to {65536 - PORTS}.")
    return int(text)


def require_free(port: int) -> None:
    """Raise OSError, naming the port, when one of the four is taken: otherwise only the proxy would say so."""
    for number in range(port, port + PORTS):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers themselves
            try:
                probe.bind(("127.0.0.1", number))
            except OSError as problem:
                raise OSError(
                    f"Port {number} cannot be used ({problem.strerror}). The demo needs ports {port} to"
                    f" {port + PORTS - 1} and leaves other programs alone; to choose other ports: PORT=9000"
                ) from None


def end_left_over(data: Path, *, port: int) -> None:
    """End the hub (with its git server) and the proxy that a killed demo of this folder has left.

    Its sessions go on, as after any restart of a hub, unless the hub will have another address than they know.

    Raises:
        ValueError: the demo runs already, it was not killed.
    """
    asyncio.run(_end_left_over(data, port=port))


async def _end_left_over(data: Path, *, port: int) -> None:
    recorded = _read_processes(data)
    if _find_recorded(recorded, "demo"):
        url = f"http://127.0.0.1:{recorded['port']}"
        raise ValueError(f"The demo of {data} runs already at {url}. Another one needs its own PORT= and DATA=.")
    left = [_find_recorded(recorded, "hub"), proc.find_by_pid_file(data / "proxy.pid", [PROXY_COMMAND])]
    for each in filter(None, left):
        await proc.end(each, grace_seconds=_GRACE_SECONDS)
    (data / "proxy.pid").unlink(missing_ok=True)
    if recorded and recorded["port"] != port:
        for folder in (data / "sessions").glob("*"):
            if is_id(folder.name):
                await process.stop(folder)


def _read_processes(data: Path) -> dict[str, Any]:
    """Return what the demo of this folder wrote down since this machine was booted; nothing if it did not."""
    try:
        recorded: dict[str, Any] = json.loads((data / PROCESSES).read_text())
    except (OSError, ValueError):
        return {}
    return recorded if recorded.get("boot") == proc.boot_id() else {}


def _find_recorded(recorded: dict[str, Any], name: str) -> proc.Process | None:
    """Return the process that was written down under that name, if it still runs."""
    pid, started = recorded.get(name, (0, 0))
    found = proc.look(pid)
    return found if found and found.alive and found.started == started else None


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
    config = settings(data, port=port)
    config.Renku.storage_check = False  # the spawner says which volumes there are, and there is none yet
    renku = Renku(config=config)
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


def run_hub(data: Path, *, port: int, password: str) -> int:
    """Run the hub until it ends or is told to, and return its exit status.

    It and its proxy write to a log file. This terminal says how to get in, and why a hub did not start.
    """
    print("Starting Renku …", flush=True)
    log = data / LOG
    asked: list[int] = []  # the signals that said to end
    with _hub_process(data, log, asked, port=port, password=password) as hub:
        if _wait_until_ready(hub, port):
            print(_describe(data, port=port, password=password), flush=True)
        status = hub.wait()
    if asked:
        return 0
    if status:
        print(f"\nThe hub ended with status {status}. The end of its log, {log}:\n", file=sys.stderr)
        print(*log.read_text(errors="replace").splitlines()[-_LINES_OF_FAILURE:], sep="\n", file=sys.stderr, flush=True)
    return status


@contextmanager
def _hub_process(
    data: Path, log: Path, asked: list[int], *, port: int, password: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Start the hub, write down which processes are the demo's, and pass on what ends it.

    Ctrl-C, SIGTERM and a closed terminal are kept in *asked*. The hub has a session of its own: a terminal would
    signal its children too, and it ends them itself.
    """
    variables = {**os.environ, "PORT": str(port), "DATA": str(data), "PASSWORD": password}
    modules = CONFIG.parent / "node_modules" / ".bin"
    variables["PATH"] = f"{Path(sys.executable).parent}:{modules}:{variables['PATH']}"
    log.unlink(missing_ok=True)
    log.touch(mode=0o600)
    hub: subprocess.Popen[bytes] | None = None

    def pass_on(number: int, _: object) -> None:
        asked.append(number)
        if hub is not None:
            hub.send_signal(signal.SIGTERM)

    before = {each: signal.signal(each, pass_on) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        with log.open("ab") as output:
            hub = subprocess.Popen(
                [sys.executable, "-m", "jupyterhub", "-f", str(CONFIG)], env=variables, cwd=data,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        own = {"demo": proc.look(os.getpid()), "hub": proc.look(hub.pid)}
        identities = {name: found.identity for name, found in own.items() if found}
        (data / PROCESSES).write_text(json.dumps({"boot": proc.boot_id(), "port": port, **identities}))
        if asked:  # before there was a hub
            hub.send_signal(signal.SIGTERM)
        yield hub
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _wait_until_ready(hub: subprocess.Popen[bytes], port: int) -> bool:
    """Return whether the hub came to answer through its proxy; False if it ended before."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # not through a proxy of the environment
    while hub.poll() is None:
        try:
            with direct.open(f"http://127.0.0.1:{port}/hub/health", timeout=10):
                return True
        except (OSError, urllib.error.URLError):
            try:
                hub.wait(_POLL_INTERVAL_SECONDS)
            except subprocess.TimeoutExpired:
                continue
    return False


def _describe(data: Path, *, port: int, password: str) -> str:
    """Return the lines that say how to get in."""
    users = [f"  {name:<6} {role}" for name, role in USERS.items()]
    lines = [
        f"Renku runs at http://127.0.0.1:{port}", *users,
        f"The password of each is {password!r}. Ctrl-C ends everything; sessions are found paused.",
        f"Log: {data / LOG}",
    ]  # fmt: skip
    return "\n".join(lines)
