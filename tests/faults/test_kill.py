"""The hub is killed at the worst moment and started again: all is as it was, nothing runs twice, nothing is lost."""

import os
import signal
import sqlite3

import httpx
import pytest

from renku_spawner.spawners.local.process import find_process
from tests.faults.own_hub import until
from tests.fixtures.fair import Stopwatch
from tests.spawners import ways

# What alice sees before the kill, within ten seconds of the restart, and when all has come to rest.
TABLE = {
    "cloning": ("launching", "launching", "running"),
    "before its process": ("launching", "launching", "running"),
    "not answering yet": ("launching", "launching", "running"),
    "crashed meanwhile": ("launching", "launching", "running"),
    "running": ("running", "running", "running"),
    "ended meanwhile": ("running", "failed", "failed"),
    "forgotten by the hub": ("running", "failed", "failed"),
    "pausing": ("stopping", "paused", "paused"),
    "paused": ("paused", "paused", "paused"),
    "failed": ("failed", "failed", "failed"),
}
PROGRAMS = {
    **{title: {"TINY_WAIT": "1"} for title in ("before its process", "not answering yet", "crashed meanwhile")},
    "pausing": {"TINY_STUBBORN": "1"},
    "failed": {"TINY_EXIT": "1"},
}
ENDED_WHY = {
    "ended meanwhile": "lost",
    "forgotten by the hub": "lost",
    "failed": "crash_exit",
    "paused": "stopped_by_user",
}
KEEPS_ITS_PROCESS = {"not answering yet", "running"}


def column(number):
    return {title: row[number] for title, row in TABLE.items()}


def recorded(hub):
    """What is stored: the run, the working directory and the process of each session, by title."""
    with sqlite3.connect(hub.folder / "hub.sqlite") as database:
        rows = database.execute(
            "SELECT s.title, i.run, i.claim FROM renku_instances i JOIN renku_sessions s ON s.id = i.session"
        ).fetchall()
    return {title: (run, hub.workspace / claim) for title, run, claim in rows}


def launches(hub):
    with sqlite3.connect(hub.folder / "hub.sqlite") as database:
        return [row[0] for row in database.execute("SELECT id FROM renku_launches ORDER BY id")]


def processes(hub):
    """The servers of each session, by title."""
    return {title: ways.servers(folder) for title, (_, folder) in recorded(hub).items()}


def kill_servers(hub, title):
    """As if they had died together with the hub."""
    for pid in processes(hub)[title]:
        process = find_process(pid)
        os.kill(pid, signal.SIGKILL)
        until(lambda process=process: (now := find_process(process.pid)) is None or now.identity != process.identity)


@pytest.fixture
def many(own, hanging):
    """A hub with a session in each state of the table."""
    hub = own(hosts={hanging.host}, more="c.JupyterHub.cleanup_servers = False")
    plain = hub.project()
    hung = hub.project("hung", repositories=[{"url": f"http://{hanging.host}/slow.git"}])
    projects = {title: hung if title == "cloning" else plain for title in TABLE}
    hub.sessions = {title: hub.session(projects[title], title, **PROGRAMS.get(title, {})) for title in TABLE}
    hub.projects = projects
    for title in TABLE:
        hub.act(projects[title], hub.sessions[title], "start")
    hub.become(dict.fromkeys(("running", "ended meanwhile", "forgotten by the hub", "pausing", "paused"), "running"))
    hub.act(plain, hub.sessions["paused"], "pause")
    for _, folder in recorded(hub).values():
        (folder / "work").mkdir(parents=True, exist_ok=True)
        (folder / "work" / "note.txt").write_text("kept")
    for title in ("before its process", "not answering yet", "crashed meanwhile"):
        until(lambda title=title: ways.servers(recorded(hub)[title][1]), why=f"{title} has a process")
    until(lambda: hanging.asked, why="git asks")
    hub.become({"paused": "paused", "failed": "failed"})
    hub.act(plain, hub.sessions["pausing"], "pause")
    return hub


def end(hub, way):
    hub.kill() if way == "kill" else hub.stop()


def ended(hub, way):
    """End the hub; some servers die with it, and two records are left as at an unlucky moment."""
    end(hub, way)
    for title in ("ended meanwhile", "crashed meanwhile", "before its process"):
        kill_servers(hub, title)
    with sqlite3.connect(hub.folder / "hub.sqlite") as database:
        unborn, forgotten = hub.sessions["before its process"], hub.sessions["forgotten by the hub"]
        database.execute("UPDATE renku_instances SET observed = 'starting' WHERE session = ?", [unborn])
        database.execute("UPDATE spawners SET server_id = NULL WHERE name = ?", [forgotten])


def released(hub, hanging):
    """Let everything that waits go on."""
    hanging.release()
    for _, folder in recorded(hub).values():
        (folder / "work" / "go").touch()


def answers(hub, title):
    """What a session says through the proxy."""
    return until(lambda: routed(hub, title), seconds=10, why=f"the proxy leads to {title}")


@pytest.mark.parametrize("ways", [["kill"], ["stop"], ["kill", "stop"], ["stop", "kill"]], ids=" then ".join)
def test_after_its_end_all_statuses_are_right_and_nothing_runs_twice(many, hanging, ways):
    """However the hub ends: it has been told to leave sessions running."""
    hub = many
    hub.become(column(0))
    before, runs, begun = processes(hub), recorded(hub), launches(hub)
    ended(hub, ways[0])
    took = hub.start()
    for way in ways[1:]:
        hub.become(column(1), seconds=20)
        end(hub, way)
        took = hub.start()
    assert took < 8, f"the hub served after {took:.1f} s"
    hub.become(column(1), seconds=10 - took)
    assert answers(hub, "running") == f"hello from {hub.sessions['running']}"
    assert {title: hub.reasons()[title] for title in ENDED_WHY} == ENDED_WHY
    released(hub, hanging)
    hub.become(column(2))
    assert recorded(hub) == runs, "the same runs go on, in the same folders"
    assert launches(hub) == begun, "no start was begun"
    after = processes(hub)
    assert {title: len(pids) for title, pids in after.items()} == {
        title: int(row[2] == "running") for title, row in TABLE.items()
    }
    assert {title: after[title] for title in KEEPS_ITS_PROCESS} == {title: before[title] for title in KEEPS_ITS_PROCESS}
    for title in [title for title, row in TABLE.items() if row[2] == "running"]:
        assert answers(hub, title) == f"hello from {hub.sessions[title]}"
    assert {(folder / "work" / "note.txt").read_text() for _, folder in recorded(hub).values()} == {"kept"}


def routed(hub, title):
    """What answers for a session through the proxy; empty if nothing of ours does."""
    answer = hub.client.get(f"{hub.url.removesuffix('hub/')}user/alice/{hub.sessions[title]}/")
    return answer.text if answer.status_code == 200 and answer.text.startswith("hello from") else ""


def test_during_the_check_starts_begin_nothing_twice_and_pauses_stop_and_revoke_the_token(many):
    hub = many
    runs = recorded(hub)
    tokens = {title: ways.environ(pids[0])["JUPYTERHUB_API_TOKEN"] for title, pids in processes(hub).items() if pids}
    hub.become(column(0))
    for token in tokens.values():
        assert hub.ask("GET", "user", token=token).status_code == 200
    hub.kill()
    hub.start()
    # At once, so that some are still being looked at.
    for title in ("crashed meanwhile", "running") * 3:
        hub.act(hub.projects[title], hub.sessions[title], "start")
    for title in ("not answering yet", "cloning", "before its process", "running"):
        took = Stopwatch()
        hub.act(hub.projects[title], hub.sessions[title], "pause")
        assert took() < 1, f"{title} was answered late"
    ended = ("not answering yet", "cloning", "before its process", "running")
    until(lambda: not any(ways.marked(recorded(hub)[title][1]) for title in ended), seconds=10, why="all have ended")
    hub.become(dict.fromkeys((*ended, "pausing"), "paused"), seconds=10)
    for title in ("not answering yet", "before its process", "running", "pausing"):
        assert until(
            lambda title=title: hub.ask("GET", "user", token=tokens[title]).status_code == 403, seconds=5, why=title
        )
    hub.act(hub.projects["running"], hub.sessions["running"], "start")
    (recorded(hub)["crashed meanwhile"][1] / "work" / "go").touch()
    hub.become({"running": "running", "crashed meanwhile": "running"})
    assert recorded(hub)["crashed meanwhile"] == runs["crashed meanwhile"]
    assert [len(processes(hub)[title]) for title in ("running", "crashed meanwhile")] == [1, 1]


def test_ctrl_c_ends_everything_and_the_next_hub_finds_it_paused(own):
    hub = own(stop_grace=1)
    project = hub.project()
    titles = {"first": {}, "stubborn": {"TINY_STUBBORN": "1"}}
    hub.sessions = {title: hub.session(project, title, **variables) for title, variables in titles.items()}
    for session in hub.sessions.values():
        hub.act(project, session, "start")
    hub.become(dict.fromkeys(titles, "running"))
    for _, folder in recorded(hub).values():
        (folder / "work" / "note.txt").write_text("kept")
    proxy = int((hub.folder / "proxy.pid").read_text().split()[0])
    assert hub.interrupt() < 20
    assert ways.marked(hub.workspace) == {}
    until(lambda: (p := find_process(proxy)) is None or not p.is_alive, seconds=5, why="the proxy has ended")
    with pytest.raises(httpx.TransportError):
        hub.client.get(f"{hub.url}health")
    hub.start()
    hub.become(dict.fromkeys(titles, "paused"), seconds=10)
    assert hub.reasons() == dict.fromkeys(titles, "stopped_by_hub"), "its owner reads why"
    page = hub.page(f"renku/projects/alice/climate/-/sessions/{hub.sessions['first']}")
    assert "Paused from outside: the hub was shut down" in page
    for session in hub.sessions.values():
        hub.act(project, session, "start")
    hub.become(dict.fromkeys(titles, "running"))
    for _, folder in recorded(hub).values():
        assert (folder / "work" / "note.txt").read_text() == "kept"
    assert hub.interrupt() < 20
