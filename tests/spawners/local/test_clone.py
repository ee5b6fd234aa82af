"""Repositories come into the working directory whole, or not at all and with a reason."""

import asyncio
import importlib
import json
import math
import os
import resource
import socket
import subprocess
import sys
import threading
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from renku_spawner.spawners.local.clone import CLONE_SCRIPT_PATH, clone_repositories, read_clone_report
from renku_spawner.spawners.local.folders import InstanceFolders
from renku_spawner.spawners.local.process import stop_server_process
from tests.fixtures.credentials import hub_that_is_asked
from tests.fixtures.fair import stretched

from .conftest import git

ENV = {"PATH": os.environ["PATH"]}
SCRIPT = [sys.executable, "-I", str(CLONE_SCRIPT_PATH)]


@pytest.fixture
def folder(tmp_path):
    return InstanceFolders(tmp_path / "instances").create_folder("abcdefghijkl")


def row(url: str, directory: str = "code", **more):
    return {"directory": directory, "url": url, "ref": None, "lfs": False, "submodules": False, **more}


async def anywhere(host, _port):
    return [host]


async def clone(folder, *rows, **more):
    return await clone_repositories(folder, rows, **({"env": ENV, "vet": anywhere} | more))


async def one(folder, url, **more):
    (result,) = await clone(folder, row(url, **more))
    return result


def names(folder):
    return sorted(path.name for path in folder.work_dir.iterdir())


async def test_a_repository_is_cloned_and_reported(folder, upstream):
    commit = upstream.commit("code", a="1")
    result = await one(folder, upstream.url("code"))
    assert (result.outcome, result.code, result.message, result.commit) == ("cloned", None, "", commit)
    assert (folder.work_dir / "code" / "a").read_text() == "1"
    assert read_clone_report(folder) == [result]
    assert names(folder) == ["code"]


async def test_a_clone_can_be_pulled(folder, upstream):
    upstream.commit("code", a="1")
    await one(folder, upstream.url("code"))
    upstream.commit("code", a="2")
    git(folder.work_dir / "code", "pull", "--quiet")
    assert (folder.work_dir / "code" / "a").read_text() == "2"


@pytest.mark.parametrize("branch", ["side", "feature/x#1", "main", "abcdef1"])
async def test_a_branch_ends_on_a_local_branch_that_can_be_pulled(folder, upstream, branch):
    upstream.commit("code", a="1")
    commit = upstream.commit("code", branch, a="2")
    assert (await one(folder, upstream.url("code"), ref=branch)).commit == commit
    assert git(folder.work_dir / "code", "symbolic-ref", "--short", "HEAD") == branch
    assert git(folder.work_dir / "code", "status", "--porcelain") == ""
    upstream.commit("code", branch, a="3")
    git(folder.work_dir / "code", "pull", "--quiet")
    assert (folder.work_dir / "code" / "a").read_text() == "3"


@pytest.mark.parametrize("annotated", [True, False])
async def test_a_tag_is_checked_out(folder, upstream, annotated):
    commit = upstream.commit("code", a="1")
    git(upstream.source("code"), "tag", *(("-a", "-m", "first") if annotated else ()), "v1.0")
    git(upstream.source("code"), "push", "--quiet", "--tags", "origin")
    upstream.commit("code", a="2")
    assert (await one(folder, upstream.url("code"), ref="v1.0")).commit == commit
    assert (folder.work_dir / "code" / "a").read_text() == "1"


@pytest.mark.parametrize("length", [7, 12, 40])
async def test_a_commit_of_another_branch_is_checked_out(folder, upstream, length):
    upstream.commit("code", a="1")
    commit = upstream.commit("code", "side", a="2")
    upstream.commit("code", "side", a="3")
    assert (await one(folder, upstream.url("code"), ref=commit[:length])).commit == commit
    assert (folder.work_dir / "code" / "a").read_text() == "2"


async def test_a_commit_that_no_branch_leads_to_is_fetched(folder, upstream):
    upstream.commit("code", a="1")
    commit = upstream.commit("code", "side", a="2")
    git(upstream.source("code"), "push", "--quiet", "origin", "side:refs/merge-requests/1/head", ":side")
    assert (await one(folder, upstream.url("code"), ref=commit)).commit == commit


@pytest.mark.parametrize("ref", ["nowhere", "0123456", "0" * 40, "v2.0"])
async def test_a_ref_that_does_not_exist_fails_and_leaves_nothing(folder, upstream, ref):
    upstream.commit("code", a="1")
    result = await one(folder, upstream.url("code"), ref=ref)
    assert (result.outcome, result.code) == ("failed", "clone_ref")
    assert result.message
    assert names(folder) == []


async def test_an_empty_repository_is_cloned(folder, upstream):
    git(upstream.folder, "init", "--quiet", "--bare", "empty.git")
    result = await one(folder, upstream.url("empty"))
    assert (result.outcome, result.commit) == ("cloned", None)
    assert (folder.work_dir / "code" / ".git").is_dir()


async def test_what_is_there_is_kept(folder, upstream):
    upstream.commit("code", a="1")
    await one(folder, upstream.url("code"))
    (folder.work_dir / "code" / "a").write_text("mine")
    upstream.commit("code", a="2")
    assert (await one(folder, upstream.url("code"))).outcome == "kept"
    assert (folder.work_dir / "code" / "a").read_text() == "mine"


@pytest.mark.parametrize("kind", ["folder", "file", "link", "dead link"])
async def test_what_is_in_the_way_is_never_overwritten(folder, upstream, tmp_path, kind):
    upstream.commit("code", a="1")
    (tmp_path / "elsewhere").mkdir()
    target = folder.work_dir / "code"
    if kind == "folder":
        target.mkdir()
        (target / "a").write_text("mine")
    elif kind == "file":
        target.write_text("mine")
    else:
        target.symlink_to(tmp_path / ("elsewhere" if kind == "link" else "nowhere"))
    before = (os.lstat(target).st_ino, os.lstat(target).st_mtime_ns)
    result = await one(folder, upstream.url("code"))
    assert (result.outcome, result.code) == ("failed", "clone_in_the_way")
    assert result.message == "Something else is called code already."
    assert (os.lstat(target).st_ino, os.lstat(target).st_mtime_ns) == before
    assert list((tmp_path / "elsewhere").iterdir()) == []


async def test_an_empty_folder_is_filled(folder, upstream):
    upstream.commit("code", a="1")
    (folder.work_dir / "code").mkdir()
    assert (await one(folder, upstream.url("code"))).outcome == "cloned"


async def test_leftovers_of_a_killed_run_are_removed(folder, upstream):
    upstream.commit("code", a="1")
    left = folder.work_dir / ".renku-clone-code-abc"
    left.mkdir()
    (left / "half").write_text("x")
    assert (await one(folder, upstream.url("code"))).outcome == "cloned"
    assert names(folder) == ["code"]


async def test_one_failure_does_not_touch_the_others(folder, upstream):
    upstream.commit("good", a="1")
    results = await clone(
        folder,
        row(upstream.url("good"), "first"),
        row(upstream.url("missing"), "second"),
        row(upstream.url("good"), "third"),
    )
    assert [(each.directory, each.outcome) for each in results] == [
        ("first", "cloned"),
        ("second", "failed"),
        ("third", "cloned"),
    ]
    assert "not found" in results[1].message
    assert names(folder) == ["first", "third"]


async def test_a_failed_clone_is_tried_again(folder, upstream):
    assert (await one(folder, upstream.url("code"))).outcome == "failed"
    upstream.commit("code", a="1")
    assert (await one(folder, upstream.url("code"))).outcome == "cloned"


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        ({"directory": "../x"}, "clone_failed"),
        ({"directory": ".git"}, "clone_failed"),
        ({"directory": ".."}, "clone_failed"),
        ({"directory": "-x"}, "clone_failed"),
        ({"directory": "a/b"}, "clone_failed"),
        ({"directory": ""}, "clone_failed"),
        ({"directory": ".renku-clone-x"}, "clone_failed"),
        ({"url": "ext::sh -c 'touch {canary}'"}, "clone_failed"),
        ({"url": "ext::touch%20{canary}"}, "clone_failed"),
        ({"url": "file://{served}/code.git"}, "clone_failed"),
        ({"url": "{served}/code.git"}, "clone_failed"),
        ({"url": "--upload-pack=touch {canary}"}, "clone_failed"),
        ({"url": "https://ada:hunter2@example.org/x.git"}, "clone_failed"),
        ({"url": "ssh://git@example.org/x.git"}, "clone_failed"),
        ({"url": "https://example.org/x.git\n--bare"}, "clone_failed"),
        ({"url": "https:///x.git"}, "clone_failed"),
        ({"ref": "--output={canary}"}, "clone_ref"),
        ({"ref": "-f"}, "clone_ref"),
        ({"ref": "main\n"}, "clone_ref"),
        ({"ref": "main..side"}, "clone_ref"),
        ({"ref": "$(touch {canary})"}, "clone_ref"),
        ({"ref": "HEAD@{{0}}"}, "clone_ref"),
        ({"ref": ""}, "clone_ref"),
    ],
)
async def test_a_hostile_row_is_refused_and_runs_nothing(folder, upstream, tmp_path, bad, code):
    upstream.commit("code", a="1")
    canary = tmp_path / "canary"
    bad = {key: value.format(canary=canary, served=upstream.folder) for key, value in bad.items()}
    (result,) = await clone(folder, row(upstream.url("code")) | bad)
    assert (result.outcome, result.code) == ("failed", code)
    assert "hunter2" not in result.message
    assert not canary.exists()
    assert names(folder) == []


async def test_only_the_allowed_protocols_are_spoken(folder, upstream):
    upstream.commit("code", a="1")
    result = await one(folder, upstream.url("code"))
    assert result.outcome == "cloned"
    (result,) = await clone(folder, row(upstream.url("code"), "other"), protocols=["https"])
    assert result.message == "Only https addresses without a user name can be cloned."


class _Denies(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="x"')
        self.end_headers()

    def log_message(self, *_):
        pass


async def test_a_private_repository_fails_without_a_question(folder):
    with ThreadingHTTPServer(("127.0.0.1", 0), _Denies) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        result = await one(folder, f"http://127.0.0.1:{server.server_port}/x.git")
        server.shutdown()
    assert (result.outcome, result.code) == ("failed", "clone_auth")
    assert "could not read Username" in result.message


async def test_nobodys_credentials_are_used(folder, tmp_path):
    asked = []

    class Listens(_Denies):
        def do_GET(self):
            asked.append(self.headers.get("Authorization"))
            super().do_GET()

    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login ada password hunter2\n")
    (tmp_path / ".gitconfig").write_text('[credential]\nhelper = "!echo username=ada; echo password=hunter2"\n')
    with ThreadingHTTPServer(("127.0.0.1", 0), Listens) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        rows = [row(f"http://127.0.0.1:{server.server_port}/x.git")]
        await clone(folder, *rows, env={**ENV, "HOME": str(tmp_path)})
        server.shutdown()
    assert asked
    assert set(asked) == {None}


async def test_the_hub_is_asked_for_credentials_of_that_gitlab_alone(folder):
    asked = []

    class Listens(_Denies):
        def do_GET(self):
            asked.append(self.headers.get("Authorization"))
            super().do_GET()

    with hub_that_is_asked() as hub, ThreadingHTTPServer(("127.0.0.1", 0), Listens) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        gitlab = f"http://127.0.0.1:{server.server_port}"
        url, env = f"{gitlab}/a/x.git", {**ENV, **hub.environment}
        for credentials in (f"{gitlab}1", gitlab):
            result = (await clone(folder, row(url), env=env, credentials=credentials))[0]
            assert result.code == "clone_auth"
            assert bool(hub.questions) == (credentials == gitlab)
        hub.status, hub.answer = 403, {"message": "You are not a member."}
        refused = (await clone(folder, row(url), env=env, credentials=gitlab))[0]
        server.shutdown()
    assert "Basic " + b64encode(b"oauth2:fresh-token").decode() in asked
    assert hub.questions[0][2] == {"protocol": "http", "host": gitlab.removeprefix("http://"), "path": "a/x.git"}
    assert (refused.code, "renku: You are not a member." in refused.message) == ("clone_auth", True)


async def test_a_silent_server_costs_its_own_time_only(folder, upstream):
    upstream.commit("code", a="1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x.git"
        seconds = math.ceil(stretched(3))
        results = await clone(folder, row(url, "slow"), row(upstream.url("code")), timeout=seconds)
    assert [(each.outcome, each.code) for each in results] == [("failed", "clone_failed"), ("cloned", None)]
    assert results[0].message == f"It took longer than {seconds} seconds."
    assert names(folder) == ["code"]


async def test_a_server_that_is_not_there_is_a_failure_with_words(folder):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    result = await one(folder, f"http://127.0.0.1:{port}/x.git")
    assert (result.outcome, result.code) == ("failed", "clone_failed")
    assert result.message == "Could not connect to 127.0.0.1."


async def test_a_server_that_complains_without_end_is_told_shortly(folder):
    class Complaining(BaseHTTPRequestHandler):
        def do_GET(self):
            body = b"->" * 300_000 + b"\n" + b"->a:1: " * 10_000 + b"\nthe end"
            self.send_response(500)
            self.send_header("Content-Type", "text/plain")  # git shows it
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Complaining) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            async with asyncio.timeout(60):
                result = await one(folder, f"http://127.0.0.1:{server.server_port}/x.git")
        finally:
            await asyncio.to_thread(server.shutdown)
            thread.join()
    assert (result.outcome, result.code) == ("failed", "clone_failed")
    assert "the end" in result.message
    assert len(result.message) <= 500


def test_only_the_end_of_the_error_output_is_kept(monkeypatch):
    monkeypatch.syspath_prepend(CLONE_SCRIPT_PATH)
    runner = importlib.import_module("runner")
    code = "import sys; sys.stderr.write('x' * 5_000_000 + 'the end')"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    output = runner.PipeTail(process.stderr)
    assert process.wait(60) == 0
    kept = output.read(60)
    assert (len(kept), kept[-8:]) == (64 * 1024, "xthe end")


async def test_cancelling_ends_git_too(folder):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        task = asyncio.create_task(one(folder, f"http://127.0.0.1:{silent.getsockname()[1]}/x.git"))
        connection, _ = await asyncio.to_thread(silent.accept)
        with connection:
            connection.settimeout(60)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            while await asyncio.to_thread(connection.recv, 1000):
                pass  # git's request; then its end closes the connection


async def test_stopping_the_instance_ends_a_clone_that_lost_its_hub(folder):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        rows = row(f"http://127.0.0.1:{silent.getsockname()[1]}/x.git")
        task = asyncio.create_task(clone(folder, rows))
        connection, _ = await asyncio.to_thread(silent.accept)
        with connection:
            connection.settimeout(60)
            await stop_server_process(folder.path, grace=2)
            with pytest.raises(RuntimeError):
                await task
            while await asyncio.to_thread(connection.recv, 1000):
                pass


async def test_a_second_run_waits_for_the_first(folder, upstream):
    upstream.commit("code", a="1")
    results = await asyncio.gather(*(one(folder, upstream.url("code")) for _ in range(4)))
    assert sorted(result.outcome for result in results) == ["cloned", "kept", "kept", "kept"]


async def test_gits_of_a_killed_run_are_waited_for(folder):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        rows = [row(f"http://127.0.0.1:{silent.getsockname()[1]}/x.git")]
        killed = subprocess.Popen(
            [*SCRIPT, folder.work_dir, folder.clone_report_file], stdin=subprocess.PIPE, text=True
        )
        killed.stdin.write(json.dumps(rows))
        killed.stdin.close()
        connection, _ = await asyncio.to_thread(silent.accept)
        with connection:
            killed.kill()
            killed.wait()
            with pytest.raises(RuntimeError, match="another run has been at work"):
                await clone(folder, *rows, timeout=0.3)
    assert (await one(folder, "http://127.0.0.1:1/x.git")).code == "clone_failed"
    assert names(folder) == []


def run_limited(folder, rows, before):
    """Run the script as its user does; *before* happens in the child."""
    return subprocess.run(
        [*SCRIPT, folder.work_dir, folder.clone_report_file],
        input=json.dumps(rows).encode(),
        env=ENV,
        preexec_fn=before,
        capture_output=True,
        check=False,
    )


def test_a_full_disk_is_called_by_its_name(folder, upstream):
    upstream.commit("big", data=os.urandom(3 * 1024**2))
    upstream.commit("small", a="1")

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024**2, 1024**2))

    ended = run_limited(folder, [row(upstream.url("big"), "big"), row(upstream.url("small"), "small")], limit)
    assert ended.returncode == 0
    big, small = json.loads(ended.stdout.splitlines()[-1])
    assert (big["outcome"], big["code"]) == ("failed", "clone_disk_full")
    assert big["message"].startswith("The disk is full")
    assert small["outcome"] == "cloned"
    assert names(folder) == ["small"]


def test_a_report_that_cannot_be_written_is_printed(folder, upstream):
    upstream.commit("code", a="1")
    folder.clone_report_file.mkdir()
    ended = run_limited(folder, [row(upstream.url("code"))], None)
    assert ended.returncode == 0
    assert json.loads(ended.stdout.splitlines()[-1])[0]["outcome"] == "cloned"
    assert b"cannot be written" in ended.stderr


@pytest.fixture
def tiny_disk(folder):
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder.work_dir], check=False)
    if mounted.returncode:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", folder.work_dir], check=True)


async def test_a_disk_of_one_mebibyte_is_full(tiny_disk, upstream):
    upstream.commit("big", data=os.urandom(3 * 1024**2))
    result = await one(tiny_disk, upstream.url("big"))
    assert (result.outcome, result.code) == ("failed", "clone_disk_full")
    assert result.message.startswith("The disk is full")
    assert names(tiny_disk) == []


async def test_submodules_are_fetched_only_when_the_row_says_so(folder, upstream):
    upstream.commit("part", p="1")
    upstream.commit("whole", a="1")
    source = upstream.source("whole")
    git(source, "submodule", "--quiet", "add", upstream.url("part"), "part")
    git(source, "commit", "--quiet", "--all", "--message", "Add a part")
    git(source, "push", "--quiet", "origin", "main")
    await clone(folder, row(upstream.url("whole"), "without"), row(upstream.url("whole"), "with", submodules=True))
    assert not (folder.work_dir / "without" / "part" / "p").exists()
    assert (folder.work_dir / "with" / "part" / "p").read_text() == "1"


async def test_a_submodule_from_the_file_system_is_refused(folder, upstream):
    upstream.commit("part", p="1")
    upstream.commit("whole", a="1")
    source = upstream.source("whole")
    git(source, "-c", "protocol.file.allow=always", "submodule", "add", str(upstream.folder / "part.git"), "part")
    git(source, "commit", "--quiet", "--all", "--message", "Add a part")
    git(source, "push", "--quiet", "origin", "main")
    result = await one(folder, upstream.url("whole"), submodules=True)
    assert result.outcome == "failed"
    assert "'file' not allowed" in result.message
    assert names(folder) == []


@pytest.mark.parametrize("rows", ["", "{", "3", '"x"', "[1]", '[{"url": "x"}]', '[{"directory": 3, "url": "x"}]'])
def test_a_wrong_call_ends_with_2(folder, rows):
    ended = subprocess.run(
        [*SCRIPT, folder.work_dir, folder.clone_report_file], input=rows, text=True, check=False, capture_output=True
    )
    assert ended.returncode == 2
    assert not folder.clone_report_file.exists()


def test_no_repositories_are_no_error(folder):
    ended = run_limited(folder, [], None)
    assert ended.returncode == 0
    assert json.loads(ended.stdout) == []


@pytest.mark.parametrize("content", [None, "", "{", "[{}]", "3"])
def test_an_unreadable_report_is_none(folder, content):
    if content is not None:
        folder.clone_report_file.write_text(content)
    assert read_clone_report(folder) == []


def test_messages_are_without_credentials_and_short(monkeypatch):
    monkeypatch.syspath_prepend(CLONE_SCRIPT_PATH)
    failure = importlib.import_module("runner").build_git_failure
    complaint = "fatal: \x1b[31munable\x1b[0m to access 'https://ada:hunter2@example.org/x.git'\r\n"
    assert str(failure(128, complaint)) == "fatal: unable to access 'https://example.org/x.git'"
    assert len(str(failure(128, "x" * 5000))) == 500
    assert str(failure(3, "")) == "git ended with 3."
    assert failure(128, "error: No space left on device").code == "clone_disk_full"
