"""One hub for all of this: it is asked over HTTP only, as from another machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from renku_spawner.client import Client
from renku_spawner.web.schemas import ProjectBody, SessionBody
from renku_spawner.web.sessions.schemas import SessionAnswer
from tests.client.typed import Run, typed
from tests.faults.own_hub import OwnHub, own_hub


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnHub]:
    with own_hub(tmp_path_factory.mktemp("hub")) as hub:
        yield hub


def environ_of(folder: Path) -> dict[str, str]:
    return {"XDG_CONFIG_HOME": str(folder), "TERM": "xterm"}


def login_file(folder: Path) -> Path:
    return folder / "renku-spawner" / "login.json"


def logged_in(hub: OwnHub, name: str, folder: Path) -> Run:
    """`renku-spawner` of somebody who has logged in."""
    environ = environ_of(folder)
    done = typed("login", hub.url, stdin=f"{hub.token(name)}\n", environ=environ)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"You are logged in at {hub.url.removesuffix('/hub/')} as {name}.")
    return lambda *arguments, **more: typed(*arguments, environ=environ, **more)


@pytest.fixture
def run(hub: OwnHub, tmp_path: Path) -> Run:
    return logged_in(hub, "alice", tmp_path)


@pytest.fixture
def client(hub: OwnHub):
    with Client(hub.url, hub.alice()) as client:
        yield client


@pytest.fixture
def path(client: Client, request: pytest.FixtureRequest) -> Iterator[str]:
    """A project of its own for the test, with a session; nothing of it runs any more afterwards."""
    path = f"alice/{request.node.name.replace('_', '-')[5:35].strip('-').lower()}"
    client.add_project(ProjectBody(path=path, title="Project"))
    environment = next(client.environments())
    client.add_session(path, SessionBody(environment=environment.id, title="Explore"))
    yield path
    for each in client.mine():
        client.delete_data(each.session)


@pytest.fixture
def session(path: str, client: Client) -> SessionAnswer:
    """The only one of that project."""
    return next(client.sessions(path))
