"""Prepare the demo's data and run its hub."""

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

from ..config.renku import Renku
from ..spawners.local.folders import is_claim_id
from ..spawners.local.process import (
    ProcessInfo,
    find_process,
    find_process_by_pid_file,
    read_boot_id,
    stop_process,
    stop_server_process,
)
from ..usecases.environments import apply_configured_environments
from .seed import WEATHER_DESCRIPTION, create_demo_repositories, create_weather_tables, seed_demo_projects

DEMO_PORT_COUNT = 4
DEMO_CONFIG_FILE = Path(__file__).parents[2] / "jupyterhub_config.py"
DEMO_MARKER_NAME = ".renku-demo"
DEMO_PROCESSES_NAME = "processes.json"  # identities of the running, or killed, demo's processes
DEMO_LOG_NAME = "hub.log"
PROXY_COMMAND = "configurable-http-proxy"
DEMO_USERS = {"alice": "owner", "bob": "editor", "carol": "viewer", "dave": "no member", "admin": "admin of the hub"}
_HUB_STOP_GRACE_SECONDS = 20.0  # the hub stops its sessions before it exits
_READY_POLL_INTERVAL_SECONDS = 0.2
_MAX_FAILURE_LOG_LINES = 20


def parse_demo_port(text: str) -> int:
    """Return the first of the demo's four ports: its pages, the hub, the proxy's API, the git server.

    Raises:
        ValueError: the text is not a number from which on there are four ports.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= 65536 - DEMO_PORT_COUNT):
        raise ValueError(f"PORT is {text[:20]!r}; please give a number from 1 to {65536 - DEMO_PORT_COUNT}.")
    return int(text)


def require_free_ports(port: int) -> None:
    """Raise OSError, naming the port, if one of the four is taken; otherwise only the proxy's log would name it."""
    for number in range(port, port + DEMO_PORT_COUNT):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers themselves do
            try:
                probe.bind(("127.0.0.1", number))
            except OSError as problem:
                raise OSError(
                    f"Port {number} cannot be used ({problem.strerror}). The demo needs ports {port} to"
                    f" {port + DEMO_PORT_COUNT - 1} and leaves other programs alone; to choose other ports: PORT=9000"
                ) from None


def stop_stale_demo(data: Path, *, port: int) -> None:
    """Stop the hub (with its git server) and the proxy of a killed demo of this folder.

    Sessions go on, as after any restart of a hub, unless the port changes: they know only the hub's old address.

    Raises:
        ValueError: the demo is running.
    """
    asyncio.run(_stop_stale_processes(data, port=port))


async def _stop_stale_processes(data: Path, *, port: int) -> None:
    recorded = _read_recorded_processes(data)
    if _find_recorded_process(recorded, "demo"):
        url = f"http://127.0.0.1:{recorded['port']}"
        raise ValueError(f"The demo of {data} runs already at {url}. For a second one, set another PORT= and DATA=.")
    stale = [_find_recorded_process(recorded, "hub"), find_process_by_pid_file(data / "proxy.pid", [PROXY_COMMAND])]
    for process in filter(None, stale):
        await stop_process(process, grace_seconds=_HUB_STOP_GRACE_SECONDS)
    (data / "proxy.pid").unlink(missing_ok=True)
    if recorded and recorded["port"] != port:
        for folder in (data / "sessions").glob("*"):
            if is_claim_id(folder.name):
                await stop_server_process(folder)


def _read_recorded_processes(data: Path) -> dict[str, Any]:
    """Return the processes that a demo of this folder recorded since the machine was booted; empty if none."""
    try:
        recorded: dict[str, Any] = json.loads((data / DEMO_PROCESSES_NAME).read_text())
    except (OSError, ValueError):
        return {}
    return recorded if recorded.get("boot") == read_boot_id() else {}


def _find_recorded_process(recorded: dict[str, Any], name: str) -> ProcessInfo | None:
    """Return the process that is recorded under *name*, if it still runs."""
    pid, started = recorded.get(name, (0, 0))
    process = find_process(pid)
    return process if process and process.is_alive and process.started == started else None


def reset_demo_data(data: Path) -> None:
    """Delete the demo's data; its marker file protects every other folder.

    Raises:
        SystemExit: the folder was not made by the demo.
    """
    if not data.exists():
        return
    if not (data / DEMO_MARKER_NAME).exists():
        sys.exit(f"{data} was not made by the demo; nothing was deleted.")
    shutil.rmtree(data)


def prepare_demo_data(data: Path, *, port: int) -> None:
    """Create what is missing: folder, repositories, database, projects.

    Raises:
        SystemExit: the folder holds other files, which `reset_demo_data` would delete.
    """
    if not DEMO_CONFIG_FILE.exists():
        sys.exit("The demo runs from a checkout of the project, where jupyterhub_config.py is.")
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    if any(data.iterdir()) and not (data / DEMO_MARKER_NAME).exists():
        sys.exit(f"{data} holds files that the demo did not make. Please choose an empty folder: DATA=…")
    (data / DEMO_MARKER_NAME).touch()
    create_demo_repositories(data / "repositories")
    create_weather_tables(data / "weather")
    config = build_demo_config(data, port=port)
    config.Renku.storage_check = False  # volumes are known only once the hub has a spawner
    config.Renku.registries_asked = False  # the server of the repositories starts with the hub
    renku = Renku(config=config)
    with ThreadPoolExecutor(1) as aside:  # the hub evaluates its configuration inside a running event loop
        aside.submit(asyncio.run, _seed_database(renku, get_demo_git_url(port))).result()
    renku.context.db.dispose()


async def _seed_database(renku: Renku, git: str) -> None:
    await apply_configured_environments(renku.context, renku.configured)
    await seed_demo_projects(renku.context, git=git)


def get_demo_git_url(port: int) -> str:
    """Return the address of the demo's repositories, three ports above the hub's pages."""
    return f"http://127.0.0.1:{port + 3}"


def load_demo_crypt_key(data: Path) -> bytes:
    """Return the key that encrypts credentials of storages; it is created once, readable by its owner only."""
    file = data / "crypt_key"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_bytes(secrets.token_bytes(32))
    return file.read_bytes()


def build_demo_config(data: Path, *, port: int) -> Config:
    """Build Renku's settings for the demo."""
    c = Config()
    c.CryptKeeper.keys = [load_demo_crypt_key(data)]
    c.Renku.db_url = f"sqlite:///{data}/jupyterhub.sqlite"
    c.Renku.workspace = str(data / "sessions")
    c.Renku.repository_hosts = {f"127.0.0.1:{port + 3}"}
    c.Renku.volumes = [{"name": "weather", "description": WEATHER_DESCRIPTION, "directory": str(data / "weather")}]
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


def run_demo_hub(data: Path, *, port: int, password: str) -> int:
    """Run the hub until it ends or is interrupted, and return its exit status.

    The hub and its proxy write to a log file. The terminal shows how to log in, or the end of the log on failure.
    """
    print("Starting Renku …", flush=True)
    log = data / DEMO_LOG_NAME
    signals: list[int] = []  # that asked the demo to stop
    with _start_hub_process(data, log, signals, port=port, password=password) as hub:
        if _wait_until_hub_ready(hub, port):
            print(_format_login_instructions(data, port=port, password=password), flush=True)
        status = hub.wait()
    if signals:
        return 0
    if status:
        print(f"\nThe hub ended with status {status}. The end of its log, {log}:\n", file=sys.stderr)
        print(
            *log.read_text(errors="replace").splitlines()[-_MAX_FAILURE_LOG_LINES:],
            sep="\n",
            file=sys.stderr,
            flush=True,
        )
    return status


@contextmanager
def _start_hub_process(
    data: Path, log: Path, asked: list[int], *, port: int, password: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Start the hub, record the demo's processes, and turn Ctrl-C, SIGTERM and a closed terminal into SIGTERM.

    Received signals are appended to *asked*. The hub runs in a session of its own: otherwise the terminal would also
    signal its children, which the hub stops itself.
    """
    variables = {**os.environ, "PORT": str(port), "DATA": str(data), "PASSWORD": password}
    modules = DEMO_CONFIG_FILE.parent / "node_modules" / ".bin"
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
                [sys.executable, "-m", "jupyterhub", "-f", str(DEMO_CONFIG_FILE)], env=variables, cwd=data,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        own = {"demo": find_process(os.getpid()), "hub": find_process(hub.pid)}
        identities = {name: found.identity for name, found in own.items() if found}
        (data / DEMO_PROCESSES_NAME).write_text(json.dumps({"boot": read_boot_id(), "port": port, **identities}))
        if asked:  # the signal came before the hub process existed
            hub.send_signal(signal.SIGTERM)
        yield hub
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _wait_until_hub_ready(hub: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until the hub answers through its proxy; return False if it ended before."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # ignores proxies of the environment
    while hub.poll() is None:
        try:
            with direct.open(f"http://127.0.0.1:{port}/hub/health", timeout=10):
                return True
        except (OSError, urllib.error.URLError):
            try:
                hub.wait(_READY_POLL_INTERVAL_SECONDS)
            except subprocess.TimeoutExpired:
                continue
    return False


def _format_login_instructions(data: Path, *, port: int, password: str) -> str:
    """Return the lines that say how to log in."""
    users = [f"  {name:<6} {role}" for name, role in DEMO_USERS.items()]
    lines = [
        f"Renku runs at http://127.0.0.1:{port}", *users,
        f"The password of each is {password!r}. Ctrl-C stops everything and pauses the sessions.",
        f"Log: {data / DEMO_LOG_NAME}",
    ]  # fmt: skip
    return "\n".join(lines)
