"""Hubs as processes of their own, so that their CPU time is theirs alone."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.fixtures.ports import kept_ports

ROOT = Path(__file__).parents[2]
CONFIG = Path(__file__).with_name("hub_config.py")
_READY = 600  # seconds, with ten thousand users in the database


@dataclass(frozen=True)
class Hub:
    """A hub. It is asked directly, not through its proxy, at `url` (with the slash); `api_port` is the proxy's."""

    process: subprocess.Popen[bytes]
    port: int
    folder: Path
    api_port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hub/"

    def cpu(self) -> float:
        """Seconds of CPU time, user and system, that the process has used; see clock_getcpuclockid(3)."""
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def free_ports(count: int) -> list[int]:
    """Return ports that are given to no connection before the hub listens there."""
    first = kept_ports(count)
    return list(range(first, first + count))


async def start(
    folder: Path, db_url: str, *, renku: bool, config: Path = CONFIG, more: Mapping[str, str] | None = None
) -> Hub:
    """A hub that serves, with its files in *folder* and *more* variables. Raises RuntimeError with its log if not."""
    hub = begin(folder, db_url, renku=renku, config=config, more=more)
    try:
        await _ready(hub)
    except BaseException:
        hub.stop()
        raise
    return hub


def begin(
    folder: Path, db_url: str, *, renku: bool, config: Path = CONFIG, more: Mapping[str, str] | None = None
) -> Hub:
    """The same, as soon as its process runs."""
    ports = free_ports(3)
    said = json.dumps({"ports": ports, "db_url": db_url, "renku": renku})
    path = os.pathsep.join([str(Path(sys.executable).parent), str(ROOT / "node_modules/.bin"), os.environ["PATH"]])
    settings = {**os.environ, "RENKU_BENCH": said, "PYTHONPATH": str(ROOT), "PATH": path, **(more or {})}
    with (folder / "hub.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "-f", str(config)], cwd=folder, env=settings, stdout=log, stderr=log
        )
    return Hub(process, ports[1], folder, ports[2])


async def _ready(hub: Hub) -> None:
    end = time.monotonic() + _READY
    async with httpx.AsyncClient(trust_env=False) as client:
        while True:
            try:
                if (await client.get(f"{hub.url}health")).is_success:
                    return
            except httpx.TransportError:
                pass
            if hub.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError((hub.folder / "hub.log").read_text())
            await asyncio.sleep(0.1)


async def login(hub: Hub, name: str) -> str:
    """The cookies of *name* after a login by the form, as one header."""
    async with httpx.AsyncClient(base_url=hub.url, trust_env=False, timeout=30) as client:
        await client.get("login")
        answer = await client.post("login", data={"username": name, "password": name, "_xsrf": client.cookies["_xsrf"]})
        assert answer.status_code == 302, answer.text
        page = await client.get("token")
        assert page.status_code == 200, page.text
        # The hub sets some cookies for / and some for /hub/: in the order of a browser, the longest path first.
        jar = sorted(client.cookies.jar, key=lambda cookie: -len(cookie.path))
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in jar)
