"""One's own files leave as one archive, in pieces and in time with who takes them; a part of it never looks whole."""

import asyncio
import io
import os
import secrets
import socket
import tarfile
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import zstandard

from renku_spawner.domain.instances import InstanceStatus
from renku_spawner.observability.metrics import DOWNLOADS_TOTAL
from renku_spawner.spawners.in_pod import packed
from renku_spawner.spawners.local.folders import InstanceFolders
from renku_spawner.usecases.projects import delete_project
from tests.fixtures.fair import Stopwatch
from tests.fixtures.renku import until
from tests.spawners import ways

MB = 1 << 20


def read_by(pid: str) -> int:
    """Bytes that a process has read."""
    return int(Path(f"/proc/{pid}/io").read_text().split()[1])


def counted(outcome: str) -> float:
    return DOWNLOADS_TOTAL.labels(outcome)._value.get()


def opened(archive: bytes) -> dict[str, bytes | None]:
    made = zstandard.ZstdDecompressor().decompressobj()
    plain = made.decompress(archive)
    assert made.eof
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        return {info.name: (tar.extractfile(info).read() if info.isfile() else None) for info in tar}


@pytest.fixture
async def paused(renku_hub):
    """A function that makes a hub and a paused session of alice with these files."""

    async def make(title="Explore", files=(("note.txt", b"mine"),), **changes):
        hub = await renku_hub(**changes)
        session = await hub.session(await hub.project(), title)
        assert (await ways.start(hub, session)).status_code in (200, 202)
        await hub.becomes(session, InstanceStatus.RUNNING)
        await ways.pause(hub, session)
        instance = await hub.becomes(session, InstanceStatus.PAUSED)
        work = InstanceFolders(hub.parts.workspace).get_folder(instance.claim).work_dir
        for name, content in files:
            (work / name).write_bytes(content)
        return hub, session, work

    return make


def address(session) -> str:
    return f"api/renku/sessions/{session.id}/data"


async def it_must_rest(hub, session, visitor):
    await ways.start(hub, session)
    await hub.becomes(session, InstanceStatus.RUNNING)
    answer = await hub.client("alice").get(address(session))
    assert (answer.status_code, answer.json()["code"]) == (409, "download_running")
    page = await visitor.get(f"renku/sessions/{session.id}/data.tar.zst")
    assert (page.status_code, "Pause it first." in page.text) == (409, True)
    await ways.pause(hub, session)
    await hub.becomes(session, InstanceStatus.PAUSED)


async def test_its_owner_gets_all_of_it_and_nobody_else_anything(paused):
    hub, session, _ = await paused('Größe: 2/3 "of" it')
    visitor = await hub.visitor("alice")
    before = counted("whole")
    answer = await visitor.get(f"renku/sessions/{session.id}/data.tar.zst")
    assert answer.status_code == 200
    assert opened(answer.content)["work/note.txt"] == b"mine"
    said = answer.headers
    assert said["content-disposition"] == (
        'attachment; filename="Groe- 2-3 -of- it.tar.zst"; '
        "filename*=UTF-8''Gr%C3%B6%C3%9Fe-%202-3%20-of-%20it.tar.zst"
    )
    assert (said["content-type"], said["x-content-type-options"]) == ("application/zstd", "nosniff")
    assert (said["cache-control"], "content-length" in said) == ("no-store", False)
    assert counted("whole") == before + 1
    with hub.parts.db.read() as tx:
        found = tx.audit.list_recent(5)
    assert [(e.actor, e.username, e.subject) for e in found if e.action == "download of data"] == [
        ("alice", "alice", session.id)
    ]
    for other in ("bob", "admin"):
        hub.user(other, admin=other == "admin")
        assert (await hub.client(other).get(address(session))).status_code == 404
    reading = hub.client("alice", scopes=["custom:renku:read"])
    assert (await reading.get(address(session))).json()["code"] == "scope_missing"
    foreign = await visitor.get(f"renku/sessions/{session.id}/data.tar.zst", headers={"Sec-Fetch-Site": "cross-site"})
    assert foreign.status_code == 403
    await it_must_rest(hub, session, visitor)
    link = f"renku/sessions/{session.id}/data.tar.zst"
    for page in (f"renku/projects/alice/climate/-/sessions/{session.id}", "renku/sessions", link[:-8]):
        assert link in (await visitor.get(page)).text, page
    await delete_project(hub.parts, hub.person("alice"), session.project)
    assert (await hub.client("alice").get(address(session))).status_code == 200


@asynccontextmanager
async def begun(hub, session, name="alice"):
    """A download of which the first piece has come."""
    async with hub.client(name).stream("GET", address(session), timeout=60) as answer:
        assert answer.status_code == 200, await answer.aread()
        pieces = answer.aiter_raw(65_536)
        await anext(pieces)
        yield pieces


async def test_a_large_one_passes_through_in_pieces_one_per_person_and_ends_with_who_goes(paused):
    hub, session, _ = await paused(files=[("large", secrets.token_bytes(50 * MB))])
    size = 65_536
    async with begun(hub, session) as pieces:
        (packer,) = packers()
        seen = -1
        while (now := read_by(packer)) != seen:  # as long as nobody takes it, nobody brings it
            seen = now
            await asyncio.sleep(0.3)
        assert seen < 20 * MB, f"{seen // MB} MB of it are somewhere between"
        second = await hub.client("alice").get(address(session))
        assert (second.status_code, second.json()["code"]) == (409, "download_yours")
        async for piece in pieces:
            size += len(piece)
    assert size > 50 * MB
    await until(lambda: not hub.parts.downloading_users)
    left = counted("left")
    async with begun(hub, session):
        pass
    await until(lambda: not hub.parts.downloading_users, why="the hub has noticed that she went")
    assert counted("left") == left + 1
    assert not packers()


def packers() -> list[str]:
    """Processes that pack."""
    found = []
    for folder in os.scandir("/proc"):
        if folder.name.isdigit():
            try:
                if b"renku_alone" in Path(folder.path, "cmdline").read_bytes():
                    found.append(folder.name)
            except OSError:
                continue
    return found


async def read_slowly(hub, session, *, until_cut, pause):
    """Take 64 kB each *pause* seconds over a bare connection, until the hub cuts it off or *until_cut* is over."""
    loop = asyncio.get_running_loop()
    url = httpx.URL(hub.app.hub.url)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        connection.setblocking(False)
        await loop.sock_connect(connection, (url.host, url.port))
        token = hub.client("alice").headers["Authorization"]
        path = url.join(address(session)).raw_path.decode()
        request = f"GET {path} HTTP/1.1\r\nHost: hub\r\nAuthorization: {token}\r\n\r\n"
        await loop.sock_sendall(connection, request.encode())
        assert (await loop.sock_recv(connection, 65_536)).startswith(b"HTTP/1.1 200")
        took, size = Stopwatch(), 0
        while took() < until_cut:
            await asyncio.sleep(pause)
            try:
                piece = await loop.sock_recv(connection, 65_536)
            except ConnectionResetError:
                return size
            if not piece:
                return size
            size += len(piece)
    raise AssertionError(f"{size} bytes later it still has its place")


async def test_a_slow_reader_loses_the_place_and_somebody_else_gets_it(paused):
    hub, session, _ = await paused(
        files=[("large", secrets.token_bytes(50 * MB))],
        Renku={"downloads": 1, "download_min_rate": 2 * MB, "download_rate_window": 2},
    )
    cut = counted("cut")
    slow = asyncio.ensure_future(read_slowly(hub, session, until_cut=120, pause=0.5))
    await until(lambda: hub.parts.downloading_users == {"alice"} or slow.done())
    await until(
        lambda: not hub.parts.downloading_users, why="the place is free, though something was taken all the time"
    )
    slow.cancel()
    await asyncio.gather(slow, return_exceptions=True)
    assert counted("cut") == cut + 1
    assert not packers()
    async with begun(hub, session):
        assert hub.parts.downloading_users == {"alice"}


async def test_a_reader_above_the_least_rate_gets_all_of_it(paused):
    hub, session, _ = await paused(
        files=[("large", secrets.token_bytes(30 * MB))], Renku={"download_min_rate": 100_000, "download_rate_window": 2}
    )
    size = 65_536
    async with begun(hub, session) as pieces:
        async for piece in pieces:
            size += len(piece)
            if size % MB < 65_536:
                await asyncio.sleep(0.3)  # some 3 MB a second, so that the hub waits for longer than a window
    assert size > 30 * MB


async def test_what_breaks_in_the_middle_is_broken_off_and_what_cannot_begin_is_said(paused, monkeypatch):
    hub, session, _ = await paused(files=[("large", secrets.token_bytes(8 * MB))])
    direct = httpx.AsyncClient(base_url=hub.app.hub.url, headers=hub.client("alice").headers, trust_env=False)
    cut = counted("cut")
    async with direct, direct.stream("GET", address(session)) as answer:
        pieces = answer.aiter_raw()
        await anext(pieces)
        (packer,) = packers()
        os.kill(int(packer), 9)
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
            async for _ in pieces:
                pass
    assert counted("cut") == cut + 1
    monkeypatch.setattr(packed, "command", lambda *_, **more: ("false",))
    answer = await hub.client("alice").get(address(session))
    assert (answer.status_code, answer.json()["code"]) == (503, "download_failed")
    assert not hub.parts.downloading_users
