"""Another writer holds SQLite's lock: what was asked for happens once or not at all, and the hub answers meanwhile."""

import contextlib
import sqlite3
import threading
import time

import httpx
import pytest

from tests.faults.own_hub import own_hub
from tests.fixtures.fair import Stopwatch
from tests.spawners import ways

BUSY = "The database is busy. Nothing was changed; please try again."


@contextlib.contextmanager
def locked(hub, seconds):
    """Another process's transaction, open for so many *seconds* and then undone."""
    begun, database = threading.Event(), hub.folder / "hub.sqlite"

    def hold():
        writer = sqlite3.connect(database, isolation_level=None, timeout=60)
        writer.execute("BEGIN IMMEDIATE")
        begun.set()
        time.sleep(seconds)
        writer.execute("ROLLBACK")
        writer.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert begun.wait(60)
    yield thread
    thread.join()


class Pulse:
    """Asks for /hub/health again and again from a thread; knows how long each answer took, in fair seconds."""

    def __init__(self, hub):
        self._url, self._stop, self.took = f"{hub.url}health", threading.Event(), []
        self._thread = threading.Thread(target=self._beat)

    def _beat(self):
        with httpx.Client(timeout=60, trust_env=False) as client:
            while not self._stop.is_set():
                took = Stopwatch()
                assert client.get(self._url).status_code == 200
                self.took.append(took())
                time.sleep(0.005)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def p99(self):
        return sorted(self.took)[int(len(self.took) * 0.99)]


@pytest.fixture(scope="module")
def one_hub(tmp_path_factory):
    with own_hub(tmp_path_factory.mktemp("busy")) as started:
        yield started


@pytest.fixture
def hub(one_hub):
    """A hub that has heard of alice and noted that she was here: what it writes itself waits inside its loop."""
    one_hub.ask("GET", "renku/projects")
    return one_hub


@pytest.fixture
def project(hub):
    """A project of this test alone."""
    return hub.project(f"p{time.monotonic_ns()}")


def titles(hub, project):
    return sorted(item["title"] for item in hub.ask("GET", f"renku/projects/{project}/sessions").json()["items"])


def test_an_action_succeeds_once_while_another_writer_holds_the_lock_for_two_seconds(hub, project):
    (environment,) = hub.ask("GET", "renku/environments").json()["items"]
    body = {"environment": environment["id"], "title": "Explore"}
    with locked(hub, 2), Pulse(hub) as pulse:
        began = time.monotonic()
        answer = hub.ask("POST", f"renku/projects/{project}/sessions", body)
        took = time.monotonic() - began
    assert answer.status_code == 201, answer.text
    assert took > 1, "the lock was in the way"
    assert titles(hub, project) == ["Explore"]
    assert len(pulse.took) > 50
    assert pulse.p99() <= 0.150, f"p99 of {len(pulse.took)}: {pulse.p99() * 1000:.0f} ms"


def test_an_action_is_refused_and_nothing_stored_when_the_lock_is_held_longer(hub, project):
    version = hub.ask("GET", f"renku/projects/{project}").json()["version"]
    (environment,) = hub.ask("GET", "renku/environments").json()["items"]
    body = {"environment": environment["id"], "title": "Explore"}
    with locked(hub, 4.5), Pulse(hub) as pulse:
        began, fair = time.monotonic(), Stopwatch()
        answer = hub.ask("POST", f"renku/projects/{project}/sessions", body)
        took, fairly = time.monotonic() - began, fair()
    assert (answer.status_code, answer.json()["message"]) == (503, BUSY)
    assert int(answer.headers["Retry-After"]) >= 1
    assert took > 2.5
    assert fairly < 4.4
    assert titles(hub, project) == []
    assert hub.ask("GET", f"renku/projects/{project}").json()["version"] == version
    assert pulse.p99() <= 0.150, f"p99 of {len(pulse.took)}: {pulse.p99() * 1000:.0f} ms"
    again = hub.ask("POST", f"renku/projects/{project}/sessions", body)
    assert again.status_code == 201
    assert titles(hub, project) == ["Explore"]


def test_start_and_pause_happen_once_while_another_writer_holds_the_lock(hub, project):
    """The hub's own writes wait inside its loop, so no bar on its answers here."""
    session = hub.session(project, "Explore")
    with locked(hub, 2):
        hub.act(project, session, "start")
    hub.become({"Explore": "running"})
    assert len(ways.servers(hub.workspace)) == 1
    with locked(hub, 2):
        hub.act(project, session, "pause")
    hub.become({"Explore": "paused"})
    assert ways.marked(hub.workspace) == {}


def test_pages_can_be_read_while_another_writer_holds_the_lock(hub, project):
    session = hub.session(project, "Read")
    with locked(hub, 2):
        took = Stopwatch()
        for path in (f"projects/{project}", f"projects/{project}/sessions", f"projects/{project}/sessions/{session}"):
            assert hub.ask("GET", f"renku/{path}").status_code == 200
        assert took() < 1
