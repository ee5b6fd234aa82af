"""`renku-spawner` as people and scripts use it, against a real hub."""

import io
import json
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from renku_spawner.cli import main
from renku_spawner.client import Client, models
from tests.faults.own_hub import OwnHub

HOSTILE = "Ice\x1b]0;owned\x07 \u202eand\x1b[2J snow"


@dataclass
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


Run = Callable[..., Done]


def typed(*arguments: str, stdin: str = "", environ: dict[str, str]) -> Done:
    """What somebody types, without a process of its own, since that takes a while."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for name in ("JUPYTERHUB_API_TOKEN", "JUPYTERHUB_API_URL", "DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
            patch.delenv(name, raising=False)
        for name, value in environ.items():
            patch.setenv(name, value)
        patch.setattr("sys.stdin", io.StringIO(stdin))
        try:
            main(list(arguments))
        except SystemExit as end:
            code = int(end.code or 0)
    assert "Traceback" not in err.getvalue()
    return Done(code, out.getvalue(), err.getvalue())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def run(hub: OwnHub, home: Path) -> Run:
    """`renku-spawner` of alice, who has logged in."""
    environ = {"XDG_CONFIG_HOME": str(home)}
    logged_in = typed("login", hub.url, stdin=f"{hub.alice()}\n", environ=environ)
    assert (logged_in.code, logged_in.err) == (0, "")
    return lambda *arguments, stdin="": typed(*arguments, stdin=stdin, environ=environ)


@pytest.fixture
def client(hub: OwnHub):
    with Client(hub.url, hub.alice()) as client:
        yield client


@pytest.fixture
def session(client: Client, request: pytest.FixtureRequest):
    """A session in a project of its own, with nothing left of it behind the test."""
    path = f"alice/{request.node.name.replace('_', '-')[:30].strip('-').lower()}"
    project = client.add_project(models.ProjectBody(path=path, title="Project"))
    [environment] = client.environments()
    made = client.add_session(project.id, models.SessionBody(environment=environment.id, title="Explore"))
    yield made
    for each in client.mine():
        client.delete_data(each.session)


def test_a_session_is_started_by_its_name_shown_followed_paused_and_deleted(run: Run, session, client: Client):
    path = client.project(session.project).path
    started = run("start", f"{path}:explore")
    assert (started.code, started.out) == (0, client.address(client.session(path, session.id).instance.url) + "\n")
    assert started.err.startswith("Explore: ")
    assert run("open", session.id).out == started.out
    [row] = run("sessions", "--json").json
    assert (row["session"], row["instance"]["status"]) == (session.id, "running")
    assert run("sessions").out.splitlines()[1].split()[:3] == [session.id, f"{path}:Explore", "running"]
    assert run("start", path, "--json").json["status"] == "running"
    assert run("logs", "Explore").code == 0
    assert run("pause", session.id).out in ("Explore: stopping\n", "Explore: paused\n")
    [*_] = client.until_settled(session.project, session.id)
    assert run("open", "Explore").code == 4
    assert run("pause", "--all").err == "Nothing of yours runs.\n"
    asked = run("delete-data", session.id)
    assert (asked.code, "--yes" in asked.err) == (2, True)
    assert run("delete-data", session.id, "--yes").out == "The files of Explore are deleted.\n"
    assert run("delete-data", session.id, "--yes").code == 3
