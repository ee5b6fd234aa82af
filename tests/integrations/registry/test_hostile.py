"""Hostile registries, seen at the socket."""

import asyncio
import gzip
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable

import pytest

from renku_spawner.domain.images import ImageReference
from renku_spawner.integrations.net.errors import (
    ConnectionNotAllowed,
    ImageAccessDenied,
    ImageNotFound,
    RemoteError,
    RemoteUnreachable,
)
from renku_spawner.integrations.registry.client import RegistryClient
from tests.fakes.registry import FakeRegistry, Reply, Request
from tests.fixtures import images
from tests.fixtures.clock import StoppedClock
from tests.fixtures.fair import Stopwatch
from tests.fixtures.network import Authority, Network
from tests.integrations.registry.conftest import ADDRESSES, AUTH, ELSEWHERE, PUBLIC

Asking = Callable[..., RegistryClient]
IMAGE = ImageReference(repository=f"{PUBLIC}/x", tag="latest")
FORBIDDEN = {
    "H31": "127.0.0.1:8081",
    "H31 default port": "127.0.0.1",
    "H32": "localhost:8001",
    "H32 default port": "localhost",
    "H33": "169.254.169.254",
    "H34": "10.96.0.1",
    "H34 office": "192.168.1.1",
    "H34 carrier": "100.64.0.1",
    "H34 benchmark": "198.18.0.1",
    "H34 documentation": "192.0.2.1",
    "H34 multicast": "224.0.0.1",
    "H34 broadcast": "255.255.255.255",
    "H34 any": "0.0.0.0",
    "H34 azure": "168.63.129.16",
    "H35": "[::1]:5000",
    "H35 default port": "[::1]",
    "H35 unique local": "[fd00:ec2::254]",
    "H35 link local": "[fe80::1]",
    "H36": "[::ffff:169.254.169.254]",
    "H36 mapped public": "[::ffff:93.184.215.14]",
    "H36 compatible": "[::7f00:1]",
    "H36 nat64": "[64:ff9b::a00:1]",
    "H36 6to4": "[2002:7f00:1::1]",
    "H36 teredo": "[2001:0:a00:1::1]",
    "H36 documentation": "[2001:db8::1]",
    "H37": "kubernetes.default.svc",
    "H37 whole": "kubernetes.default.svc.cluster.local",
    "H37 bus": "printer.local",
    "H37 cloud": "metadata.google.internal",
    "H38": "hub:8081",
    "H38 default port": "hub",
    "H39 hexadecimal": "0x7f000001",
    "H39 hexadecimal parts": "0x7f.0x0.0x0.0x1",
    "H39 decimal": "2130706433",
    "H39 octal": "0177.0.0.1",
    "H39 short": "127.1",
    "H39 circled": "①②⑦.0.0.1",
    "H39 full width": "\uff11\uff12\uff17.0.0.1",
    "H39 trailing dot": "127.0.0.1.",
    "H39 trailing dot of a name": "localhost.",
    "other port": f"{PUBLIC}:8443",
    "no port": f"{PUBLIC}:99999",
    "user": f"me@{PUBLIC}",
    "zone": "[fe80::1%25eth0]",
}
SOMEWHERE_ELSE = (
    "http://169.254.169.254/",
    "https://169.254.169.254/",
    "https://10.0.0.1/token",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "http://127.0.0.1:8001/",
    "https://127.0.0.1/",
    "https://localhost/",
    "https://hub:8081/",
    f"http://{ELSEWHERE}/",
    f"https://{ELSEWHERE}:8443/",
    f"https://user:secret@{ELSEWHERE}/",
    f"https://user@{ELSEWHERE}/",
    "file:///etc/passwd",
    "ftp://cdn.example.com/x",
    "gopher://cdn.example.com/x",
    "javascript:alert(1)",
)


def bearer(realm: str, **more: str) -> Reply:
    parts = {"realm": realm, "service": "s", "scope": "repository:x:pull", **more}
    return Reply(401, {"WWW-Authenticate": "Bearer " + ",".join(f'{k}="{v}"' for k, v in parts.items())})


@pytest.mark.parametrize("host", FORBIDDEN.values(), ids=FORBIDDEN)
async def test_no_connection_leads_inside(host: str, asking: Asking, network: Network) -> None:
    with pytest.raises(ConnectionNotAllowed):
        await asking().inspect_image(ImageReference(repository=f"{host}/x", tag="latest"))
    assert (network.connected, network.looked_up) == ([], [])


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "::1",
        "fe80::1%eth0",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
    ],
)
async def test_a_public_name_with_a_private_address_is_refused(address: str, asking: Asking, network: Network) -> None:
    network.names[PUBLIC] = [[address]]
    with pytest.raises(ConnectionNotAllowed):
        await asking().inspect_image(IMAGE)
    assert network.connected == []


async def test_h40_a_name_that_changes_its_mind_gets_one_connection(
    asking: Asking, network: Network, fake: FakeRegistry
) -> None:
    fake.put("x", "latest", images.image())
    network.names[PUBLIC] = [[ADDRESSES[PUBLIC]], ["10.0.0.1"]]
    client = asking()
    await client.resolve_manifest(IMAGE)
    assert network.looked_up == [PUBLIC]
    with pytest.raises(ConnectionNotAllowed):
        await client.inspect_image(IMAGE)
    assert network.connected == [(ADDRESSES[PUBLIC], 443)]


async def test_h40_of_several_addresses_only_public_ones_are_used(
    asking: Asking, network: Network, fake: FakeRegistry
) -> None:
    fake.put("x", "latest", images.image())
    network.names[PUBLIC] = [["10.0.0.1", ADDRESSES[PUBLIC], "::1"]]
    await asking().inspect_image(IMAGE)
    assert set(network.connected) == {(ADDRESSES[PUBLIC], 443)}


@pytest.mark.parametrize("target", [*SOMEWHERE_ELSE, "//127.0.0.1/x", "https://", "https://[", "http:\\\\127.0.0.1\\"])
async def test_h41_a_redirect_inside_is_not_followed(
    target: str, asking: Asking, network: Network, fake: FakeRegistry
) -> None:
    fake.answer = lambda _: Reply(302, {"Location": target})
    with pytest.raises((ConnectionNotAllowed, RemoteUnreachable)):
        await asking().inspect_image(IMAGE)
    assert set(network.connected) == {(ADDRESSES[PUBLIC], 443)}


@pytest.mark.parametrize("realm", [*SOMEWHERE_ELSE, "", "/token", "https://", "https://[", "https://a\tb.example.org/"])
async def test_h42_h43_a_realm_inside_is_not_asked(
    realm: str, asking: Asking, network: Network, fake: FakeRegistry
) -> None:
    fake.answer = lambda _: bearer(realm)
    with pytest.raises((ConnectionNotAllowed, RemoteUnreachable)):
        await asking().inspect_image(IMAGE)
    assert network.connected == [(ADDRESSES[PUBLIC], 443)]


async def test_h43_a_realm_cannot_smuggle_a_line(asking: Asking, network: Network, fake: FakeRegistry) -> None:
    fake.answer = lambda _: bearer("https://auth.example.net/\r\nX-Evil: 1")
    with pytest.raises(RemoteError):
        await asking().inspect_image(IMAGE)
    fake.answer = lambda _: bearer("https://auth.example.net/%0d%0aX-Evil:1", service="a%0d%0ab")
    with pytest.raises(RemoteError):
        await asking().inspect_image(ImageReference(repository=f"{PUBLIC}/y", tag="latest"))


@pytest.mark.parametrize("trusted", [False, True])
async def test_h44_a_realm_elsewhere_gives_a_token_and_sees_no_credentials(
    trusted: bool, asking: Asking, fakes: dict[str, FakeRegistry]
) -> None:
    fake, auth = fakes[PUBLIC], fakes[AUTH]
    fake.put("x", "latest", images.image())
    fake.answer = lambda asked: (
        fake.stored(asked) if asked.headers.get("authorization") == "Bearer t" else bearer(f"https://{AUTH}/token?a=1")
    )
    auth.answer = lambda _: Reply(body=b'{"access_token": "t", "expires_in": 300}')
    client = asking(credentials={PUBLIC: ("admin", "hunter2")})
    assert (await client.inspect_image(IMAGE, trusted=trusted)).platform == "linux/amd64"
    assert [asked.target for asked in auth.requests] == ["/token?a=1&scope=repository:x:pull&service=s"]
    assert "authorization" not in auth.requests[0].headers
    assert {asked.headers.get("authorization") for asked in fake.requests} == {None, "Bearer t"}


async def drip() -> AsyncIterator[bytes]:
    while True:
        yield b"x"
        await asyncio.sleep(1)


async def flood() -> AsyncIterator[bytes]:
    for _ in range(1 << 14):  # a gigabyte
        yield b"x" * (1 << 16)


def manifest(**changed: object) -> Callable[[FakeRegistry], None]:
    """Answer the manifest, by tag or by digest, with something else."""

    def change(fake: FakeRegistry) -> None:
        top = fake.put("x", "latest", images.image())
        good = fake.documents[f"/v2/x/manifests/{top}"]
        fields = {"status": good.status, "headers": good.headers, "body": good.body, "parts": None, **changed}
        fake.answer = lambda asked: (
            Reply(**fields) if asked.method == "GET" and "/manifests/" in asked.path else fake.stored(asked)  # type: ignore[arg-type]
        )

    return change


def tag(reply: Reply) -> Callable[[FakeRegistry], None]:
    def change(fake: FakeRegistry) -> None:
        fake.put("x", "latest", images.image())
        fake.answer = lambda asked: reply if asked.path.endswith("/manifests/latest") else fake.stored(asked)

    return change


def blob(reply: Reply) -> Callable[[FakeRegistry], None]:
    def change(fake: FakeRegistry) -> None:
        fake.put("x", "latest", images.image())
        fake.answer = lambda asked: reply if "/blobs/" in asked.path else fake.stored(asked)

    return change


BOMB = gzip.compress(b" " * (1 << 28))
HTML = {"Content-Type": "text/html"}
UNREADABLE = {
    "a gigabyte": manifest(parts=flood),
    "a gigabyte, announced": manifest(headers={"Content-Length": str(1 << 30)}, parts=flood),
    "a gigabyte for a blob": blob(Reply(parts=flood)),
    "a bomb": manifest(headers={"Content-Encoding": "gzip"}, body=BOMB),
    "half a bomb": manifest(headers={"Content-Encoding": "gzip"}, body=BOMB[:100]),
    "a bomb of another kind": manifest(headers={"Content-Encoding": "br"}, body=BOMB),
    "no gzip": manifest(headers={"Content-Encoding": "gzip"}, body=b"{}"),
    "another document": manifest(body=b"{}"),
    "another blob": blob(Reply(body=b"{}")),
    "html": tag(Reply(headers=HTML)),
    "html with a digest": tag(Reply(headers={**HTML, "Docker-Content-Digest": "sha256:" + "0" * 64})),
    "another digest": tag(Reply(headers={"Docker-Content-Digest": "sha256:" + "1" * 64})),
    "no digest": tag(Reply(headers={"Docker-Content-Digest": "sha256:../../etc"})),
    "a page to go to": tag(Reply(302, {"Location": "https://registry.example.org/v2/x/manifests/latest"})),
    "server error": tag(Reply(500)),
    "too many requests": tag(Reply(429, {"Retry-After": "99999999999999999999"})),
    "teapot": tag(Reply(418)),
    "a challenge that nobody can read": tag(Reply(401, {"WWW-Authenticate": 'Bearer realm="'})),
}


@pytest.mark.parametrize("first", ["resolve_manifest", "inspect_image"])
@pytest.mark.parametrize("hostile", UNREADABLE.values(), ids=UNREADABLE)
async def test_h45_nonsense_is_no_answer_and_takes_no_memory(
    hostile: Callable[[FakeRegistry], None], first: str, asking: Asking, fake: FakeRegistry
) -> None:
    hostile(fake)
    client = asking()
    tracemalloc.start()
    try:
        before, took = tracemalloc.get_traced_memory()[0], Stopwatch()
        with pytest.raises(RemoteUnreachable):
            await getattr(client, first)(IMAGE)
            await client.inspect_image(IMAGE)
        assert tracemalloc.get_traced_memory()[1] - before < 32 << 20
    finally:
        tracemalloc.stop()
    assert took() < 10


async def test_h45_only_three_redirects_are_followed(asking: Asking, fake: FakeRegistry) -> None:
    turns = iter(range(100))
    fake.answer = lambda _: Reply(307, {"Location": f"/v2/x/manifests/{next(turns)}"})
    with pytest.raises(RemoteUnreachable, match="redirected too many times"):
        await asking().inspect_image(IMAGE)
    assert [asked.path for asked in fake.requests] == [f"/v2/x/manifests/{n}" for n in ("latest", 0, 1, 2)]


async def test_h45_a_registry_that_takes_its_time_gets_ten_seconds(
    asking: Asking, network: Network, fakes: dict[str, FakeRegistry]
) -> None:
    async def never(_: Request) -> Reply:
        await asyncio.sleep(60)
        return Reply()

    fakes[PUBLIC].answer = never
    manifest(parts=drip)(fakes[ELSEWHERE])

    async def seconds(host: str) -> tuple[float, float]:
        """By the clock on the wall, and fairly."""
        begun, took = time.monotonic(), Stopwatch()
        with pytest.raises(RemoteUnreachable):
            await asking().inspect_image(ImageReference(repository=f"{host}/x", tag="latest"))
        return time.monotonic() - begun, took()

    async with FakeRegistry() as silent:  # does not answer to a greeting in TLS
        network.add("silent.example.org", "93.184.215.99", silent.port)
        slow, dripping, deaf = await asyncio.gather(*map(seconds, (PUBLIC, ELSEWHERE, "silent.example.org")))
    for wall, fair in (slow, dripping):
        assert wall > 9
        assert fair < 12
    assert deaf[1] < 8, "no TLS within three seconds"


@pytest.mark.parametrize("wrong", ["unknown authority", "another name", "expired"])
async def test_h45_a_certificate_must_be_valid(
    wrong: str, asking: Asking, network: Network, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> None:
    issuer = Authority(tmp_path_factory.mktemp("stranger")) if wrong == "unknown authority" else authority
    context = issuer.server(ELSEWHERE if wrong == "another name" else PUBLIC, expired=wrong == "expired")
    async with FakeRegistry(context) as fake:
        network.add(PUBLIC, ADDRESSES[PUBLIC], fake.port)
        with pytest.raises(RemoteUnreachable, match="certificate"):
            await asking().inspect_image(IMAGE)
    assert fake.requests == []


@pytest.mark.parametrize(
    ("status", "host", "expected"),
    [
        (401, PUBLIC, ImageAccessDenied),
        (403, PUBLIC, ImageAccessDenied),
        (404, PUBLIC, ImageNotFound),
        (401, "docker.io", ImageNotFound),
        (403, "docker.io", ImageAccessDenied),
        (400, PUBLIC, RemoteUnreachable),
    ],
)
async def test_a_refusal_is_told_apart_from_an_absence(
    status: int, host: str, expected: type[RemoteError], asking: Asking, network: Network, authority: Authority
) -> None:
    async with FakeRegistry(authority.server(PUBLIC, "registry-1.docker.io")) as fake:
        for name in (PUBLIC, "registry-1.docker.io"):
            network.add(name, ADDRESSES[PUBLIC], fake.port)
        fake.answer = lambda _: Reply(status)
        with pytest.raises(expected):
            await asking().inspect_image(ImageReference(repository=f"{host}/library/x", tag="latest"))
        assert fake.requests[0].headers["host"] == ("registry-1.docker.io" if host == "docker.io" else PUBLIC)


async def test_a_registry_that_keeps_failing_is_left_alone_for_a_while(
    asking: Asking, fake: FakeRegistry, clock: StoppedClock
) -> None:
    fake.answer = lambda _: Reply(503)
    client = asking()
    for _ in range(9):
        with pytest.raises(RemoteUnreachable):
            await client.resolve_manifest(IMAGE)
    assert len(fake.requests) == 5
    clock.now += 16
    assert client.get_host_outages() == {}, "anybody may have named that host"
    for _ in range(2):
        with pytest.raises(RemoteUnreachable):
            await client.resolve_manifest(IMAGE)
    assert len(fake.requests) == 6, "one try"
    clock.now += 16
    fake.answer = fake.stored
    fake.put("x", "latest", images.image())
    await client.inspect_image(IMAGE)


async def test_a_registry_of_the_admins_is_known_to_be_away_until_it_answers(
    asking: Asking, fake: FakeRegistry, clock: StoppedClock
) -> None:
    fake.answer = lambda _: Reply(503)
    client = asking()
    for seconds in (None, None, None, None, 40):
        with pytest.raises(RemoteUnreachable):
            await client.resolve_manifest(IMAGE, trusted=True)
        assert list(client.get_host_outages().values()) == [seconds]
        clock.now += 10
    clock.now += 6
    fake.answer = fake.stored
    fake.put("x", "latest", images.image())
    await client.resolve_manifest(IMAGE, trusted=True)
    assert list(client.get_host_outages().values()) == [None]
