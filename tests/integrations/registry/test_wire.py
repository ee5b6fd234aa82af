"""What happens on the way: proxies, cookies, connections that break, and who waits for whom."""

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from renku_spawner.domain.images import ImageReference
from renku_spawner.integrations.net import guarded_http
from renku_spawner.integrations.net.cache import TTLCache
from renku_spawner.integrations.net.errors import ConnectionNotAllowed, RemoteUnreachable
from renku_spawner.integrations.net.guarded_http import EgressGuard
from renku_spawner.integrations.registry.client import RegistryClient
from tests.fakes.registry import FakeRegistry, Reply, Request
from tests.fixtures import images, sessions
from tests.fixtures.clock import StoppedClock
from tests.fixtures.network import Authority, Network
from tests.integrations.registry.conftest import ADDRESSES, PLATFORMS, PUBLIC

Asking = Callable[..., RegistryClient]
IMAGE = ImageReference(repository=f"{PUBLIC}/x", tag="latest")


async def test_an_egress_proxy_is_all_that_is_connected_to(
    asking: Asking, network: Network, fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    fake.put("x", "latest", images.image())
    asked = []

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        there, back = await asyncio.open_connection("127.0.0.1", fake.port)
        await asyncio.gather(_copy(reader, back), _copy(there, writer))

    async with await asyncio.start_server(tunnel, "127.0.0.1", 0) as proxy:
        port = proxy.sockets[0].getsockname()[1]
        network.names = {"proxy": [["127.0.0.1"]]}
        client = asking(proxy=f"http://proxy:{port}")
        assert (await client.inspect_image(IMAGE)).platform == "linux/amd64"
        assert set(asked) == {f"CONNECT {PUBLIC}:443 HTTP/1.1".encode()}
        assert set(network.looked_up) == {"proxy"}
        with pytest.raises(ConnectionNotAllowed):
            await client.resolve_manifest(ImageReference(repository=f"proxy:{port}/x", tag="latest"))
        await client.close()
    assert set(network.connected) == {("127.0.0.1", port), ("127.0.0.1", fake.port)}


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while part := await reader.read(1 << 16):
            writer.write(part)
            await writer.drain()
    writer.close()


@pytest.mark.parametrize("proxy", ["https://proxy:3128", "proxy:3128", "socks5://proxy:1", "http://"])
def test_another_kind_of_proxy_stops_the_hub(proxy: str) -> None:
    with pytest.raises(ValueError, match="proxy"):
        EgressGuard(proxy=proxy)


async def test_the_environments_proxy_and_cookies_are_left_alone(
    asking: Asking, network: Network, fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    fake.put("x", "latest", images.image())
    for path, reply in fake.documents.items():
        fake.documents[path] = Reply(reply.status, {**reply.headers, "Set-Cookie": "a=b; Path=/"}, reply.body)
    await asking().inspect_image(IMAGE)
    assert set(network.connected) == {(ADDRESSES[PUBLIC], 443)}
    assert not any("cookie" in asked.headers for asked in fake.requests)


async def test_a_connection_that_breaks_is_tried_once_more(asking: Asking, fake: FakeRegistry) -> None:
    fake.put("x", "latest", images.image())
    broken = [1]

    def answer(asked: Request) -> Reply:
        if broken:
            broken.pop()
            raise ConnectionResetError
        return fake.stored(asked)

    fake.answer = answer
    await asking().resolve_manifest(IMAGE)
    assert [asked.method for asked in fake.requests] == ["HEAD", "HEAD"]
    broken.extend([1, 1])
    with pytest.raises(RemoteUnreachable):
        await asking().resolve_manifest(IMAGE)
    assert len(fake.requests) == 4


async def test_who_leaves_takes_the_answer_from_nobody(asking: Asking, fake: FakeRegistry) -> None:
    fake.put("x", "latest", images.image())
    arrived, go = asyncio.Event(), asyncio.Event()

    async def answer(asked: Request) -> Reply:
        arrived.set()
        await go.wait()
        return fake.stored(asked)

    fake.answer = answer
    client = asking()
    first, second = (asyncio.create_task(client.resolve_manifest(IMAGE)) for _ in range(2))
    await asyncio.wait_for(arrived.wait(), 60)
    first.cancel()
    go.set()
    assert (await second).digest
    assert first.cancelled()
    assert len(fake.requests) == 1


async def test_closing_ends_what_is_under_way(asking: Asking, fake: FakeRegistry) -> None:
    arrived = asyncio.Event()

    async def answer(_: Request) -> Reply:
        arrived.set()
        await asyncio.sleep(60)
        return Reply()

    fake.answer = answer
    client = asking()
    waiting = asyncio.create_task(client.resolve_manifest(IMAGE))
    await asyncio.wait_for(arrived.wait(), 60)
    await client.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_name_server_that_hangs_is_no_answer(monkeypatch: pytest.MonkeyPatch, authority: Authority) -> None:
    async def hang(_host: str, _port: int) -> list[str]:
        await asyncio.sleep(60)
        return []

    monkeypatch.setattr(guarded_http, "DNS_LOOKUP_TIMEOUT_SECONDS", 0.05)
    client = RegistryClient(EgressGuard(resolve=hang), PLATFORMS, ssl=authority.trust)
    with pytest.raises(RemoteUnreachable, match="looked up"):
        await client.resolve_manifest(IMAGE)
    await client.close()


async def test_a_registry_that_does_not_know_head_is_read(asking: Asking, fake: FakeRegistry) -> None:
    digest = fake.put("x", "latest", images.image())
    for path, reply in fake.documents.items():
        fake.documents[path] = Reply(body=reply.body, headers={"Content-Type": reply.headers.get("Content-Type", "")})
    client = asking()
    assert (await client.resolve_manifest(IMAGE)).digest == (await client.inspect_image(IMAGE)).digest == digest
    assert [asked.method for asked in fake.requests] == ["HEAD", "GET", "GET"]


def test_a_cache_forgets_the_least_used_and_the_oldest() -> None:
    clock = StoppedClock()
    cache: TTLCache[int] = TTLCache(2, clock)
    cache.put("a", 1)
    cache.put("b", 2, seconds=5)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert (cache.get("a"), cache.get("b"), cache.get("c"), len(cache)) == (1, None, 3, 2)
    cache.put("d", 4, seconds=5)
    clock.now += 6
    assert (cache.get("d"), cache.get("c"), len(cache)) == (None, 3, 1)


async def test_who_asks_while_the_hub_ends_is_refused_and_no_session_is_left_open(asking: Asking) -> None:
    client = asking()
    await client._wire.close()
    with pytest.raises(RemoteUnreachable, match="the hub shuts down"):
        await client.inspect_image(IMAGE)
    assert sessions.left_open() == []
