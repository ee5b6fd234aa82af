"""Clients of a registry on loopback, and what they may connect to."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest

from renku_spawner.integrations.git_server import GitServerClient
from renku_spawner.integrations.net.guarded_http import EgressGuard
from renku_spawner.integrations.registry.client import RegistryClient
from tests.fakes.registry import FakeRegistry
from tests.fixtures.clock import StoppedClock
from tests.fixtures.network import Authority, Network
from tests.fixtures.registry import Registry
from tests.spawners.local.conftest import Upstream

PLATFORMS = ("linux/amd64", "linux/arm64")


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
async def client(registry: Registry, clock: StoppedClock) -> AsyncIterator[RegistryClient]:
    """Asks the real registry, which an admin has listed."""
    made = RegistryClient(EgressGuard(plain_http=[registry.host]), PLATFORMS, clock=clock)
    yield made
    await made.close()


PUBLIC, AUTH, ELSEWHERE = "registry.example.org", "auth.example.net", "cdn.example.com"
ADDRESSES = {PUBLIC: "93.184.215.14", AUTH: "93.184.215.15", ELSEWHERE: "93.184.215.16"}


@pytest.fixture
async def fakes(network: Network, authority: Authority) -> AsyncIterator[dict[str, FakeRegistry]]:
    """Three hosts on the internet of the tests, with valid certificates."""
    async with contextlib.AsyncExitStack() as stack:
        made = {}
        for name, address in ADDRESSES.items():
            made[name] = await stack.enter_async_context(FakeRegistry(authority.server(name)))
            network.add(name, address, made[name].port)
        yield made


@pytest.fixture
def fake(fakes: dict[str, FakeRegistry]) -> FakeRegistry:
    """The one of the three that images are asked of."""
    return fakes[PUBLIC]


@pytest.fixture
async def asking(
    network: Network, authority: Authority, clock: StoppedClock
) -> AsyncIterator[Callable[..., RegistryClient]]:
    """Makes clients that know the tests' names and authority, with any hosts listed and any credentials."""
    async with contextlib.AsyncExitStack() as stack:

        def make(*, credentials: Mapping[str, tuple[str, str]] | None = None, **listed: Any) -> RegistryClient:
            guard = EgressGuard(resolve=network.resolve, **listed)
            client = RegistryClient(guard, PLATFORMS, credentials=credentials, ssl=authority.trust, clock=clock)
            stack.push_async_callback(client.close)
            return client

        yield make


@pytest.fixture
async def loopback(upstream: Upstream) -> AsyncIterator[GitServerClient]:
    """May connect to the real git server of the test, as to one that an admin has listed."""
    host = upstream.server.url.removeprefix("http://")
    servers = GitServerClient(EgressGuard(hosts=[host], plain_http=[host]))
    yield servers
    await servers.close()


@pytest.fixture
async def servers(network: Network, authority: Authority) -> AsyncIterator[GitServerClient]:
    """May connect to the internet of the tests."""
    made = GitServerClient(EgressGuard(resolve=network.resolve), ssl=authority.trust)
    yield made
    await made.close()
