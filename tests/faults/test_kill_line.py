"""The hub is killed while starts wait in line: they are in it again, in the same order, and begin by themselves."""

import sqlite3

from tests.faults.own_hub import until


def standing(hub, where):
    """Who stands where: place, title and person."""
    found = []
    for title, (project, session, name) in where.items():
        told = hub.ask("GET", f"renku/projects/{project}/sessions/{session}", token=hub.token(name)).json()["instance"]
        found.append((told["queue_position"], told["stage"], title))
    return sorted(found, key=lambda each: each[0] or 0)


def began(hub):
    """Titles in the order in which their starts left the line, and how long each says that it waited there."""
    with sqlite3.connect(hub.folder / "hub.sqlite") as database:
        return database.execute(
            "SELECT s.title, l.username, l.ready_at IS NOT NULL, l.stages FROM renku_launches l "
            "JOIN renku_sessions s ON s.id = l.session ORDER BY l.requested_at"
        ).fetchall()


def test_after_a_kill_the_line_is_as_it_was_and_goes_on(own):
    hub = own(at_once=1)
    project = hub.project(visibility="public")
    sessions = {title: hub.session(project, title) for title in ("second", "third")}
    sessions["first"] = hub.session(project, "first", TINY_WAIT="1")
    who = [("first", "alice"), ("second", "alice"), ("third", "alice"), ("second", "bob")]
    for title, name in who:
        path = f"renku/projects/{project}/sessions/{sessions[title]}/start"
        assert hub.ask("POST", path, {}, token=hub.token(name)).status_code == 202
    where = {f"{title} of {name}": (project, sessions[title], name) for title, name in who}
    expected = [(1, "queued", "second of alice"), (2, "queued", "second of bob"), (3, "queued", "third of alice")]
    until(lambda: standing(hub, where)[0][1] == "waiting", why="the first comes up")
    assert standing(hub, where)[1:] == expected
    hub.kill()
    hub.start()
    assert standing(hub, where)[1:] == expected
    assert [title for title, *_ in began(hub)] == ["first"]
    with sqlite3.connect(hub.folder / "hub.sqlite") as database:
        ((claim,),) = database.execute("SELECT claim FROM renku_instances WHERE session = ?", [sessions["first"]])
    (hub.workspace / claim / "work" / "go").touch()
    until(lambda: len(began(hub)) == 4 and all(ready for *_, ready, _ in began(hub)), why="all run")
    assert [(title, name) for title, name, *_ in began(hub)] == [who[0], who[1], who[3], who[2]]
    assert all('"queued"' in stages for *_, stages in began(hub)[1:])
    hub.become({"first": "running", "second": "running", "third": "running"})
