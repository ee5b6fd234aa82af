"""A hub that starts while many sessions run: none is lost or begun again, and the cluster is asked evenly."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jupyterhub import orm

from renku_spawner.domain.instances import mark_ready
from renku_spawner.spawners.kubernetes.spawner import RenkuSpawner
from tests.bench import seed
from tests.cluster.own import Own, own_hub
from tests.fakes.spawning import spawner, use
from tests.fixtures.ports import free_port
from tests.fixtures.renku import until

MANY = 100
RATE = 20  # calls a second, unless an admin says otherwise


def stored(folder: Path, url: str) -> dict[str, str]:
    """Sessions of alice that run at *url*, in Renku's and in the hub's tables; the run of each, by its id."""
    db_url = seed.database(folder)
    parts = seed.opened(db_url)
    with parts.db.write() as tx:
        where = seed.project(tx, "alice/many", "alice")
        environment = next(iter(tx.environments.get_configured_by_key().values()))
        runs = {}
        for number in range(MANY):
            session = seed.session(tx, where, environment, number)
            started = seed.started(tx, session, "alice", datetime.now(UTC))
            tx.instances.save(started, mark_ready(started, url=url, now=datetime.now(UTC)))
            runs[session.id] = str(started.run)
    parts.db.dispose()
    seed.hub(db_url, {"alice": list(runs)})
    db = orm.new_session_factory(db_url)()
    for row in db.query(orm.Spawner):
        row.server = orm.Server(ip="127.0.0.1", port=int(url.rpartition(":")[2]), base_url=f"/user/alice/{row.name}/")
    db.commit()
    db.get_bind().dispose()
    return runs


def pod(own: Own, session: str, run: str) -> dict[str, Any]:
    name = str(
        spawner(server=session, user="alice", kind=RenkuSpawner, pod_name_template="jupyter-{user_server}").pod_name
    )
    labels = {"component": "singleuser-server", "renku.io/session": session, "renku.io/launch": run}
    spec = {"containers": [{"name": "notebook", "image": "it", "ports": [{"containerPort": 8888}]}]}
    running = {"name": "notebook", "ready": True, "restartCount": 0, "state": {"running": {}}}
    status = {"phase": "Running", "podIP": "127.0.0.1", "containerStatuses": [running]}
    metadata = {"name": name, "namespace": "sessions", "labels": labels}
    return own.cluster.store.create("pods", {"metadata": metadata, "spec": spec, "status": status})


@asynccontextmanager
async def answering(port: int) -> AsyncIterator[None]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", port):
        yield


def busiest(moments: list[float]) -> int:
    """The most calls in any second."""
    return max(sum(first <= moment < first + 1 for moment in moments) for first in moments)


async def test_many_sessions_outlive_three_restarts_and_the_cluster_is_asked_evenly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, asked = free_port(), []
    async with answering(port), own_hub(tmp_path, monkeypatch, start=False) as own:
        use(own.cluster, monkeypatch)
        own.cluster.speed = 1
        runs = await own.do(stored, tmp_path, f"http://127.0.0.1:{port}")
        own.cluster.kubelet = None  # nobody ends what nobody began
        uids = {pod(own, session, run)["metadata"]["uid"] for session, run in runs.items()}
        clock = asyncio.get_running_loop().time
        own.cluster.fault(lambda request: request.verb not in ("list", "watch") and asked.append(clock()))
        for number in range(3):
            asked.clear()
            await own.do(own.hub.start if number == 0 else own.hub.kill)
            if number:
                await own.do(own.hub.start)
            await until(lambda: len(asked) >= MANY, seconds=30, why="the token of each is looked up")

            async def all_checked() -> bool:
                servers = (await own.do(own.hub.ask, "GET", "users/alice")).json()["servers"]
                return len(servers) == MANY and all(server["ready"] for server in servers.values())

            await until(all_checked, seconds=30)
            assert busiest(asked) <= RATE
            assert set((await own.do(own.hub.statuses)).values()) == {"running"}
        assert {each["metadata"]["uid"] for each in own.cluster.objects("pods", "sessions")} == uids
        assert not [r for r in own.cluster.requests if r.verb in ("create", "delete", "patch")]
