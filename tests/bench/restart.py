"""B5: a hub starts while servers run on the cluster, plain KubeSpawner's and ours, each in turn."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from jupyterhub import orm
from sqlalchemy import insert, select

from renku_spawner.domain.ids import create_id
from renku_spawner.domain.instances import mark_ready, mark_stopped
from renku_spawner.persistence.database import Database
from renku_spawner.persistence.tables import instances

from . import seed
from .cluster import CONFIG, Cluster, Side, cluster, kubeconfig
from .fake_cluster_process import FOREIGN, NAMESPACE, PORT
from .hubs import Hub, begin

Sample = dict[str, Any]
_PROXY_TOKEN = "of-the-proxy-in-the-bench"
_LATEST = 240  # seconds


@dataclass(frozen=True, kw_only=True)
class Case:
    """So many servers run and so many other sessions are *defined*, each started once and paused."""

    running: int
    defined: int


@dataclass(frozen=True)
class Ready:
    """A hub that may be started: its folder, its database, and whether Renku is in it."""

    folder: Path
    db_url: str
    renku: bool


def prepared(folder: Path, case: Case, machine: str, *, renku: bool) -> tuple[Ready, list[str]]:
    """A database in which servers run, and the names of the Secrets of their pods."""
    folder.mkdir(parents=True)
    db_url = seed.database(folder)
    server, runs = "work", [create_id() for _ in range(case.running)]
    people = [f"mira{number}" for number in range(case.running)]
    if renku:
        shutil.copy(_defined(folder.parents[1], case.defined), folder)
        server = _sessions(db_url, people, runs, machine)
    _hub(db_url, people, server, machine)
    return Ready(folder, db_url, renku), [
        f"{FOREIGN}{number}-{run}" for number, run in enumerate(runs)
    ] if renku else []


def _defined(folder: Path, count: int) -> Path:
    """The file of a database that holds so many sessions; made once, as that takes longer than a restart."""
    folder = folder / f"defined-{count}"
    if not folder.exists():
        parts = seed.opened(seed.database(folder))
        seed.more(parts, count, max(1, count // 10))
        parts.db.dispose()
    return folder / "hub.sqlite"


def _sessions(db_url: str, people: list[str], runs: list[str], machine: str) -> str:
    """One session that all of *people* run; returns its id."""
    parts = seed.opened(db_url)
    with parts.db.write() as tx:
        where = seed.project(tx, "olga/p", "olga", *people, repositories=[])
        session = seed.session(tx, where, next(iter(tx.environments.get_configured_by_key().values())), 0)
        begun = seed.started(tx, session, "olga", seed.NOW)
        done = mark_ready(begun, url=f"http://{machine}:{PORT}", now=seed.NOW)
        of_olga = tx.instances.save(begun, done)
    _instances(parts.db, of_olga.id, people, runs)
    with parts.db.write() as tx:
        tx.instances.save(of_olga, mark_stopped(of_olga, now=seed.NOW))
    parts.db.dispose()
    return session.id


def _instances(db: Database, like: str, people: list[str], runs: list[str]) -> None:
    with db.engine.connect() as connection:
        row = dict(connection.execute(select(instances).where(instances.c.id == like)).mappings().one())
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        rows = [
            {**row, "id": create_id(), "username": name, "run": run, "claim": create_id()}
            for name, run in zip(people, runs, strict=True)
        ]
        connection.execute(insert(instances), rows)
        connection.commit()


def _hub(db_url: str, people: list[str], server: str, machine: str) -> None:
    """The hub's own rows of servers that run."""
    seed.hub(db_url, {}, 0)
    db = orm.new_session_factory(db_url)()
    db.add(orm.OAuthClient(identifier="jupyterhub", description="JupyterHub"))
    db.flush()
    role = orm.Role.find(db, "user")
    now = datetime.now(UTC).replace(tzinfo=None)
    db.execute(insert(orm.User), [{"id": number + 1, "name": name} for number, name in enumerate(people)])
    has_role = orm.Base.metadata.tables["user_role_map"]
    db.execute(insert(has_role), [{"user_id": n + 1, "role_id": role.id} for n in range(len(people))])
    rows: dict[Any, list[dict[str, Any]]] = {orm.Server: [], orm.OAuthClient: [], orm.Spawner: [], orm.APIToken: []}
    for number, name in enumerate(people, 1):
        for kind, row in _server(number, name, server, machine, now):
            rows[kind].append(row)
    for kind, some in rows.items():
        db.execute(insert(kind), some)
    db.commit()
    db.get_bind().dispose()


def _server(number: int, name: str, server: str, machine: str, now: datetime) -> Iterator[tuple[type, dict[str, Any]]]:
    pod, client = f"{FOREIGN}{number - 1}", f"jupyterhub-user-{name}-{server}"
    base = f"/user/{name}/{server}/"
    state = {
        "kubespawner_version": "7.1.0", "pod_name": pod, "namespace": NAMESPACE, "pvc_name": f"claim-{name}",
        "dns_name": f"{pod}.{NAMESPACE}.svc.cluster.local",
    }  # fmt: skip
    yield orm.Server, {"id": number, "proto": "http", "ip": machine, "port": PORT, "base_url": base, "cookie_name": "c"}
    yield orm.OAuthClient, {"identifier": client, "description": f"Server at {base}", "allowed_scopes": []}
    yield orm.Spawner, {"user_id": number, "server_id": number, "name": server, "state": state, "started": now,
                        "last_activity": now, "user_options": {}, "oauth_client_id": client}  # fmt: skip
    yield orm.APIToken, {"user_id": number, "hashed": f"none:1:{number}:{number}", "prefix": f"{number:08}"[:8],
                         "client_id": "jupyterhub", "note": f"Server at {base}", "scopes": []}  # fmt: skip


async def restarted(on: Cluster, ready: Ready, running: int) -> Sample:
    """Start it, and measure until the proxy has a route to each server."""
    more = {"RENKU_BENCH_PATIENCE": "60", "RENKU_BENCH_TIMEOUT": "120", "CONFIGPROXY_AUTH_TOKEN": _PROXY_TOKEN}
    since = time.monotonic()
    hub = begin(ready.folder, ready.db_url, renku=ready.renku, config=CONFIG, more=more | kubeconfig(ready.folder, on))
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            await _until_health(hub, client, since)
            health = time.monotonic() - since
            longest = asyncio.ensure_future(_longest_wait(hub))
            await _until_routes(hub, client, running, since)
            routes, cpu = time.monotonic() - since, hub.cpu()
            await asyncio.sleep(1)
            longest.cancel()
            (stall,) = await asyncio.gather(longest)
        memory = Side("", hub, "", client).resident()
    finally:
        hub.stop()
    found = {"health": health, "routes": routes, "cpu": cpu, "stall": stall * 1000, "memory": memory / 1e6}
    return {key: round(value, 3) for key, value in found.items()}


async def _until_health(hub: Hub, client: httpx.AsyncClient, since: float) -> None:
    while time.monotonic() < since + _LATEST:
        try:
            if (await client.get(f"{hub.url}health")).is_success:
                return
        except httpx.TransportError:
            pass
        assert hub.process.poll() is None, (hub.folder / "hub.log").read_text()
        await asyncio.sleep(0.02)
    raise AssertionError((hub.folder / "hub.log").read_text())


async def _longest_wait(hub: Hub) -> float:
    """Seconds that an answer of /hub/health took at most, asked for 50 times a second until this is cancelled."""
    longest = begin = time.monotonic()
    longest = 0.0
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        try:
            while True:
                begin = time.monotonic()
                await client.get(f"{hub.url}health")
                longest = max(longest, time.monotonic() - begin)
                await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            return max(longest, time.monotonic() - begin - 0.02)


async def _until_routes(hub: Hub, client: httpx.AsyncClient, running: int, since: float) -> None:
    """The routes are asked of the proxy, a process of its own, now and then: the answer may have a megabyte."""
    headers = {"Authorization": f"token {_PROXY_TOKEN}"}
    while time.monotonic() < since + _LATEST:
        answer = await client.get(f"http://127.0.0.1:{hub.api_port}/api/routes", headers=headers)
        if answer.is_success and len(answer.json()) > running:  # and one to the hub itself
            return
        await asyncio.sleep(0.2)
    raise AssertionError(f"no routes: {(hub.folder / 'hub.log').read_text()}")


async def measure(folder: Path, cases: dict[Case, tuple[str, ...]], rounds: int, size: int) -> list[Sample]:
    """Starts of the hubs (*cases*: which sides) in turn, among pods of *size* bytes."""
    samples: list[Sample] = []
    async with cluster(folder) as on:
        made: dict[tuple[Case, str], tuple[Ready, list[str]]] = {}
        for case, names in cases.items():
            for side in names:
                where = folder / f"{case.running}-{case.defined}" / side
                made[case, side] = await asyncio.to_thread(prepared, where, case, on.machine, renku=side == "ours")
        for number in range(rounds):
            for case, names in cases.items():
                await on.ask("clear")
                secrets = [name for side in names for name in made[case, side][1]]
                await on.ask("running", pods=case.running, size=size, secrets=secrets)
                for side in names if number % 2 else reversed(names):
                    found = await restarted(on, made[case, side][0], case.running)
                    samples.append({"round": number, **vars(case), "side": side, **found})
    shutil.rmtree(folder, ignore_errors=True)
    return samples
