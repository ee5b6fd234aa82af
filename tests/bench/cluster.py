"""One cluster and two hubs on it, plain KubeSpawner and ours, with their people, as processes."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from jupyterhub import orm

from renku_spawner.persistence.database import Database

from . import seed
from .hubs import ROOT, Hub, free_ports, start

CONFIG = Path(__file__).with_name("cluster_hub_config.py")
OWNER = "olga"
SIDES = ("plain", "ours")


@dataclass(frozen=True)
class Cluster:
    """The cluster's process; programs listen at `machine`; `ask` does what `fake_cluster_process.Control` can."""

    process: subprocess.Popen[bytes]
    api: int
    machine: str
    client: httpx.AsyncClient

    async def ask(self, word: str, **given: Any) -> Any:
        answer = await self.client.post(word, json=given)
        assert answer.is_success, answer.text
        return answer.json()


@dataclass(frozen=True)
class Side:
    """One of the two hubs, its people by name, and what server each of them starts."""

    name: str
    hub: Hub
    server: str
    client: httpx.AsyncClient

    def headers(self, person: str) -> dict[str, str]:
        return {"Authorization": f"token {_token(person)}"}

    async def start(self, person: str) -> None:
        """Ask the hub's own API for a start, and wait for the answer. Raises AssertionError unless it runs."""
        answer = await self.begin(person)
        assert answer.status_code == 201, f"{self.name}: {answer.status_code} {answer.text}"

    async def begin(self, person: str) -> httpx.Response:
        path = f"api/users/{person}/servers/{self.server}"
        return await self.client.post(path, headers=self.headers(person))

    async def longest_stall(self, seconds: float) -> float:
        """In ms."""
        answer = await self.client.get(f"bench/stall?seconds={seconds}")
        return float(answer.json()["longest"])

    async def commits(self) -> int:
        """Commits to the database, the hub's and ours, so far."""
        return int((await self.client.get("bench/commits")).json()["commits"])

    def threads(self) -> int:
        """How many threads the hub has."""
        return len(list(Path(f"/proc/{self.hub.process.pid}/task").iterdir()))

    def resident(self) -> int:
        """Bytes of memory that the hub holds."""
        pages = int(Path(f"/proc/{self.hub.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


@asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[Cluster]:
    folder.mkdir(parents=True, exist_ok=True)
    api, control = free_ports(2)
    machine = "127.{}.{}.{}".format(*(random.randint(1, 250) for _ in range(3)))
    said = json.dumps({"api": api, "control": control, "machine": machine})
    with (folder / "cluster.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.fake_cluster_process", said], cwd=ROOT, stdout=log, stderr=log
        )
    base = f"http://127.0.0.1:{control}/"
    async with httpx.AsyncClient(base_url=base, timeout=120, trust_env=False) as client:
        made = Cluster(process, api, machine, client)
        try:
            await _answers(made, folder)
            yield made
        finally:
            process.terminate()
            process.wait(30)


async def _answers(made: Cluster, folder: Path) -> None:
    end = time.monotonic() + 300
    while True:
        try:
            return await made.ask("forget")
        except httpx.TransportError:
            if made.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError((folder / "cluster.log").read_text()) from None
            await asyncio.sleep(0.1)


@asynccontextmanager
async def sides(
    folder: Path, on: Cluster, people: list[str], *, patience: float = 60, timeout: int = 120
) -> AsyncIterator[tuple[Side, Side]]:
    """Both hubs; *patience* (s) is how long a start's request waits, *timeout* (s) how long a start may take."""
    more = {"RENKU_BENCH_PATIENCE": str(patience), "RENKU_BENCH_TIMEOUT": str(timeout)}
    made = await asyncio.to_thread(lambda: [seeded(folder / name, name, people) for name in SIDES])
    begun = await asyncio.gather(
        *(
            start(where, url, renku=where.name == "ours", config=CONFIG, more=more | kubeconfig(where, on))
            for where, url, _ in made
        ),
        return_exceptions=True,
    )
    hubs = [hub for hub in begun if isinstance(hub, Hub)]
    try:
        for hub in begun:
            if isinstance(hub, BaseException):
                raise hub
        async with _client(hubs[0]) as a, _client(hubs[1]) as b:
            yield Side("plain", hubs[0], made[0][2], a), Side("ours", hubs[1], made[1][2], b)
    finally:
        for hub in hubs:
            hub.stop()


@asynccontextmanager
async def alone(folder: Path, on: Cluster, db_url: str, server: str, **more: str) -> AsyncIterator[Side]:
    """Our hub alone on the database that `seeded` has made, with *more* variables."""
    patience = {"RENKU_BENCH_PATIENCE": "60", "RENKU_BENCH_TIMEOUT": "120"}
    hub = await start(folder, db_url, renku=True, config=CONFIG, more=patience | more | kubeconfig(folder, on))
    try:
        async with _client(hub) as client:
            yield Side("ours", hub, server, client)
    finally:
        hub.stop()


def _client(hub: Hub) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=None)
    return httpx.AsyncClient(base_url=hub.url, timeout=300, trust_env=False, limits=limits)


def kubeconfig(where: Path, on: Cluster) -> dict[str, str]:
    """Where the hub finds the cluster, and the token by which the cluster tells the hubs apart."""
    path = where / "kubeconfig"
    token = "plain" if where.name == "plain" else "ours"
    it = {"cluster": {"server": f"http://127.0.0.1:{on.api}"}, "user": {"token": token}}
    it["context"] = {"cluster": "it", "user": "it"}
    kept = {f"{key}s": [{"name": "it", key: value}] for key, value in it.items()}
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "it", **kept}))
    return {"KUBECONFIG": str(path)}


def seeded(where: Path, name: str, people: list[str]) -> tuple[Path, str, str]:
    """A database in which each of *people* may start one server, and that server's name."""
    db_url, server = seed.database(where), "work"
    if name == "ours":
        parts = seed.opened(db_url)
        server = _session(parts.db, people)
        parts.db.dispose()
    seed.hub(db_url, {OWNER: [], **{person: [] for person in people}})
    db = orm.new_session_factory(db_url)()
    db.add(orm.OAuthClient(identifier="jupyterhub", description="JupyterHub"))  # the hub's own, to whom tokens belong
    db.flush()
    for person in people:
        orm.User.find(db, person).new_api_token(_token(person))
    db.commit()
    db.get_bind().dispose()
    return where, db_url, server


def _session(db: Database, people: list[str]) -> str:
    """A session of a project without repositories: a plain KubeSpawner fetches none either."""
    with db.write() as tx:
        where = seed.project(tx, f"{OWNER}/p", OWNER, *people, repositories=[])
        return seed.session(tx, where, next(iter(tx.environments.get_configured_by_key().values())), 0).id


def _token(person: str) -> str:
    return f"token-of-{person}-for-the-bench"
