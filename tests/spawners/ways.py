"""Short ways to act on a session as its users do, and to see what really runs on the machine."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
from jupyterhub import orm

from renku_spawner.domain.projects import NewRepository
from renku_spawner.domain.sessions import Session
from renku_spawner.spawners.local.process import list_processes, read_process_command, read_process_environment
from tests.fixtures.renku import RenkuHub, until

MARKER = b"RENKU_INSTANCE_DIR"


def address(session: Session) -> str:
    return f"api/renku/projects/{session.project}/sessions/{session.id}"


async def start(hub: RenkuHub, session: Session, name: str = "alice", **body: str) -> httpx.Response:
    return await hub.client(name).post(f"{address(session)}/start", json=body)


async def pause(hub: RenkuHub, session: Session, name: str = "alice") -> httpx.Response:
    return await hub.client(name).post(f"{address(session)}/pause")


async def delete(hub: RenkuHub, session: Session, name: str = "alice") -> httpx.Response:
    """The answer when it is done: a busy machine does not stop and delete in the two seconds of one request."""

    async def done() -> httpx.Response | None:
        answer = await hub.client(name).delete(f"{address(session)}/instance")
        goes_on = answer.status_code == 202 or (answer.status_code == 409 and answer.json()["code"] == "stopping")
        return None if goes_on else answer

    answer: httpx.Response = await until(done, why=f"the data of {session.title} is deleted")
    return answer


async def shown(hub: RenkuHub, session: Session, name: str = "alice") -> dict[str, Any]:
    """What the API says of somebody's instance."""
    return dict((await hub.client(name).get(address(session))).json()["instance"])


def marked(folder: Path) -> dict[int, bytes]:
    """The living processes of instances at or below *folder*: pid and the instance's folder."""
    root = os.fsencode(folder.resolve())
    found = {p.pid: read_process_environment(p.pid).get(MARKER, b"") for p in list_processes() if p.is_alive}
    return {pid: mark for pid, mark in found.items() if (mark + b"/").startswith(root + b"/")}


def servers(folder: Path) -> list[int]:
    """The processes of sessions at or below *folder*, without what clones."""
    return [pid for pid in marked(folder) if any("tiny_server" in word for word in read_process_command(pid))]


def argv(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")


def environ(pid: int) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in read_process_environment(pid).items()}


def rows(hub: RenkuHub) -> dict[tuple[str, str], Any]:
    """The hub's named servers with their stored options, running or not."""
    hub.app.db.expire_all()
    return {(row.user.name, row.name): row.user_options for row in hub.app.db.query(orm.Spawner) if row.name}


def failure_count(hub: RenkuHub) -> int:
    """The hub's counter that ends the hub when it grows."""
    return int(hub.app.tornado_settings.get("failure_count", 0))


@contextlib.asynccontextmanager
async def hanging_host() -> AsyncIterator[Callable[..., NewRepository]]:
    """A host that takes connections and never answers; gives repositories that lie there."""

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]

    def repository(directory: str = "slow") -> NewRepository:
        return NewRepository(url=f"http://127.0.0.1:{port}/slow.git", directory=directory)

    repository.host = f"127.0.0.1:{port}"  # type: ignore[attr-defined]
    try:
        yield repository
    finally:
        server.close()
        await server.wait_closed()
