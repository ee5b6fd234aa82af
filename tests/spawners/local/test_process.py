"""The server of an instance: one at most, found again by a new hub, ended with all that it started."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from renku_spawner.spawners.local import launcher, process
from renku_spawner.spawners.local.process import (
    ServerAlreadyRunning,
    ServerStartFailed,
    _list_members,
    _server_processes,
    find_server_pid,
    get_server_exit_code,
    read_server_variable,
    start_server_process,
    stop_server_process,
)
from tests.fixtures.fair import Stopwatch

SLEEP = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-S",
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)",
]


@pytest.fixture
async def instance(tmp_path):
    """An instance's folder; what runs there is ended with the test."""
    folder = tmp_path / "instance"
    folder.mkdir()
    yield folder
    await stop_server_process(folder, grace=0)


async def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.01)
    return answer


async def start(folder: Path, command=SLEEP, **env):
    return await start_server_process(
        folder, folder / "server.log", command, env={"PATH": os.environ["PATH"], **env}, cwd=folder
    )


def launch(*arguments) -> int:
    command = [sys.executable, "-I", "-S", launcher.__file__, *arguments]
    return subprocess.run(command, check=False, capture_output=True).returncode


def text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def gone(pid: int) -> bool:
    found = process.find_process(pid)
    return not (found and found.is_alive)


def forget(folder: Path) -> subprocess.Popen:
    """Play the hub that was killed and started again: the server is nobody's child that we know of."""
    return _server_processes.pop(folder.resolve())


async def test_a_started_server_is_found_by_its_pid(instance):
    pid = await start(instance)
    assert find_server_pid(instance) == pid
    assert get_server_exit_code(instance) is None


async def test_the_log_takes_both_streams_and_is_only_the_owners(instance):
    await start(instance, ["sh", "-c", "echo out; echo err >&2"])
    await until(lambda: text(instance / "server.log") == "out\nerr\n")
    assert (instance / "server.log").stat().st_mode & 0o777 == 0o600
    assert (instance / "pid").stat().st_mode & 0o777 == 0o600


async def test_a_log_is_continued(instance):
    for word in ("one", "two"):
        await start(instance, ["echo", word])
        await until(lambda: get_server_exit_code(instance) is not None)
    assert text(instance / "server.log") == "one\ntwo\n"


async def test_an_instance_has_one_server_at_most(instance):
    pid = await start(instance)
    with pytest.raises(ServerAlreadyRunning) as refused:
        await start(instance)
    assert refused.value.pid == pid
    assert find_server_pid(instance) == pid


async def test_of_ten_starts_at_once_one_wins_and_all_learn_its_pid(instance):
    answers = await asyncio.gather(*(start(instance) for _ in range(10)), return_exceptions=True)
    pids = [answer for answer in answers if isinstance(answer, int)]
    assert len(pids) == 1
    assert {answer.pid for answer in answers if not isinstance(answer, int)} == {pids[0]}


async def test_the_launcher_says_75_when_the_lock_is_held(instance):
    await start(instance)
    assert launch(instance, instance / "log", "--", "true") == 75


@pytest.mark.parametrize(("arguments", "code"), [("", 64), ("a b c d", 64), ("/nowhere b -- true", 74)])
def test_the_launcher_refuses_wrong_calls(arguments, code):
    assert launch(*arguments.split()) == code


async def test_a_killed_server_frees_its_instance(instance):
    pid = await start(instance)
    os.kill(pid, 9)
    await until(lambda: find_server_pid(instance) is None)
    assert get_server_exit_code(instance) == -9
    assert await start(instance) != pid


async def test_a_command_that_ends_at_once_tells_how(instance):
    await start(instance, ["sh", "-c", "echo no >&2; exit 3"])
    await until(lambda: get_server_exit_code(instance) == 3)
    assert find_server_pid(instance) is None


async def test_a_command_that_does_not_exist_is_named_in_the_log(instance):
    await start(instance, ["/no/such/command"])
    await until(lambda: get_server_exit_code(instance) == 127)
    assert "Cannot run /no/such/command: No such file or directory" in text(instance / "server.log")


async def test_a_launcher_that_cannot_write_is_a_failed_start(instance):
    (instance / "server.log").mkdir()
    with pytest.raises(ServerStartFailed, match="cannot be written"):
        await start(instance)


async def test_a_link_in_place_of_the_log_is_not_followed(instance, tmp_path):
    (instance / "server.log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ServerStartFailed):
        await start(instance)
    assert not (tmp_path / "elsewhere").exists()


async def test_a_new_hub_finds_the_server_and_its_token(instance):
    pid = await start(instance, JUPYTERHUB_API_TOKEN="abc=123")
    child = forget(instance)
    assert find_server_pid(instance) == pid
    await until(lambda: read_server_variable(instance, "JUPYTERHUB_API_TOKEN") == "abc=123")
    assert read_server_variable(instance, "OTHER") is None
    await stop_server_process(instance)
    assert child.wait() == -15


async def test_nothing_runs_where_nothing_was_started(instance):
    assert find_server_pid(instance) is None
    assert get_server_exit_code(instance) is None
    assert read_server_variable(instance, "PATH") is None
    await stop_server_process(instance)


@pytest.mark.parametrize(
    "content", ["", "x", "{pid} 1 {boot}", "{pid} {started} other-boot", "999999999 1 {boot}", "\x00"]
)
async def test_a_pid_that_was_given_to_another_process_is_not_the_server(instance, content):
    me = process.find_process(os.getpid())
    boot = process.read_boot_id()
    (instance / "pid").write_text(content.format(pid=me.pid, started=me.started, boot=boot))
    assert find_server_pid(instance) is None
    await stop_server_process(instance, grace=0)  # and this very test is not ended


async def test_stopping_asks_before_it_kills(instance):
    polite = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    await start(instance, ["sh", "-c", polite])
    await until(lambda: "ready" in text(instance / "server.log"))
    await stop_server_process(instance)
    assert "bye" in text(instance / "server.log")
    assert find_server_pid(instance) is None


async def test_a_server_that_does_not_listen_is_killed_after_the_grace(instance):
    pid = await start(instance, STUBBORN)
    await until(lambda: "deaf" in text(instance / "server.log"))
    began, took = time.monotonic(), Stopwatch()
    await stop_server_process(instance, grace=0.3)
    assert time.monotonic() - began >= 0.3
    assert took() < 2
    assert gone(pid)
    assert get_server_exit_code(instance) == -9


# Jupyter's kernels and terminals lead sessions of their own; nohup makes orphans; env -i wipes the mark.
CHILDREN = {
    "a child": "sleep 600 &",
    "a session of its own": "setsid sleep 600 &",
    "an orphan in its own session": "(setsid sh -c 'sleep 600 & echo $! >> pids; wait' &)",
    "without environment": "env -i sleep 600 &",
    "a session without environment": "setsid env -i sleep 600 &",
    "deaf": "(trap '' TERM; exec sleep 600) &",
}


@pytest.mark.parametrize("child", CHILDREN.values(), ids=CHILDREN)
@pytest.mark.parametrize("same_hub", [True, False])
async def test_stopping_ends_what_the_server_started(instance, child, same_hub):
    script = f"{child}\necho $! >> pids; echo $$ >> pids; echo ready; wait; sleep 600"
    await start(instance, ["sh", "-c", script])
    await until(lambda: "ready" in text(instance / "server.log"))
    reaper = None if same_hub else forget(instance)
    await until(lambda: all(process.find_process(int(pid)) for pid in text(instance / "pids").split()))
    await stop_server_process(instance, grace=0.3)
    assert all(gone(int(pid)) for pid in text(instance / "pids").split())
    assert same_hub or reaper.wait() is not None


async def test_what_a_crashed_server_left_behind_is_ended_too(instance):
    pid = await start(instance, ["sh", "-c", "setsid sleep 600 & echo $! > child; wait"])
    child = int(await until(lambda: text(instance / "child")))
    os.kill(pid, 9)
    await until(lambda: find_server_pid(instance) is None)
    assert not gone(child)
    await stop_server_process(instance)
    assert gone(child)


async def test_a_lock_that_a_leftover_holds_is_reported_and_cleared(instance):
    pid = await start(instance, ["sh", "-c", "sleep 600 & wait"])  # a shell hands its descriptors down
    await until(lambda: len(list(_list_members(instance, set()))) == 2)
    os.kill(pid, 9)
    await until(lambda: gone(pid))
    with pytest.raises(ServerAlreadyRunning) as refused:
        await start(instance)
    assert refused.value.pid is None
    await stop_server_process(instance)
    assert await start(instance)


async def test_another_instance_is_left_alone(instance, tmp_path):
    other = tmp_path / "instance-2"
    other.mkdir()
    pid = await start(other)
    await start(instance)
    await stop_server_process(instance, grace=0)
    assert find_server_pid(other) == pid
    await stop_server_process(other, grace=0)
    assert find_server_pid(other) is None


async def test_the_launcher_is_quick(instance):
    def once() -> float:
        took = Stopwatch()
        assert launch(instance, instance / "log", "--", "true") == 0
        return took()

    assert min(once() for _ in range(10)) < 0.1
