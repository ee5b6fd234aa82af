"""A hub in a process of its own whose sessions are pods of a cluster that lives here, so that the hub can be killed."""

import asyncio
import base64
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.kube import FakeCluster
from tests.fakes.process_kubelet import ProcessKubelet
from tests.faults.own_hub import OwnHub
from tests.fixtures.renku import TINY

Object = dict[str, Any]
CONFIG = """
from renku_spawner import RenkuSpawner

c.JupyterHub.spawner_class = RenkuSpawner
c.RenkuSpawner.namespace = "sessions"
c.RenkuSpawner.cmd = {cmd!r}
c.RenkuSpawner.poll_interval = 1
c.RenkuSpawner.environment = {{"PATH": "/bin:/usr/bin"}}
"""


def kubeconfig(cluster: FakeCluster) -> str:
    return json.dumps(
        {
            "current-context": "fake",
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "hub"}}],
            "clusters": [{"name": "fake", "cluster": {"server": cluster.url}}],
            "users": [{"name": "hub", "user": {"token": "hub-token"}}],
        }
    )


class Own:
    """The hub, asked without keeping the cluster from its work; sessions by title."""

    def __init__(self, hub: OwnHub, cluster: FakeCluster, kubelet: ProcessKubelet) -> None:
        self.hub, self.cluster, self.kubelet = hub, cluster, kubelet
        self.project = ""
        self.ids: dict[str, str] = {}

    async def do(self, what: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        return await asyncio.to_thread(what, *arguments, **more)

    async def session(self, title: str = "Explore", **variables: str) -> str:
        self.project = self.project or await self.do(self.hub.project)
        self.ids[title] = await self.do(self.hub.session, self.project, title, **variables)
        return self.ids[title]

    async def act(self, title: str, action: str) -> None:
        await self.do(self.hub.act, self.project, self.ids[title], action)

    async def started(self, title: str = "Explore", **variables: str) -> str:
        found = await self.session(title, **variables)
        await self.act(title, "start")
        return found

    async def become(self, statuses: dict[str, str], seconds: float = 30) -> None:
        await self.do(self.hub.become, statuses, seconds=seconds)

    async def restart(self) -> None:
        await self.do(self.hub.kill)
        await self.do(self.hub.start)

    def signal(self, way: str) -> None:
        """Let the hub end by `kill` (SIGKILL) or `stop` (SIGTERM), without waiting until it has."""
        assert self.hub.process is not None
        os.kill(self.hub.process.pid, signal.SIGKILL if way == "kill" else signal.SIGTERM)

    async def end_hub(self, way: str) -> None:
        self.signal(way)
        assert self.hub.process is not None
        await self.do(self.hub.process.wait, 60)

    # ---- what the cluster has ---------------------------------------------------------------------

    def of(self, resource: str, title: str) -> list[Object]:
        found = self.cluster.objects(resource, "sessions")
        return [each for each in found if self.ids[title] in str(each["metadata"].get("labels"))]

    def pods(self, title: str = "Explore") -> list[Object]:
        return self.of("pods", title)

    def claims(self, title: str = "Explore") -> list[Object]:
        return self.of("persistentvolumeclaims", title)

    def creates(self, title: str, resource: str = "pods") -> list[Any]:
        asked = self.asks("create", resource, title)
        return [request for request in self.cluster.requests if asked(request)]

    def asks(self, verb: str, resource: str, title: str) -> Callable[[Any], bool]:
        """Whether a request is that one of that session."""

        def it(request: Any) -> bool:
            if (request.verb, request.resource) != (verb, resource):
                return False
            return self.ids[title] in str(request.body) or any(
                request.name == each["metadata"]["name"] for each in self.of(resource, title)
            )

        return it

    def token(self, title: str = "Explore") -> str:
        (secret,) = self.of("secrets", title)
        return base64.b64decode(secret["data"]["JUPYTERHUB_API_TOKEN"]).decode()

    async def knows(self, token: str) -> bool:
        return bool((await self.do(self.hub.ask, "GET", "user", token=token)).status_code == 200)


@asynccontextmanager
async def own_hub(
    folder: Path, patch: pytest.MonkeyPatch, config: str = CONFIG, *, plain: bool = False, start: bool = True
) -> AsyncIterator[Own]:
    """A hub in *folder*, running unless it is to be started later; a *plain* one knows nothing of Renku."""
    async with FakeCluster(speed=20) as cluster:
        kubelet = ProcessKubelet(cluster, folder / "machine")
        kubelet.entrypoint = ["/usr/bin/env"]
        (folder / "kubeconfig").write_text(kubeconfig(cluster))
        patch.setenv("KUBECONFIG", str(folder / "kubeconfig"))
        tiny = [os.path.realpath(sys.executable), "-I", shutil.copy(TINY[-1], folder)]
        hub = OwnHub(folder, stop_grace=1)
        usual = hub.config.read_text().splitlines()
        kept = [line for line in usual if not plain or not ("enku" in line or "install" in line)]
        changes = config.format(cmd=tiny)
        hub.config.write_text(
            "\n".join([*kept, changes] if plain else [changes if line == "install(c)" else line for line in kept])
            + ("" if plain else "\ninstall(c)\n")
        )
        try:
            if start:
                await asyncio.to_thread(hub.start)
            yield Own(hub, cluster, kubelet)
        finally:
            await asyncio.to_thread(hub.end)


@asynccontextmanager
async def answering(pod: Object, first: Callable[[], None] = lambda: None) -> AsyncIterator[None]:
    """Somebody who answers over HTTP at the address of a pod whose life is only told, after *first* is done."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        first()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    port = pod["spec"]["containers"][0]["ports"][0]["containerPort"]
    async with await asyncio.start_server(answer, pod["status"]["podIP"], port):
        yield
