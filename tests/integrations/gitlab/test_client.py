"""Whatever GitLab does, a call ends in its time and with a meaning."""

import asyncio
import time
from datetime import UTC, datetime

import pytest
import requests

from renku_spawner.integrations.gitlab import client
from renku_spawner.integrations.gitlab.client import (
    GitLabClient,
    GitLabForbidden,
    GitLabLoginRequired,
    GitLabNotFound,
    GitLabUnavailable,
    parse_retry_after,
)
from tests.fixtures.fair import Stopwatch
from tests.fixtures.network import Authority
from tests.integrations.gitlab.raw import OneToken, Raw, answer, drip, hang, raw


class Clock:
    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
async def server():
    async with raw() as made:
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gitlab(server: Raw, clock: Clock):
    made = GitLabClient(server.url, OneToken(), clock=clock)
    yield made
    made.close()


async def test_a_call_is_made_with_the_users_own_token_and_in_their_words(server, gitlab):
    server.says = answer(body={"id": 42})
    assert await gitlab.get("alice", "/projects/a%2Fb", {"simple": True}) == {"id": 42}
    head = server.requests[0]
    assert head.startswith("GET /api/v4/projects/a%2Fb?simple=True HTTP/1.1")
    assert "Authorization: Bearer alice-1" in head
    assert "User-Agent: renku-spawner" in head


async def test_the_certificate_is_of_an_authority_that_an_admin_has_named(authority, clock):
    async with raw(authority.server("localhost")) as server:
        server.says = answer(body={"id": 42})
        url = f"https://localhost:{server.port}"
        trusting, usual = (
            GitLabClient(url, OneToken(), clock=clock, ca=str(authority.file)),
            GitLabClient(url, OneToken()),
        )
        assert await trusting.get("alice", "/projects/1") == {"id": 42}
        with pytest.raises(GitLabUnavailable):
            await usual.get("alice", "/projects/1")
        trusting.close()
        usual.close()
    assert len(server.requests) == 1


async def test_an_authority_that_an_admin_has_named_is_the_only_one(authority, tmp_path, monkeypatch):
    monkeypatch.setattr(requests.adapters, "DEFAULT_CA_BUNDLE_PATH", str(authority.file))  # certifi's
    async with raw(authority.server("localhost")) as server:
        server.says = answer(body={"id": 42})
        url = f"https://localhost:{server.port}"
        usual = GitLabClient(url, OneToken())
        assert await usual.get("alice", "/projects/1") == {"id": 42}
        strict = GitLabClient(url, OneToken(), ca=str(Authority(tmp_path).file))
        with pytest.raises(GitLabUnavailable):
            await strict.get("alice", "/projects/1")
        usual.close()
        strict.close()


async def test_nobody_asks_without_a_token(server, gitlab):
    server.says = answer(body={"id": 42})
    assert await gitlab.get(None, "/projects/1") == {"id": 42}
    assert "Authorization" not in server.requests[0]


async def test_a_cookie_of_one_user_is_never_sent_for_another(server, gitlab):
    server.says = answer(body={}, Set_Cookie="_gitlab_session=alice; Path=/")
    for name in ("alice", "bob", None):
        await gitlab.get(name, "/user")
    assert len(server.requests) == 3
    assert not any("Cookie" in head for head in server.requests)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (403, {"message": "403 Forbidden"}, GitLabForbidden),
        (404, {"message": "404 Project Not Found"}, GitLabNotFound),
        (429, b"Retry later\n", GitLabUnavailable),
        (400, {"error": "x is invalid"}, GitLabUnavailable),
        (500, {"message": "500 Internal Server Error"}, GitLabUnavailable),
        (502, b"<html>", GitLabUnavailable),
        (200, b"<html>sign in</html>", GitLabUnavailable),
        (200, b'{"broken', GitLabUnavailable),
        (200, b"", GitLabUnavailable),
    ],
)
async def test_every_answer_has_one_meaning(status, body, expected, server, gitlab):
    server.says = answer(status, body, type_="text/html" if body == b"<html>sign in</html>" else "application/json")
    with pytest.raises(expected) as caught:
        await gitlab.get("alice", "/projects/1")
    assert type(caught.value).__mro__.count(expected)
    assert "<html>" not in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__


async def test_a_scope_that_is_missing_is_told_from_a_role(server, gitlab):
    server.says = answer(403, {"error": "insufficient_scope", "error_description": "…", "scope": "api read_api"})
    with pytest.raises(GitLabForbidden) as caught:
        await gitlab.get("alice", "/projects/1")
    assert caught.value.scope == "api read_api"
    server.says = answer(403, {"message": "403 Forbidden"})
    with pytest.raises(GitLabForbidden) as caught:
        await gitlab.get("alice", "/projects/1")
    assert caught.value.scope is None


async def test_a_token_that_is_refused_is_replaced_once(server, gitlab):
    server.says = lambda head: answer(body={"id": 1}) if "alice-2" in head else answer(401, {"error": "invalid_token"})
    assert await gitlab.get("alice", "/projects/1") == {"id": 1}
    assert len(server.requests) == 2


async def test_a_user_whose_every_token_is_refused_is_to_log_in_again(server, gitlab):
    server.says = answer(401, {"error": "invalid_token"})
    with pytest.raises(GitLabLoginRequired):
        await gitlab.get("alice", "/projects/1")
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "says",
    [
        hang,
        drip(answer(body=["x" * 1000])),
        drip(answer(body=["x" * 1000], Connection="close")),
        drip(b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 999),
    ],
)
async def test_a_server_that_hangs_or_drips_holds_neither_caller_nor_thread(says, server, gitlab):
    server.says = says
    took = Stopwatch()
    with pytest.raises(GitLabUnavailable):
        await gitlab.get("alice", "/projects/1", within=0.3)
    assert took() < 15
    async with asyncio.timeout(30):  # seconds; far below an hour
        while gitlab._calls:
            await asyncio.sleep(0.01)


async def test_calls_beyond_threads_and_queue_are_away_at_once(server):
    server.says = hang
    gitlab = GitLabClient(server.url, OneToken(), threads=2, queue=3)
    calls = [asyncio.create_task(gitlab.get("alice", "/projects/1", within=1.0)) for _ in range(5)]
    await asyncio.sleep(0)
    took = Stopwatch()
    with pytest.raises(GitLabUnavailable):
        await gitlab.get("bob", "/projects/1", within=30)
    assert took() < 10
    assert all(isinstance(done, GitLabUnavailable) for done in await asyncio.gather(*calls, return_exceptions=True))
    gitlab.close()


@pytest.mark.parametrize("status", [b"200 OK", b"301 Moved\r\nLocation: /api/v4/projects/2", b"404 Not Found"])
async def test_an_answer_without_end_is_not_read_to_the_end(status, server, gitlab, monkeypatch):
    monkeypatch.setattr(client, "GITLAB_MAX_RESPONSE_BYTES", 1 << 20)
    sent = 0

    async def endless(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 " + status + b'\r\nContent-Type: application/json\r\n\r\n["')
        while sent < 1 << 28:
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    server.says = endless
    with pytest.raises(GitLabUnavailable):
        await gitlab.get("alice", "/projects/1", within=30)
    assert sent < 1 << 26


async def test_ten_megabytes_are_still_read(server, gitlab):
    server.says = answer(body={"description": "x" * 10_000_000})
    assert len((await gitlab.get("alice", "/projects/1", within=30))["description"]) == 10_000_000


async def test_a_redirect_stays_at_gitlab(server, gitlab):
    def says(head: str) -> bytes:
        if "GET /api/v4/projects/a%2Fold" in head:
            return answer(301, b"moved", Location=f"{server.url}/api/v4/projects/42")
        return answer(body={"id": 42})

    server.says = says
    assert await gitlab.get("alice", "/projects/a%2Fold") == {"id": 42}
    assert "Authorization: Bearer alice-1" in server.requests[1]


async def test_redirects_end_after_three(server, gitlab):
    server.says = answer(301, b"moved", Location="/api/v4/projects/1")
    with pytest.raises(GitLabUnavailable):
        await gitlab.get("alice", "/projects/1")
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("url", "origins"),
    [
        ("https://GitLab.example.org", ["https://GitLab.example.org/", "https://GitLab.example.org:443/"]),
        ("https://example.org:443/gitlab", ["https://example.org/", "https://example.org:443/"]),
        ("http://[::80]", ["http://[::80]/", "http://[::80]:80/"]),
        ("http://localhost:8080", ["http://localhost:8080/"]),
    ],
)
def test_the_port_of_the_scheme_may_be_named_or_left_out(url, origins):
    assert client._list_origins(url) == origins


async def test_a_redirect_to_another_host_is_not_followed(server, gitlab):
    async with raw() as other:
        server.says = answer(302, b"", Location=f"{other.url}/api/v4/projects/42")
        with pytest.raises(GitLabUnavailable):
            await gitlab.get("alice", "/projects/1")
        assert other.requests == []


async def test_a_list_is_read_by_pages_and_no_further_than_asked(server, gitlab):
    def says(head: str) -> bytes:
        link = '<http://elsewhere.example.com/api/v4/projects?id_after=2&per_page=2>; rel="next"'
        return answer(body=[{"id": 3}, {"id": 4}] if "id_after=2" in head else [{"id": 1}, {"id": 2}], Link=link)

    server.says = says
    assert [row["id"] for row in await gitlab.list_objects("alice", "/projects", {"per_page": 2})] == [1, 2]
    assert len(server.requests) == 1
    assert [row["id"] for row in await gitlab.list_objects("alice", "/projects", {"per_page": 2}, pages=2)] == [
        1,
        2,
        3,
        4,
    ]
    assert len(server.requests) == 3


@pytest.mark.parametrize("body", [None, {"id": 1}, "text", 7])
async def test_a_list_that_is_none_is_no_answer(body, server, gitlab):
    server.says = answer(body=body)
    with pytest.raises(GitLabUnavailable):
        await gitlab.list_objects("alice", "/projects")


async def test_a_broken_connection_is_tried_once_more(server, gitlab):
    async def reset_once(writer: asyncio.StreamWriter) -> None:
        if len(server.requests) == 1:
            writer.transport.abort()
            return
        writer.write(answer(body={"id": 1}))

    server.says = reset_once
    assert await gitlab.get("alice", "/projects/1") == {"id": 1}


async def test_after_five_failures_gitlab_is_left_alone_and_tried_again(server, gitlab, clock):
    server.says = answer(500, {})
    for _ in range(5):
        with pytest.raises(GitLabUnavailable):
            await gitlab.get("alice", "/projects/1")
    server.says = answer(body={"id": 1})
    with pytest.raises(GitLabUnavailable):
        await gitlab.get("bob", "/projects/1")
    assert len(server.requests) == 5
    clock.ahead += 16
    assert await gitlab.get("bob", "/projects/1") == {"id": 1}


async def test_whom_gitlab_tells_to_wait_waits_and_nobody_else_does(server, gitlab, clock):
    server.says = answer(429, b"Retry later\n", type_="text/plain", Retry_After="86400")
    with pytest.raises(GitLabUnavailable) as caught:
        await gitlab.get("alice", "/projects/1")
    assert caught.value.retry_after == 30
    server.says = answer(body={"id": 1})
    with pytest.raises(GitLabUnavailable):
        await gitlab.get("alice", "/projects/1")
    assert await gitlab.get("bob", "/projects/1") == {"id": 1}
    clock.ahead += 31
    assert await gitlab.get("alice", "/projects/1") == {"id": 1}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, 5), ("", 5), ("7", 7), ("0", 1), ("-5", 5), ("86400", 30), ("9" * 400, 30), ("soon", 5), ("1.5", 5),
        ("٣", 5), ("Tue, 24 Nov 2026 10:00:12 GMT", 12), ("Tue, 24 Nov 2026 11:00:00 GMT", 30),
        ("Tue, 24 Nov 2026 09:00:00 GMT", 1), ("Tue, 99 Nov 2026 10:00:12 GMT", 5),
        ("Tue, 24 Nov 99999999999 10:00:12 GMT", 5), ("\x00", 5),
    ],
)  # fmt: skip
def test_how_long_to_wait_is_read_from_whatever_is_said(value, seconds):
    assert parse_retry_after(value, lambda: datetime(2026, 11, 24, 10, tzinfo=UTC)) == seconds


def test_a_token_does_not_show_itself():
    token = asyncio.run(OneToken().get_token("alice"))
    assert "alice-1" not in repr(token)
