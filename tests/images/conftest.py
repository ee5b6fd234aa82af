"""A live hub on a fake cluster, with a real registry that its users' images lie in."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from time import monotonic
from typing import Any

import httpx
import pytest

from renku_spawner.config.renku import Renku
from renku_spawner.context.app_context import utcnow
from renku_spawner.domain.projects import Project
from renku_spawner.integrations.net.guarded_http import EgressGuard
from renku_spawner.integrations.registry.client import RegistryClient
from tests.cluster.conftest import OnCluster, on_cluster, upstream
from tests.fixtures.ports import free_port
from tests.fixtures.registry import Registry, registry
from tests.fixtures.renku import RenkuHub, renku_hub

__all__ = ["on_cluster", "registry", "renku_hub", "upstream"]

STACKS = {
    "User": "1000",
    "Cmd": ["start-notebook.py"],
    "ExposedPorts": {"8888/tcp": {}},
    "Env": ["JUPYTER_PORT=8888"],
    "Labels": {"org.opencontainers.image.source": "https://github.com/jupyter/docker-stacks"},
}


@dataclass
class WithImages:
    """The hub, its cluster and the registry; time goes on when a test says so."""

    it: OnCluster
    registry: Registry
    passed: float = 0.0

    @property
    def hub(self) -> RenkuHub:
        return self.it.hub

    def listen_to(self, *hosts: str) -> None:
        """Ask registries there, and nobody else; what was known of them is forgotten."""
        renku = Renku.instance()
        client = RegistryClient(
            EgressGuard(plain_http=hosts), ("linux/amd64",), clock=lambda: monotonic() + self.passed
        )
        renku.context = replace(renku.context, registry=client, now=lambda: utcnow() + timedelta(seconds=self.passed))

    def running(self) -> list[str]:
        """The images that sessions run."""
        return [pod["spec"]["containers"][0]["image"] for pod in self.it.pods()]

    def later(self, **time: float) -> None:
        self.passed += timedelta(**time).total_seconds()

    async def add(self, project: Project, image: str, name: str = "alice", **more: Any) -> dict[str, Any]:
        """Add somebody's own image as a session; the answer of the API."""
        said = {"image": image, **more}
        answer = await self.hub.client(name).post(f"api/renku/projects/{project.id}/sessions", json=said)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def session(self, added: dict[str, Any], name: str = "alice") -> dict[str, Any]:
        """The session as the API shows it now."""
        return dict((await self.hub.client(name).get(address(added))).json())

    async def page(self, added: dict[str, Any], name: str = "alice") -> httpx.Response:
        """The session's page; what a registry says is asked for behind it."""
        client = await self.hub.visitor(name)
        project = (await client.get(f"api/renku/projects/{added['project']}")).json()
        return await client.get(f"renku/projects/{project['path']}/-/sessions/{added['id']}")

    async def start(self, added: dict[str, Any], name: str = "alice") -> httpx.Response:
        return await self.hub.client(name).post(f"{address(added)}/start", json={})


def address(added: dict[str, Any]) -> str:
    return f"api/renku/projects/{added['project']}/sessions/{added['id']}"


def silent() -> str:
    """A registry where nobody listens."""
    return f"127.0.0.1:{free_port()}"


@pytest.fixture
async def with_images(
    on_cluster: Callable[..., Awaitable[OnCluster]], registry: Registry
) -> AsyncIterator[Callable[..., Awaitable[WithImages]]]:
    """A function that starts the hub; its arguments change `c.Renku`."""
    clients: list[RegistryClient] = []

    async def make(*hosts: str, **settings: Any) -> WithImages:
        made = WithImages(it=await on_cluster(Renku=settings), registry=registry)
        made.listen_to(registry.host, *hosts)
        client = made.hub.parts.registry
        assert client is not None
        clients.append(client)
        return made

    yield make
    for client in clients:
        await client.close()
