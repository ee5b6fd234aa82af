"""Repositories of others are looked at as git would, without a login, and only where the hub may connect to."""

import asyncio
from collections.abc import Callable

import pytest

from renku_spawner.integrations import git_server
from renku_spawner.integrations.git_server import GitServerClient, RepositoryNotFound
from renku_spawner.integrations.net.errors import ConnectionNotAllowed, RemoteUnreachable
from tests.fakes.registry import FakeRegistry, Reply, Request
from tests.fixtures.network import Network
from tests.integrations.registry.conftest import PUBLIC
from tests.spawners.local.conftest import Upstream, git, upstream

__all__ = ["upstream"]
HERE = f"https://{PUBLIC}/ada/code.git"
ADVERTISED = "application/x-git-upload-pack-advertisement"


def lines(*packets: str) -> bytes:
    return b"".join(f"{len(p) + 5:04x}{p}\n".encode() if p else b"0000" for p in packets)


def old_server(*names: str) -> Callable[[Request], Reply]:
    """A server that knows no version 2: it says all of its names at once."""
    zeros = "0" * 40
    told = lines("# service=git-upload-pack", "", *(f"{zeros} {name}\0caps" for name in names), "")
    return lambda _: Reply(headers={"Content-Type": ADVERTISED}, body=told)


@pytest.mark.parametrize("ref", [None, "main", "feature/x", "v1"])
async def test_a_branch_and_a_tag_of_a_real_repository_are_found(
    loopback: GitServerClient, upstream: Upstream, ref: str | None
) -> None:
    upstream.commit("team/code", a="1")
    upstream.commit("team/code", branch="feature/x", b="1")
    git(upstream.folder / "team/code.git", "tag", "v1", "main")
    assert await loopback.has_ref(upstream.url("team/code"), ref)


@pytest.mark.parametrize("ref", ["mai", "v", "feature", "refs/heads/main"])
async def test_the_beginning_of_a_name_is_no_name(loopback: GitServerClient, upstream: Upstream, ref: str) -> None:
    upstream.commit("code", branch="feature/x", a="1")
    assert not await loopback.has_ref(upstream.url("code"), ref)


async def test_an_empty_repository_is_one(loopback: GitServerClient, upstream: Upstream) -> None:
    git(upstream.folder, "init", "--quiet", "--bare", "empty.git")
    assert await loopback.has_ref(upstream.url("empty"), None)


async def test_servers_of_before_are_understood(servers: GitServerClient, fake: FakeRegistry) -> None:
    fake.answer = old_server("HEAD", "refs/heads/main", "refs/tags/v1")
    assert await servers.has_ref(HERE, "main")
    assert await servers.has_ref(HERE, "v1")
    assert not await servers.has_ref(HERE, "v2")


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_absent_and_hidden_are_the_same_to_who_has_no_login(
    servers: GitServerClient, fake: FakeRegistry, status: int
) -> None:
    fake.answer = lambda _: Reply(status, {"WWW-Authenticate": "Basic"})
    with pytest.raises(RepositoryNotFound, match="does not exist, or it is private and requires a login"):
        await servers.has_ref(HERE, None)
    assert not any("authorization" in asked.headers for asked in fake.requests)


async def test_a_page_is_no_repository(servers: GitServerClient, fake: FakeRegistry) -> None:
    fake.answer = lambda _: Reply(headers={"Content-Type": "text/html"}, body=b"<h1>git</h1>")
    with pytest.raises(RepositoryNotFound, match="not the address"):
        await servers.has_ref(HERE, None)


@pytest.mark.parametrize("body", [b"zzzz", b"00", lines("version 2")[:-1] + b"xxxxx", b"-001", b"00ffversion 2"])
async def test_what_is_not_gits_is_no_answer(servers: GitServerClient, fake: FakeRegistry, body: bytes) -> None:
    fake.answer = lambda _: Reply(headers={"Content-Type": ADVERTISED}, body=body)
    with pytest.raises(RemoteUnreachable):
        await servers.has_ref(HERE, "main")


async def test_a_server_that_hangs_is_left_in_time(
    servers: GitServerClient, fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_server, "GIT_SERVER_TIMEOUT_SECONDS", 0.3)

    async def hang(_: Request) -> Reply:
        await asyncio.sleep(60)
        return Reply()

    fake.answer = hang
    with pytest.raises(RemoteUnreachable, match="in time"):
        await servers.has_ref(HERE, None)


@pytest.mark.parametrize("way", ["http://169.254.169.254/x.git", "https://127.0.0.1/x.git", "https://metadata/x"])
async def test_nobody_is_led_to_where_the_hub_may_not_connect(
    servers: GitServerClient, fake: FakeRegistry, network: Network, way: str
) -> None:
    fake.answer = lambda _: Reply(302, {"Location": way})
    with pytest.raises(ConnectionNotAllowed):
        await servers.has_ref(HERE, None)
    with pytest.raises(ConnectionNotAllowed):
        await servers.has_ref(way, None)
    assert {port for _, port in network.connected} == {443}
