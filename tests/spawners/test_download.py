"""One's own files leave as one archive, in pieces and in time with who takes them; a part of it never looks whole."""

import asyncio
import os
import secrets
import socket
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from renku_spawner.domain.downloads import ZSTD_ARCHIVE
from renku_spawner.domain.instances import InstanceStatus
from renku_spawner.observability.metrics import DOWNLOADS_TOTAL
from renku_spawner.spawners.local import archive
from renku_spawner.spawners.local.folders import InstanceFolders
from renku_spawner.usecases.projects import delete_project
from renku_spawner.web.instances import files
from tests.fixtures.archives import read_files
from tests.fixtures.fair import Stopwatch
from tests.fixtures.renku import until
from tests.spawners import ways
from tests.spawners.local.test_archive import HIDE_ZSTD

MB = 1 << 20


def read_by(pid: str) -> int:
    """Bytes that a process has read."""
    return int(Path(f"/proc/{pid}/io").read_text().split()[1])


def counted(outcome: str) -> float:
    return DOWNLOADS_TOTAL.labels(outcome)._value.get()


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
    page = await visitor.get(f"renku/sessions/{session.id}/download")
    assert (page.status_code, "Pause it first." in page.text) == (409, True)
    await ways.pause(hub, session)
    await hub.becomes(session, InstanceStatus.PAUSED)


async def test_its_owner_gets_all_of_it_and_nobody_else_anything(paused):
    hub, session, _ = await paused('Größe: 2/3 "of" it')
    visitor = await hub.visitor("alice")
    before = counted("whole")
    answer = await visitor.get(f"renku/sessions/{session.id}/download")
    assert answer.status_code == 200
    assert read_files(answer.content)["work/note.txt"] == b"mine"
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
    foreign = await visitor.get(f"renku/sessions/{session.id}/download", headers={"Sec-Fetch-Site": "cross-site"})
    assert foreign.status_code == 403
    await it_must_rest(hub, session, visitor)
    link = f"renku/sessions/{session.id}/download"
    for page in (
        f"renku/projects/alice/climate/-/sessions/{session.id}",
        "renku/sessions",
        f"renku/sessions/{session.id}/data",
    ):
        assert link in (await visitor.get(page)).text, page
    await delete_project(hub.parts, hub.person("alice"), session.project)
    assert (await hub.client("alice").get(address(session))).status_code == 200


async def test_without_zstandard_it_is_gzip_and_says_so(paused, monkeypatch):
    hub, session, _ = await paused()
    command = archive.build_program_command

    def without_zstd(*arguments, **options):
        python, *flags, text, argument = command(*arguments, **options)
        return python, *flags, HIDE_ZSTD + f"exec({text!r})", argument

    monkeypatch.setattr(archive, "build_program_command", without_zstd)
    for link in (f"renku/sessions/{session.id}/download", f"renku/sessions/{session.id}/data.tar.zst"):
        answer = await (await hub.visitor("alice")).get(link)
        assert read_files(answer.content)["work/note.txt"] == b"mine"
        assert answer.headers["content-type"] == "application/gzip"
        assert 'filename="Explore.tar.gz"' in answer.headers["content-disposition"]
        assert "content-encoding" not in answer.headers


async def test_what_is_no_archive_is_refused(paused, monkeypatch):
    hub, session, _ = await paused()
    monkeypatch.setattr(archive, "build_program_command", lambda *_, **more: ("echo", "hello"))
    answer = await hub.client("alice").get(address(session))
    assert (answer.status_code, answer.json()["code"]) == (503, "download_failed")
    assert not hub.parts.downloading_users


async def test_an_unexpected_error_never_looks_like_the_end(paused, monkeypatch):
    hub, session, _ = await paused()

    async def broken(*_):
        yield ZSTD_ARCHIVE.magic + bytes(1 * MB)
        raise ZeroDivisionError

    monkeypatch.setattr(files, "stream_instance_files", broken)
    direct = httpx.AsyncClient(base_url=hub.app.hub.url, headers=hub.client("alice").headers, trust_env=False)
    async with direct, direct.stream("GET", address(session)) as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
            await answer.aread()
    assert not hub.parts.downloading_users


async def test_a_cancelled_request_closes_what_it_reads():
    reading, closed = asyncio.Event(), asyncio.Event()

    async def endless():
        try:
            yield b"first"
            reading.set()
            await asyncio.Event().wait()
        finally:
            closed.set()

    async def read() -> None:
        handler, source = SimpleNamespace(gone=asyncio.Event()), endless()
        async with aclosing(source), aclosing(files._iterate_while_connected(handler, source)) as pieces:
            async for _ in pieces:
                pass

    request = asyncio.ensure_future(read())
    await reading.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert closed.is_set()


@asynccontextmanager
async def begun(hub, session, name="alice"):
    """A download of which the first piece has come."""
    async with hub.client(name).stream("GET", address(session), timeout=300) as answer:
        assert answer.status_code == 200, await answer.aread()
        pieces = answer.aiter_raw(65_536)
        await anext(pieces)
        yield pieces


async def test_a_large_one_passes_through_in_pieces_one_per_person_and_ends_with_who_goes(paused):
    hub, session, work = await paused(files=[("large", secrets.token_bytes(50 * MB))])
    size = 65_536
    async with begun(hub, session) as pieces:
        (packer,) = packers(work)
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
    assert not packers(work)


def packers(work: Path) -> list[str]:
    """Processes that archive this folder."""
    found = []
    for folder in os.scandir("/proc"):
        if folder.name.isdigit():
            try:
                command = Path(folder.path, "cmdline").read_bytes()
                if b"Stream an untrusted directory" in command and os.fsencode(work) in command:
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
    hub, session, work = await paused(
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
    assert not packers(work)
    async with begun(hub, session):
        assert hub.parts.downloading_users == {"alice"}


async def test_a_reader_above_the_least_rate_gets_all_of_it(paused):
    hub, session, _ = await paused(
        files=[("large", secrets.token_bytes(30 * MB))], Renku={"download_min_rate": 10_000, "download_rate_window": 2}
    )
    size = 65_536
    async with begun(hub, session) as pieces:
        async for piece in pieces:
            size += len(piece)
            if size % MB < 65_536:
                await asyncio.sleep(0.3)  # some 3 MB a second, so that the hub waits for longer than a window
    assert size > 30 * MB


async def test_what_breaks_in_the_middle_is_broken_off_and_what_cannot_begin_is_said(paused, monkeypatch):
    hub, session, work = await paused(files=[("large", secrets.token_bytes(8 * MB))])
    direct = httpx.AsyncClient(base_url=hub.app.hub.url, headers=hub.client("alice").headers, trust_env=False)
    cut = counted("cut")
    async with direct, direct.stream("GET", address(session)) as answer:
        pieces = answer.aiter_raw()
        await anext(pieces)
        (packer,) = packers(work)
        os.kill(int(packer), 9)
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
            async for _ in pieces:
                pass
    assert counted("cut") == cut + 1
    monkeypatch.setattr(archive, "build_program_command", lambda *_, **more: ("false",))
    answer = await hub.client("alice").get(address(session))
    assert (answer.status_code, answer.json()["code"]) == (503, "download_failed")
    assert not hub.parts.downloading_users
