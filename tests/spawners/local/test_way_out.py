"""A clone on the hub's machine leads where the guard says, also when the server or the repository says otherwise."""

import asyncio
import contextlib
import gc
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from renku_spawner.demo.git_http import serve_repositories
from renku_spawner.integrations.net.guarded_http import EgressGuard
from renku_spawner.integrations.net.socks_proxy import open_git_proxy
from renku_spawner.spawners.local.clone import clone_repositories
from renku_spawner.spawners.local.folders import InstanceFolders
from renku_spawner.usecases.git_credentials import build_egress_check

from .conftest import Upstream, git

ENV = {"PATH": os.environ["PATH"]}
REFUSED = "Connections to {} are not allowed: it is internal, or its port is not 443."


@pytest.fixture
def folder(tmp_path):
    return InstanceFolders(tmp_path / "instances").create_folder("abcdefghijkl")


@pytest.fixture
def guarded(folder, network):
    """A function that clones one repository through a guard that knows the names of *network*."""
    with contextlib.ExitStack() as stack:

        async def clone(url, *hosts, **more):
            guard = stack.enter_context(contextlib.closing(EgressGuard(hosts=hosts, resolve=network.resolve)))
            rows = [{"directory": "code", "url": url, "ref": None, "lfs": False, "submodules": False, **more}]
            (result,) = await clone_repositories(folder, rows, env=ENV, vet=build_egress_check(guard))
            return result

        yield clone


class Answering:
    """A server that answers every request alike, and keeps what was asked."""

    def __init__(self, status, **headers):
        self.asked = asked = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def answering():
    with contextlib.ExitStack() as stack:
        yield lambda *args, **headers: stack.enter_context(contextlib.closing(Answering(*args, **headers)))


@pytest.mark.parametrize("address", ["10.0.0.1", "127.0.0.1", "169.254.169.254", "::1"])
async def test_a_public_name_with_a_private_address_is_not_connected_to(guarded, network, address):
    network.names = {"git.example.org": [[address]]}
    result = await guarded("https://git.example.org/code.git")
    assert (result.outcome, result.code) == ("failed", "clone_failed")
    assert result.message == REFUSED.format("git.example.org")
    assert network.looked_up
    assert network.connected == []


async def test_a_name_that_nobody_knows_is_told(guarded):
    result = await guarded("https://unknown.example.org/code.git")
    assert (result.outcome, result.message) == ("failed", "Could not connect to unknown.example.org.")


async def test_names_are_looked_up_by_the_guard_and_the_judged_address_is_used(guarded, network, upstream):
    upstream.commit("code", a="1")
    network.names = {"git.inside": [["127.0.0.1"]]}
    port = upstream.server.server_port
    result = await guarded(f"http://git.inside:{port}/code.git", "git.inside")
    assert (result.outcome, result.message) == ("cloned", "")
    assert set(network.looked_up) == {"git.inside"}
    assert set(network.connected) == {("127.0.0.1", port)}


async def test_the_first_address_that_answers_is_taken(guarded, network, upstream):
    upstream.commit("code", a="1")
    network.names = {"git.inside": [["10.0.0.1", "127.0.0.1"]]}
    url = f"http://git.inside:{upstream.server.server_port}/code.git"
    assert (await guarded(url, "git.inside")).outcome == "cloned"
    assert ("10.0.0.1", upstream.server.server_port) in network.connected


async def test_a_redirect_inside_is_not_followed(guarded, network, answering):
    inside = answering(200)
    for target, refused in (
        (f"http://{inside.host}/x.git/info/refs?service=git-upload-pack", "127.0.0.1"),
        ("https://metadata.example.org/x.git/info/refs?service=git-upload-pack", "metadata.example.org"),
    ):
        network.names = {"metadata.example.org": [["169.254.169.254"]]}
        public = answering(302, Location=target)
        result = await guarded(f"http://{public.host}/x.git", public.host)
        assert (result.outcome, result.message) == ("failed", REFUSED.format(refused))
        assert public.asked
    assert inside.asked == []


async def test_a_redirect_that_stays_is_followed(guarded, answering, upstream):
    upstream.commit("code", a="1")
    moved = answering(301, Location=f"{upstream.url('code')}/info/refs?service=git-upload-pack")
    host = upstream.server.url.removeprefix("http://")
    assert (await guarded(f"http://{moved.host}/code.git", moved.host, host)).outcome == "cloned"


async def test_a_submodule_leads_nowhere_else_either(guarded, upstream, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    with serve_repositories(tmp_path / "elsewhere") as server:
        Upstream(server.folder, server).commit("part", p="1")
        upstream.commit("whole", a="1")
        source = upstream.source("whole")
        git(source, "submodule", "--quiet", "add", f"{server.url}/part.git", "part")
        git(source, "commit", "--quiet", "--all", "--message", "Add a part")
        git(source, "push", "--quiet", "origin", "main")
        host = upstream.server.url.removeprefix("http://")
        result = await guarded(upstream.url("whole"), host, submodules=True)
        assert (result.outcome, result.message) == ("failed", REFUSED.format("127.0.0.1"))
        listed = server.url.removeprefix("http://")
        assert (await guarded(upstream.url("whole"), host, listed, submodules=True)).outcome == "cloned"


# ---- the door itself -------------------------------------------------------------------------------


async def nobody(host, port):
    raise AssertionError(f"{host}:{port} was asked for")


async def said(proxy, *parts):
    """What the door answers to these bytes, until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.rpartition(":")[2]))
    with contextlib.suppress(ConnectionError):
        for part in parts:
            writer.write(part)
            await writer.drain()
        writer.write_eof()
    answer = b""
    with contextlib.suppress(ConnectionError):
        answer = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    return answer


HELLO = b"\x05\x01\x00"


@pytest.mark.parametrize(
    ("spoken", "answer"),
    [
        (b"", b""),
        (b"GET / HTTP/1.1\r\n\r\n", b""),
        (b"\x04\x01", b""),
        (HELLO + b"\x05\x01", b"\x05\x00"),
        (HELLO + b"\x05\x01\x00\x09\x01\x01", b"\x05\x00"),
        (HELLO + b"\x05\x01\x00\x03\x02\xff\xfe\x01\xbb", b"\x05\x00"),
        (HELLO + b"\x05\x02\x00\x01\x7f\x00\x00\x01\x01\xbb", b"\x05\x00\x05\x07\x00\x01" + bytes(6)),
    ],
)
async def test_what_is_no_request_to_connect_ends(spoken, answer):
    async with open_git_proxy(nobody) as proxy:
        assert await said(proxy, spoken) == answer


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"\x01\x7f\x00\x00\x01", "127.0.0.1"),
        (b"\x04" + bytes(15) + b"\x01", "::1"),
        (b"\x03\x0bexample.org", "example.org"),
    ],
)
async def test_every_kind_of_target_is_judged(target, expected):
    judged = []

    async def judge(host, port):
        judged.append((host, port))
        raise PermissionError

    async with open_git_proxy(judge) as proxy:
        answer = await said(proxy, HELLO + b"\x05\x01\x00" + target + b"\x01\xbb")
    assert judged == [(expected, 443)]
    assert answer == b"\x05\x00\x05\x02\x00\x01" + bytes(6)


async def test_nothing_stays_open_behind_a_closed_door():
    async def loopback(_host, _port):
        return ["127.0.0.1"]

    ended = asyncio.Event()

    async def hang(reader, writer):
        with contextlib.suppress(ConnectionError):
            await reader.read()
        ended.set()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    async with open_git_proxy(loopback) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.rpartition(":")[2]))
        writer.write(HELLO + b"\x05\x01\x00\x03\x01x" + port.to_bytes(2))
        assert await reader.readexactly(12) == b"\x05\x00\x05\x00\x00\x01" + bytes(6)
    assert await asyncio.wait_for(reader.read(), 60) == b""
    await asyncio.wait_for(ended.wait(), 60)
    writer.close()
    server.close()
    await server.wait_closed()


async def test_a_door_that_closes_while_a_connection_ends_leaves_nothing_open():
    """One side has gone, and the other is being let go, when the whole door is closed."""

    async def loopback(_host, _port):
        return ["127.0.0.1"]

    open_: set[asyncio.StreamWriter] = set()
    server = await asyncio.start_server(lambda _, writer: open_.add(writer), "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    for turns in range(12):  # as many turns of the loop between the two ends
        async with open_git_proxy(loopback) as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.rpartition(":")[2]))
            writer.write(HELLO + b"\x05\x01\x00\x03\x01x" + port.to_bytes(2))
            assert await reader.readexactly(12) == b"\x05\x00\x05\x00\x00\x01" + bytes(6)
            writer.close()
            for _ in range(turns):
                await asyncio.sleep(0)
        gc.collect()  # an unclosed stream is a warning, and that an error
    for writer in open_:
        writer.close()
    server.close()
    await server.wait_closed()
