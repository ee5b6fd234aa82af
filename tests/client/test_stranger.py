"""Servers that are none, or that mean harm: what they say is told in words and does nothing to a terminal."""

import io
import re
from collections.abc import Iterator
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import pytest

from renku_spawner.cli.output import escape_for_terminal, format_log_line, print_table, show_launch_progress
from renku_spawner.client import Busy, Client, ClientError, HubAway, NotUnderstood, Refused
from renku_spawner.web.instances.schemas import InstanceAnswer, InstanceList, MyInstanceAnswer, ProgressAnswer
from renku_spawner.web.sessions.schemas import ProjectList, ResourceClassList
from tests.client.stranger import Stranger, stranger
from tests.client.typed import Done, Terminal, typed

HOSTILE = "Ice\x1b]0;owned\x07 \u202eand\x1b[2J\r\n\x9b31m [red]snow[/] :smile:"
BUSY = {"status": 503, "code": "hub_busy", "message": "Many sessions are starting."}


@pytest.fixture
def server() -> Iterator[Stranger]:
    with stranger() as server:
        yield server


@pytest.fixture
def client(server: Stranger) -> Iterator[Client]:
    with Client(server.url, "s3cret") as client:
        yield client


def run(server: Stranger, folder: Path, *arguments: str, **more: Any) -> Done:
    environ = {"JUPYTERHUB_API_URL": f"{server.url}/hub/api", "JUPYTERHUB_API_TOKEN": "s3cret", "TERM": "xterm"}
    return typed(*arguments, environ=environ | {"XDG_CONFIG_HOME": str(folder)}, **more)


def mine(title: str) -> dict[str, Any]:
    instance = InstanceAnswer(status="failed", message=HOSTILE)
    one = MyInstanceAnswer(session="a2a2a2a2a2a2", title=title, project=None, project_path=None, instance=instance)
    return InstanceList(items=[one]).model_dump(mode="json")


def harmless(text: str) -> bool:
    """Nothing but what is seen, the ends of lines, and our own colours."""
    return all(line.isprintable() for line in re.sub(r"\x1b\[\d+m", "", text).split("\n"))


def test_a_title_neither_moves_the_cursor_nor_hides_anything(server: Stranger, tmp_path: Path):
    server.answers = [(200, {}, mine(HOSTILE))]
    shown = run(server, tmp_path, "sessions", terminal=True)
    assert (shown.code, len(shown.out.splitlines()), harmless(shown.out)) == (0, 2, True)
    assert "Ice\\x1b]0;owned\\x07 \\u202eand" in shown.out
    assert "31m [red]snow[/] :smile:" in shown.out, "this is no markup of ours"
    piped = run(server, tmp_path, "sessions", "--json")
    assert (piped.out.isascii(), piped.json[0]["title"]) == (True, HOSTILE)
    refused = run(server, tmp_path, "open", "a2a2a2a2a2a2", terminal=True)
    assert (refused.code, harmless(refused.err)) == (4, True)


def test_an_error_of_the_hub_does_nothing_to_a_terminal_either(server: Stranger, tmp_path: Path):
    said = {"status": 409, "code": "changed", "message": HOSTILE, "fields": {"title\x1b[2J": HOSTILE}}
    server.answers = [(409, {}, said)]
    done = run(server, tmp_path, "projects", terminal=True)
    assert (done.code, harmless(done.err)) == (4, True)


@pytest.mark.parametrize("progress", [None, 40])
def test_the_progress_of_a_launch_does_nothing_to_a_terminal_but_draw_its_line(
    progress: int | None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "400")
    said = {"session": "a2a2a2a2a2a2", "status": "launching", "stage": "pulling", "stage_text": HOSTILE}
    answer = ProgressAnswer(**said, queue_position=None, progress=progress, elapsed=3, usual=None)
    drawn = Terminal()
    with redirect_stderr(drawn), show_launch_progress(HOSTILE) as show:
        show(answer)
    text = re.sub(r"\x1b\[\??[0-9;]*[a-zA-Z]|[\r\n]", "", drawn.getvalue())
    assert text.isprintable()
    assert text.count("31m [red]snow[/] :smile:") >= 2
    assert text.endswith(", 3 s")
    assert ("about 40 % Ice" in text) == (progress is not None)
    lines = io.StringIO()
    with redirect_stderr(lines), show_launch_progress("Ice") as show:
        show(answer.model_copy(update={"stage_text": "Pulling"}))
        show(answer.model_copy(update={"stage_text": "Pulling", "elapsed": 4}))
        show(answer.model_copy(update={"stage_text": "Starting"}))
    assert lines.getvalue() == "Ice: Pulling\nIce: Starting\n"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("plain\ttext ü 你好", "plain\ttext ü 你好"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]8;;http://evil\x07link\x1b]8;;\x07", "link"),
        ("\x1b]0;title\x1b\\gone", "gone"),
        ("\x1bPq…\x1b\\sixel", "sixel"),
        ("a\x1bcb\x1b(0c\x9b2Jd\x08", "abc\\x9b2Jd\\x08"),
        ("\x1b", ""),
        ("\x1b]52;c;Y2F0", ""),
    ],
)
def test_what_a_session_prints_does_nothing_to_a_terminal_and_is_whole_in_a_pipe(line: str, shown: str):
    assert format_log_line(line, Terminal()) == shown
    assert format_log_line(line, io.StringIO()) == line


def test_columns_stand_below_each_other_whatever_is_in_them(capsys: pytest.CaptureFixture[str]):
    print_table([{"a": "你好", "b": "x", "c": ""}, {"a": "e\u0301", "b": "y", "c": None}])
    assert capsys.readouterr().out == "A     B\n你好  x\ne\u0301     y\n"


def test_no_colours_where_nobody_wants_them(server: Stranger, tmp_path: Path):
    server.answers = [(200, {}, mine("Ice"))]
    assert "\x1b[31mfailed" in run(server, tmp_path, "sessions", terminal=True).out
    environ = {"JUPYTERHUB_API_URL": f"{server.url}/hub/api", "JUPYTERHUB_API_TOKEN": "x", "TERM": "xterm"}
    for more in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert "\x1b" not in typed("sessions", environ=environ | more, terminal=True).out
    assert "\x1b" not in typed("sessions", environ=environ | {"FORCE_COLOR": "1"}).out


def test_a_call_is_made_again_when_the_hub_says_when(server: Stranger, client: Client):
    good = ResourceClassList(items=[]).model_dump(mode="json")
    server.answers = [(503, {"Retry-After": "0"}, BUSY), (429, {"Retry-After": "0"}, BUSY), (200, {}, good)]
    assert client.resource_classes() == []
    assert len(server.asked) == 3


def test_a_hub_that_stays_busy_is_given_up(server: Stranger, client: Client, tmp_path: Path):
    server.answers = [(503, {"Retry-After": "0"}, BUSY)]
    with pytest.raises(Busy, match="Many sessions are starting") as busy:
        client.start("a/b", "a2a2a2a2a2a2")
    assert (len(server.asked), busy.value.retry_after, busy.value.code) == (4, 0, "hub_busy")
    assert run(server, tmp_path, "projects").code == 5


def test_without_a_word_of_when_nothing_is_sent_twice(server: Stranger, client: Client):
    server.answers = [(503, {}, b"<h1>Service unavailable</h1>")]
    with pytest.raises(HubAway, match="The hub behind 127"):
        client.start("a/b", "a2a2a2a2a2a2")
    assert len(server.asked) == 1


def test_the_token_goes_nowhere_but_to_the_address_it_was_given_for(
    server: Stranger, client: Client, monkeypatch, tmp_path
):
    with stranger() as other:
        other.answers = [(200, {}, {})]
        server.answers = [(302, {"Location": f"{other.url}/hub/api/renku/projects"}, b"")]
        with pytest.raises(NotUnderstood, match=rf"redirects to {re.escape(other.url)}"):
            list(client.projects())
        page = ProjectList(items=[], next=f"{other.url}/hub/api/renku/projects?after=x").model_dump(mode="json")
        last = ProjectList(items=[]).model_dump(mode="json")
        server.answers = [(200, {}, page), (200, {}, last)]
        assert list(client.projects()) == []
        assert other.asked == []
    assert server.asked[-1][1] == "/hub/api/renku/projects?limit=100&after=x"


def test_a_netrc_does_not_take_the_tokens_place(server: Stranger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password other\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    server.answers = [(200, {}, ResourceClassList(items=[]).model_dump(mode="json"))]
    Client(server.url, "s3cret").resource_classes()
    assert server.asked[0][2] == "token s3cret"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, b"<html>Welcome</html>", NotUnderstood),
        (200, b'{"items": [{"id": 1}]}', NotUnderstood),
        (200, b"[]", NotUnderstood),
        (404, b"<html>Not here</html>", NotUnderstood),
        (500, {"status": 500, "code": "internal", "message": "Something went wrong."}, HubAway),
        (502, b"Bad gateway", HubAway),
        (400, {"status": 400, "code": "malformed", "message": "No."}, Refused),
        (418, {"message": ["not", "a", "text"], "fields": ["x"]}, Refused),
    ],
)
def test_what_is_no_answer_of_a_hub_is_told_apart(
    server: Stranger, client: Client, status: int, body: object, kind: type[ClientError]
):
    server.answers = [(status, {}, body)]
    with pytest.raises(kind) as problem:
        list(client.projects())
    assert str(problem.value)


# ---- what the own hub of these tests does not have: environments with images, many orphans ---------


def environment(id: str, name: str, state: str = "active") -> dict[str, Any]:
    usage = {"projects": 0, "sessions": 0, "newest": 0, "running": 0, "starts": 0, "failed": 0, "last_used": None}
    run = dict.fromkeys(("uid", "gid")) | {"default_url": "/lab", "port": 8888, "command": [], "arguments": []}
    said = {"kind": "default", "description": "", "keywords": [], "image": "quay.io/a/b:1", "digest": None}
    said |= {"revision": 1, "built": None, "icon": "", "message": "", "successor": None, "created_by": "root"}
    said |= {"created_at": "2026-11-28T10:00:00Z", "version": 3, "configured": False, "archived_at": None}
    said |= {"run": run | {"working_directory": "/work", "image_user": False}, "usage": usage, "revisions": []}
    return said | {"id": id, "name": name, "state": state, "nodes": None, "nodes_problem": ""}


def test_an_environment_is_added_and_another_archived_with_a_successor(server: Stranger, tmp_path: Path):
    server.answers = [(201, {}, environment("a2a2a2a2a2a2", "New", "draft"))]
    done = run(server, tmp_path, "environments", "add", "New", "quay.io/a/b:1", "--keyword", "ice", "--keyword", "snow")
    assert (done.code, done.out) == (0, "New (a2a2a2a2a2a2) is draft: quay.io/a/b:1\n")
    sent = {"name": "New", "image": "quay.io/a/b:1", "description": "", "keywords": ["ice", "snow"], "state": "draft"}
    assert (server.asked[-1][:2], server.bodies[-1]) == (("POST", "/hub/api/renku/environments"), sent)
    old, new = environment("b2b2b2b2b2b2", "Old"), environment("a2a2a2a2a2a2", "New")
    listed = {"items": [old, new], "next": None}
    server.answers = [(200, {}, listed), (200, {}, old), (200, {}, listed), (200, {}, old | {"state": "archived"})]
    done = run(server, tmp_path, "environments", "archive", "OLD", "--successor", "new", "--message", "Moved")
    assert (done.code, done.out) == (0, "Old is archived.\n")
    assert server.asked[-1][:2] == ("POST", "/hub/api/renku/environments/b2b2b2b2b2b2/archive")
    assert server.bodies[-1] == {"version": 3, "message": "Moved", "successor": "a2a2a2a2a2a2"}
    server.answers = [(200, {}, {"items": [old, old | {"id": "c2c2c2c2c2c2"}], "next": None})]
    assert run(server, tmp_path, "environments", "archive", "Old").code == 2


def test_orphans_that_can_go_are_removed_by_kind_and_two_hundred_at_once(server: Stranger, tmp_path: Path):
    def orphan(kind: str, name: str, hindrance: str | None = None) -> dict[str, Any]:
        said = {"username": "", "session": "", "title": "", "size": None, "since": None}
        return said | {"kind": kind, "name": name, "hindrance": hindrance}

    items = [orphan("pod", f"p{n}") for n in range(201)] + [orphan("claim", "c1"), orphan("claim", "c2", "Too young")]
    found = {"items": items, "counts": {"pod": 201, "claim": 2}, "unknown": None, "warning": None}
    server.answers = [
        (200, {}, found),
        (200, {}, {"removed": 1}),
        (200, {}, {"removed": 200}),
        (200, {}, {"removed": 0}),
    ]
    done = run(server, tmp_path, "orphans", "--remove", stdin="remove 202\n", terminal=True)
    assert (done.code, done.out.splitlines()[-3:]) == (0, ["claim: 1 removed", "pod: 200 removed", "pod: 0 removed"])
    sent = [(body["kind"], len(body["names"])) for body in server.bodies[1:]]
    assert sent == [("claim", 1), ("pod", 200), ("pod", 1)]
    server.answers = [(200, {}, found)]
    assert run(server, tmp_path, "orphans", "--remove", stdin="yes\n", terminal=True).code == 4
    assert run(server, tmp_path, "orphans", "--remove").code == 2
    server.answers = [(200, {}, found | {"unknown": "The cluster does not answer."})]
    assert run(server, tmp_path, "orphans").code == 5


def test_what_is_written_out_can_be_read_back():
    assert escape_for_terminal("a\x00\x1b\u2028\u202e\U000e0001b") == "a\\x00\\x1b\\u2028\\u202e\\U000e0001b"
    assert escape_for_terminal("👩\u200d💻 é") == "👩\u200d💻 é"
