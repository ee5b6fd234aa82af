"""Tokens and passwords: who is asked for them, who gets them, and who never does."""

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from yarl import URL

from renku_spawner.domain.images import ImageReference
from renku_spawner.integrations.net.errors import ImageAccessDenied, ImageNotFound, RemoteUnreachable
from renku_spawner.integrations.net.guarded_http import EgressGuard
from renku_spawner.integrations.registry.client import RegistryClient
from renku_spawner.integrations.registry.login import load_registry_credentials
from tests.fakes.registry import FakeRegistry, Reply, Request
from tests.fixtures import images
from tests.fixtures.clock import StoppedClock
from tests.fixtures.network import DAY, Authority, Network
from tests.fixtures.registry import Registry
from tests.fixtures.registry import run as run_registry
from tests.integrations.registry.conftest import ADDRESSES, ELSEWHERE, PLATFORMS, PUBLIC

Asking = Callable[..., RegistryClient]
SECRET = ("admin", "open sesame")
HTPASSWD = "admin:$2y$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW\n"
BASIC = "Basic " + base64.b64encode(b"admin:open sesame").decode()
IMAGE = ImageReference(repository=f"{PUBLIC}/x", tag="latest")


@contextlib.asynccontextmanager
async def closing(client: RegistryClient) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await client.close()


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A real registry that wants a password."""
    folder = tmp_path_factory.mktemp("locked")
    (folder / "htpasswd").write_text(HTPASSWD)
    auth = {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}
    with run_registry(folder, auth=auth, login=httpx.BasicAuth(*SECRET)) as registry:
        registry.push("private", sbom=images.spdx({"numpy": "2"}))
        yield registry


async def test_an_admins_image_is_asked_for_with_the_password(locked: Registry) -> None:
    image = ImageReference(repository=f"{locked.host}/private", tag="latest")
    client = RegistryClient(EgressGuard(plain_http=[locked.host]), PLATFORMS, credentials={locked.host: SECRET})
    async with closing(client):
        facts = await client.inspect_image(image, trusted=True)
        assert facts.platform == "linux/amd64"
        assert await client.fetch_sbom(image, facts.digest, trusted=True)
        assert [line for line in locked.requests("private") if line.endswith("401")].count(
            "GET /v2/private/manifests/latest 401"
        ) == 1, "the password is shown at once to who has asked for it"
        with pytest.raises(ImageAccessDenied):
            await client.inspect_image(image)
        with pytest.raises(ImageAccessDenied):
            await client.inspect_image(ImageReference(repository=image.repository, digest=facts.digest))
        with pytest.raises(ImageAccessDenied):
            await client.fetch_sbom(image, facts.digest)


@pytest.mark.parametrize("challenge", ['Basic realm="x"', f'Bearer realm="https://{PUBLIC}/token"'])
async def test_no_password_leaves_for_an_image_that_somebody_has_pasted(
    challenge: str, asking: Asking, fake: FakeRegistry
) -> None:
    fake.answer = lambda asked: (
        Reply(401, {"WWW-Authenticate": challenge}) if asked.path != "/token" else Reply(body=b'{"token": "t"}')
    )
    client = asking(credentials={PUBLIC: SECRET})
    with pytest.raises(ImageAccessDenied):
        await client.inspect_image(IMAGE)
    assert not any("Basic" in asked.headers.get("authorization", "") for asked in fake.requests)
    with pytest.raises(ImageAccessDenied):
        await client.inspect_image(IMAGE, trusted=True)
    assert any(asked.headers.get("authorization") == BASIC for asked in fake.requests), "the test can fail"


@pytest.mark.parametrize("scheme", ["basic", "bearer"])
async def test_what_opens_a_registry_does_not_follow_a_redirect(
    scheme: str, asking: Asking, fakes: dict[str, FakeRegistry]
) -> None:
    fake, cdn = fakes[PUBLIC], fakes[ELSEWHERE]
    for each in (fake, cdn):
        each.put("x", "latest", images.image())
    known = {"basic": BASIC, "bearer": "Bearer t"}[scheme]
    wanted = {"basic": 'Basic realm="x"', "bearer": f'Bearer realm="https://{PUBLIC}/token"'}[scheme]

    def answer(asked: Request) -> Reply:
        if asked.path == "/token":
            return Reply(body=b'{"token": "t"}')
        if asked.headers.get("authorization") != known:
            return Reply(401, {"WWW-Authenticate": wanted})
        if "/blobs/" in asked.path:
            return Reply(307, {"Location": f"https://{ELSEWHERE}{asked.path}?signed=a%2Fb%20c"})
        return fake.stored(asked)

    fake.answer = answer
    await asking(credentials={PUBLIC: SECRET, ELSEWHERE: ("other", "secret")}).inspect_image(IMAGE, trusted=True)
    assert [asked.target.partition("?")[2] for asked in cdn.requests] == ["signed=a%2Fb%20c"]
    assert [asked.headers.get("authorization") for asked in cdn.requests] == [None]


@pytest.mark.parametrize("trusted", [False, True])
async def test_docker_hub_is_several_hosts_of_one_house(
    trusted: bool, asking: Asking, network: Network, authority: Authority
) -> None:
    async with FakeRegistry(authority.server("registry-1.docker.io", "auth.docker.io")) as hub:
        for name in ("registry-1.docker.io", "auth.docker.io"):
            network.add(name, ADDRESSES[PUBLIC], hub.port)
        hub.put("library/nginx", "latest", images.image())
        realm = 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a,b:pull"'
        tokens = {"/v2/library/nginx/": "Bearer t", "/v2/library/absent/": "nothing opens it"}

        def answer(asked: Request) -> Reply:
            if asked.path == "/token":
                return Reply(body=b'{"token": "t", "expires_in": 300}')
            opens = tokens[asked.path.partition("manifests")[0].partition("blobs")[0]]
            known = asked.headers.get("authorization") == opens
            return hub.stored(asked) if known else Reply(401, {"WWW-Authenticate": realm})

        hub.answer = answer
        client = asking(credentials={"docker.io": SECRET})
        await client.inspect_image(ImageReference(repository="docker.io/library/nginx", tag="latest"), trusted=trusted)
        asked = [(a.headers["host"].partition(".")[0], a.method) for a in hub.requests]
        assert asked == [("registry-1", "GET"), ("auth", "GET"), *[("registry-1", "GET")] * 2]
        token = hub.requests[1]
        assert token.headers.get("authorization") == (BASIC if trusted else None)
        scope = "repository:library/nginx:pull" if trusted else "repository:a,b:pull"
        assert dict(URL(token.target).query) == {"service": "registry.docker.io", "scope": scope}
        with pytest.raises(ImageNotFound, match="or it is private"):
            await client.resolve_manifest(
                ImageReference(repository="docker.io/library/absent", tag="latest"), trusted=trusted
            )


async def test_a_token_is_used_until_it_ends(asking: Asking, fake: FakeRegistry, clock: StoppedClock) -> None:
    fake.put("x", "a", images.image())
    fake.put("x", "b", images.image(created="2025-01-01T00:00:00Z"))
    made = iter(range(100))

    def answer(asked: Request) -> Reply:
        if asked.path == "/token":
            return Reply(body=json.dumps({"token": f"t{next(made)}", "expires_in": 100}).encode())
        if not asked.headers.get("authorization", "").startswith("Bearer t"):
            return Reply(401, {"WWW-Authenticate": f'Bearer realm="https://{PUBLIC}/token"'})
        return fake.stored(asked)

    fake.answer = answer
    client = asking()
    await client.inspect_image(ImageReference(repository=f"{PUBLIC}/x", tag="a"))
    await client.inspect_image(ImageReference(repository=f"{PUBLIC}/x", tag="b"))
    assert next(made) == 1, "one token for all"
    clock.now += 301
    await client.resolve_manifest(ImageReference(repository=f"{PUBLIC}/x", tag="a"))
    assert fake.requests[-1].headers["authorization"] == "Bearer t2"


async def test_the_next_repository_of_a_host_takes_four_requests_its_token_included(
    asking: Asking, fake: FakeRegistry
) -> None:
    fake.put("x", "latest", images.image())
    fake.put("y", "latest", images.image(created="2025-01-01T00:00:00Z", platforms=PLATFORMS))
    want_a_token_for_each(fake)
    client = asking()
    await client.inspect_image(IMAGE)
    fake.requests.clear()
    await client.inspect_image(ImageReference(repository=f"{PUBLIC}/y", tag="latest"))
    assert [asked.path.split("/")[-2] for asked in fake.requests] == ["", "manifests", "manifests", "blobs"]
    assert {asked.method for asked in fake.requests} == {"GET"}


async def test_whoever_needs_the_same_token_at_once_gets_the_same(asking: Asking, fake: FakeRegistry) -> None:
    for number in range(5):
        fake.put("x", str(number), images.image(config={"Labels": {"number": str(number)}}))
    want_a_token_for_each(fake)
    client = asking()
    await asyncio.gather(
        *(client.resolve_manifest(ImageReference(repository=IMAGE.repository, tag=str(n))) for n in range(5))
    )
    assert [asked.path for asked in fake.requests].count("/token") == 1


async def test_a_realm_that_has_moved_is_found_again(asking: Asking, fake: FakeRegistry) -> None:
    for name in ("x", "y"):
        fake.put(name, "latest", images.image())
    want_a_token_for_each(fake)
    client = asking()
    await client.resolve_manifest(IMAGE)
    want_a_token_for_each(fake, realm="/moved")
    await client.resolve_manifest(ImageReference(repository=f"{PUBLIC}/y", tag="latest"))
    assert [asked.path for asked in fake.requests[-4:]] == [
        "/token", "/v2/y/manifests/latest", "/moved", "/v2/y/manifests/latest",
    ]  # fmt: skip


def want_a_token_for_each(fake: FakeRegistry, realm: str = "/token") -> None:
    """Let every repository have its own token."""

    def answer(asked: Request) -> Reply:
        if asked.path == realm:
            return Reply(body=json.dumps({"token": URL(asked.target).query["scope"]}).encode())
        if not asked.path.startswith("/v2/"):
            return Reply(500)
        scope = f"repository:{asked.path.split('/')[2]}:pull"
        if asked.headers.get("authorization") != f"Bearer {scope}":
            return Reply(401, {"WWW-Authenticate": f'Bearer realm="https://{PUBLIC}{realm}",scope="{scope}"'})
        return fake.stored(asked)

    fake.answer = answer


@pytest.mark.parametrize(
    "token",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"token": ""}',
        b'{"token": 1}',
        b'{"token": "a\\r\\nX-Evil: 1"}',
        b'{"token": "a b"}',
        b'{"token": "' + b"a" * 40_000 + b'"}',
        b'{"token": "a", "x": "' + b"a" * 70_000 + b'"}',
    ],
)
async def test_a_token_that_cannot_be_one_is_not_used(token: bytes, asking: Asking, fake: FakeRegistry) -> None:
    challenge = {"WWW-Authenticate": f'Bearer realm="https://{PUBLIC}/token"'}
    fake.answer = lambda asked: Reply(body=token) if asked.path == "/token" else Reply(401, challenge)
    with pytest.raises(RemoteUnreachable):
        await asking().inspect_image(IMAGE)
    assert [asked.path for asked in fake.requests] == ["/v2/x/manifests/latest", "/token"]


def issuer(folder: Path) -> tuple[rsa.RSAPrivateKey, x509.Certificate]:
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Issuer of the tests")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now - DAY).not_valid_after(now + DAY)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    (folder / "issuer.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    return key, certificate


def signed(key: rsa.RSAPrivateKey, certificate: x509.Certificate, *, path: str, actions: list[str]) -> str:
    """A token as docker-registry wants it (https://distribution.github.io/distribution/spec/auth/jwt/)."""

    def packed(part: dict) -> str:
        return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()

    chain = [base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()]
    now = int(time.time())
    access = [{"type": "repository", "name": path, "actions": actions}]
    claims = {"iss": "tests", "sub": "", "aud": "tests", "exp": now + 300, "nbf": now - 9, "iat": now, "jti": "1"}
    text = f"{packed({'typ': 'JWT', 'alg': 'RS256', 'x5c': chain})}.{packed({**claims, 'access': access})}"
    signature = key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


@pytest.fixture
async def tokens() -> AsyncIterator[FakeRegistry]:
    """The server of tokens, on plain http."""
    async with FakeRegistry() as made:
        yield made


async def test_a_real_registry_takes_the_token_that_its_realm_gives(tokens: FakeRegistry, tmp_path: Path) -> None:
    key, certificate = issuer(tmp_path)
    realm = f"http://127.0.0.1:{tokens.port}/token"
    auth = {"realm": realm, "service": "tests", "issuer": "tests", "rootcertbundle": str(tmp_path / "issuer.pem")}

    def answer(asked: Request) -> Reply:
        kind, path, actions = URL(asked.target).query["scope"].split(":")
        assert (kind, actions, URL(asked.target).query["service"]) == ("repository", "pull", "tests")
        public = actions.split(",") if path == "public" else []
        return Reply(body=json.dumps({"token": signed(key, certificate, path=path, actions=public)}).encode())

    tokens.answer = answer
    push = signed(key, certificate, path="public", actions=["pull", "push"])

    class Pusher(httpx.Auth):
        def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:
            request.headers["Authorization"] = f"Bearer {push}"
            yield request

    with run_registry(tmp_path, auth={"token": auth}, login=Pusher()) as registry:
        digest = registry.push("public", platforms=PLATFORMS)
        before = len(registry.requests("public"))
        client = RegistryClient(EgressGuard(plain_http=[registry.host, f"127.0.0.1:{tokens.port}"]), PLATFORMS)
        async with closing(client):
            assert (
                await client.inspect_image(ImageReference(repository=f"{registry.host}/public", tag="latest"))
            ).digest == digest
            asked = [line.rpartition(" ")[2] for line in registry.requests("public")[before:]]
            assert asked == ["401", "200", "200", "200"], "with the token's five in all; only the first time"
            with pytest.raises(ImageAccessDenied):
                await client.inspect_image(ImageReference(repository=f"{registry.host}/other", tag="latest"))
    assert not any("authorization" in asked.headers for asked in tokens.requests)


def config(tmp_path: Path, **auths: dict[str, str]) -> Path:
    (tmp_path / "config.json").write_text(json.dumps({"auths": auths}))
    return tmp_path / "config.json"


def test_credentials_are_read_as_docker_and_kubernetes_write_them(tmp_path: Path) -> None:
    auth = base64.b64encode(b"me:pass:word").decode()
    pair = {"username": "a", "password": "b"}
    hosts = {"https://index.docker.io/v1/": {"auth": auth}, "Ghcr.io": pair, "https://r.example.org:5050": pair}
    assert load_registry_credentials(config(tmp_path, **hosts)) == {
        "docker.io": ("me", "pass:word"),
        "ghcr.io": ("a", "b"),
        "r.example.org:5050": ("a", "b"),
    }


@pytest.mark.parametrize(
    ("host", "entry"),
    [
        ("ghcr.io", {}),
        ("ghcr.io", {"auth": "§§"}),
        ("ghcr.io", {"auth": base64.b64encode(b"hunter2").decode()}),
        ("ghcr.io", {"username": "a"}),
        ("ghcr.io", {"identitytoken": "hunter2"}),
        ("registry.example.org/group", {"username": "a", "password": "hunter2"}),
        ("", {"username": "a", "password": "hunter2"}),
    ],
)
def test_credentials_that_would_be_ignored_stop_the_hub(tmp_path: Path, host: str, entry: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="Credentials for") as told:
        load_registry_credentials(config(tmp_path, **{host: entry}))
    assert "hunter2" not in str(told.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"auths": []}', '{"auths": ' + "[" * 9999])
def test_another_file_is_no_file_of_credentials(tmp_path: Path, text: str) -> None:
    (tmp_path / "x").write_text(text)
    with pytest.raises(ValueError, match="dockerconfigjson"):
        load_registry_credentials(tmp_path / "x")
