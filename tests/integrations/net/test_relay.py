"""rclone's way out: it asks what we let it ask, and no redirect leads it anywhere."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
import pytest
from aiohttp import web

from renku_spawner.domain.storages import StorageProbeOutcome
from renku_spawner.integrations.net.egress_proxy import EgressProxyFactory
from renku_spawner.integrations.net.guarded_http import EgressGuard
from renku_spawner.integrations.rclone import probe_remote
from tests.fixtures.network import Authority, Network

HOST, ADDRESS = "s3.example.org", "93.184.215.20"
LISTED = "<ListBucketResult><Name>data</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>"
KEYS = {"access_key_id": "AKIA", "secret_access_key": "s3cret"}


class Store:
    """Answers like S3 to one key; `asked` are the hosts and whether the request was signed."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, bool]] = []
        self.moved = ""

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        signed = request.headers.get("Authorization", "")
        self.asked.append((request.host, "SignedHeaders=" in signed and "host;" in signed))
        if self.moved:
            return web.Response(status=307, headers={"Location": self.moved})
        right = "Credential=AKIA/" in signed
        body = LISTED if right else "<Error><Code>InvalidAccessKeyId</Code></Error>"
        return web.Response(text=body, status=200 if right else 403, content_type="application/xml")


@pytest.fixture
async def store(network: Network, authority: Authority) -> AsyncIterator[Store]:
    made = Store()
    async with AsyncExitStack() as stack:
        runner = web.ServerRunner(web.Server(made.answer))
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=authority.server(HOST)).start()
        network.add(HOST, ADDRESS, runner.addresses[0][1])
        yield made


@pytest.fixture
async def relay(network: Network, authority: Authority) -> AsyncIterator[EgressProxyFactory]:
    made = EgressProxyFactory(EgressGuard(resolve=network.resolve), ssl=authority.trust)
    yield made
    await made.close()


def remote(**more: str) -> dict[str, str]:
    return {"type": "s3", "provider": "Other", "env_auth": "false", "endpoint": f"http://{HOST}", **KEYS, **more}


async def test_what_is_signed_for_the_host_is_asked_with_encryption(store: Store, relay: EgressProxyFactory) -> None:
    async with relay.open_proxy() as way:
        assert await probe_remote(remote(), "data", proxy=way.proxy_url) is StorageProbeOutcome.FINE
        assert (
            await probe_remote(remote(access_key_id="AKIB"), "data", proxy=way.proxy_url) is StorageProbeOutcome.DENIED
        )
    assert set(store.asked) == {(HOST, True)}
    assert not way.refused


@pytest.mark.parametrize("target", ["http://127.0.0.1:{port}/", "http://169.254.169.254/latest/meta-data"])
async def test_a_redirect_leads_nowhere(store: Store, relay: EgressProxyFactory, network: Network, target: str) -> None:
    reached = Store()
    runner = web.ServerRunner(web.Server(reached.answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    store.moved = target.format(port=runner.addresses[0][1])
    async with relay.open_proxy() as way:
        assert await probe_remote(remote(), "data", proxy=way.proxy_url) is StorageProbeOutcome.UNREACHABLE
    await runner.cleanup()
    assert store.asked
    assert not reached.asked
    assert {address for address, _ in network.connected} <= {ADDRESS, "127.0.0.1"}


async def test_a_host_with_a_private_address_is_not_asked(relay: EgressProxyFactory, network: Network) -> None:
    network.names[HOST] = [["10.0.0.7"]]
    async with relay.open_proxy() as way:
        assert await probe_remote(remote(), "data", proxy=way.proxy_url) is StorageProbeOutcome.UNREACHABLE
    assert way.refused
    assert not network.connected


async def test_nobody_else_on_the_machine_uses_it(store: Store, relay: EgressProxyFactory) -> None:
    async with relay.open_proxy() as way, aiohttp.ClientSession() as session:
        for proxy in (f"http://127.0.0.1:{way.port}", f"http://rclone:guess@127.0.0.1:{way.port}"):
            async with session.get(f"http://{HOST}/data", proxy=proxy) as response:
                assert response.status == 407
    assert not store.asked
