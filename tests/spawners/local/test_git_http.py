"""The small git server: for reading, on loopback, and only what is below its folder."""

import http.client
import os
import socket

import pytest

from renku_spawner.demo import git_http

from .conftest import git


def ask(upstream, method: str, path: str, body: bytes | None = None, **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", upstream.server.server_port, timeout=300)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer
    finally:
        connection.close()


def test_it_can_be_cloned_by_plain_git(upstream, tmp_path):
    commit = upstream.commit("code", a="1")
    git(tmp_path, "clone", "--quiet", upstream.url("code"), "copy")
    assert git(tmp_path / "copy", "rev-parse", "HEAD") == commit


def test_repositories_in_folders_are_found(upstream, tmp_path):
    upstream.commit("team/code", a="1")
    git(tmp_path, "clone", "--quiet", upstream.url("team/code"), "copy")


@pytest.mark.parametrize("version", ["0", "2"])
def test_large_questions_are_read(upstream, tmp_path, version, monkeypatch):
    chunked = []
    monkeypatch.setattr(
        git_http,
        "_read_chunked_body",
        lambda stream, read=git_http._read_chunked_body: chunked.append(1) or read(stream),
    )
    upstream.commit("code", a="1")
    git(tmp_path, "clone", "--quiet", upstream.url("code"), "copy")
    mine = "".join(
        f"commit refs/heads/main\ncommitter A <a@b> {number} +0000\ndata 1\nx\n{'from HEAD' if number == 1 else ''}\n"
        for number in range(1, 3000)
    )
    git(tmp_path / "copy", "fast-import", "--quiet", stdin=mine)
    upstream.commit("code", a="2")
    setting = ("-c", f"protocol.version={version}", "-c", "http.postBuffer=66000")  # above it git sends chunks
    git(tmp_path / "copy", *setting, "fetch", "--quiet", "origin")
    assert chunked


@pytest.mark.parametrize(
    "path",
    [
        "/code.git/HEAD",
        "/code.git/config",
        "/code.git/objects/info/packs",
        "/other.git/info/refs",
        "/../code.git/info/refs",
        "/%2e%2e/outside.git/info/refs",
        "/../outside.git/info/refs",
        "/linked.git/info/refs",
        "/code.git/../code.git/info/refs",
        "/code.git/info/refs%00",
        "/info/refs",
        "/",
    ],
)
def test_other_paths_do_not_exist(upstream, path):
    upstream.commit("code", a="1")
    outside = upstream.folder.parent / "outside.git"
    git(upstream.folder.parent, "init", "--quiet", "--bare", str(outside))
    (upstream.folder / "linked.git").symlink_to(outside)
    assert ask(upstream, "GET", f"{path}?service=git-upload-pack").status in (400, 404)


def test_only_reading_methods_exist(upstream):
    assert {ask(upstream, method, "/code.git/info/refs").status for method in ("PUT", "DELETE", "PROPFIND")} == {501}


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ("Content-Length: 99999999", b"", 413),
        ("X-None: 1", b"", 411),
        ("Content-Length: -1", b"", 411),
        ("Transfer-Encoding: chunked", b"zz\r\n", 413),
        ("Transfer-Encoding: chunked", b"fffffff\r\n" + b"x" * 10, 413),
    ],
)
def test_a_body_without_end_is_refused(upstream, headers, body, status):
    upstream.commit("code", a="1")
    with socket.create_connection(("127.0.0.1", upstream.server.server_port), timeout=300) as connection:
        head = f"POST /code.git/git-upload-pack HTTP/1.0\r\n{headers}\r\n\r\n"
        connection.sendall(head.encode() + body)
        connection.shutdown(socket.SHUT_WR)
        assert f" {status} ".encode() in connection.recv(1000)


def test_it_listens_on_loopback_only(upstream):
    assert upstream.server.server_address[0] == "127.0.0.1"


def test_a_client_that_goes_away_does_no_harm(upstream, tmp_path):
    upstream.commit("code", data=os.urandom(2 * 1024**2))
    with socket.create_connection(("127.0.0.1", upstream.server.server_port)) as connection:
        connection.sendall(b"GET /code.git/info/refs?service=git-upload-pack HTTP/1.0\r\n\r\n")
    git(tmp_path, "clone", "--quiet", upstream.url("code"), "copy")
