"""`renku-spawner demo` as a user types it: a real process, its hub, proxy and sessions, on this machine alone."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from renku_spawner.spawners.local.folders import unmount_all
from tests.fixtures.ports import IN_A_ROW, free_ports

USERS = ("alice", "bob", "carol", "dave", "admin")
LISTENING = "0A"  # the state of a socket in /proc/net/tcp


@dataclass
class Demo:
    """The process, and what it printed so far."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    data: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hub/"

    @property
    def said(self) -> str:
        return self.log.read_text()

    @property
    def hub_log(self) -> str:
        return (self.data / "hub.log").read_text()

    @contextmanager
    def visitor(self, name: str, password: str = "renku") -> Iterator[httpx.Client]:
        """Somebody who has filled in the form to log in."""
        with httpx.Client(base_url=self.url, timeout=300, trust_env=False) as client:
            client.get("login")
            form = {"username": name, "password": password, "_xsrf": xsrf(client)}
            client.post("login", data=form, follow_redirects=True)
            yield client


def xsrf(client: httpx.Client) -> str:
    """The token for forms; the hub sets one cookie for its pages and one for its API."""
    return next(cookie.value or "" for cookie in client.cookies.jar if cookie.name == "_xsrf")


def start(data: Path, port: int, **variables: str) -> Demo:
    env = {name: value for name, value in os.environ.items() if name not in ("PASSWORD", "JUPYTERHUB_CRYPT_KEY")}
    log = data.with_name(f"log-{port}")
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["renku-spawner", "demo"], stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True,
            env=env | {"PORT": str(port), "DATA": str(data)} | variables,
        )  # fmt: skip
    demo = Demo(process, port, log, data)
    wait(lambda: "Log: " in demo.said, 120, demo)  # not when its port answers: that may be a hub that was left
    return demo


def run_to_the_end(variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a demo that refuses or fails to start."""
    command = ["renku-spawner", "demo"]
    return subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, timeout=120, check=False)


def wait(condition: Callable[[], bool], seconds: float, demo: Demo) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s:\n{demo.said}"
        assert demo.process.poll() is None, demo.said
        time.sleep(0.1)


def healthy(demo: Demo) -> bool:
    try:
        return httpx.get(f"{demo.url}health", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def descendants(pid: int) -> set[int]:
    """The process and all that it has started, and those have; a session may be nobody's child any more."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found, before = {pid}, set()
    while found != before:
        before = set(found)
        found |= {child for child, parent in parents.items() if parent in found}
    return found


def of_folder(data: Path) -> set[int]:
    """Processes that work in the demo's folder, whoever started them."""
    found = set()
    for cwd in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if cwd.readlink().is_relative_to(data):
                found.add(int(cwd.parent.name))
        except OSError:
            continue
    return found


def listening(pids: set[int]) -> set[str]:
    """Addresses, in the kernel's hexadecimal, on which those processes listen."""
    inodes = set()
    for pid in pids:
        for entry in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                inodes |= set(re.findall(r"socket:\[(\d+)\]", str(entry.readlink())))
            except OSError:
                continue
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return {row[1] for row in rows if row[3] == LISTENING and row[9] in inodes}


def interrupt(demo: Demo) -> float:
    """Ctrl-C: SIGINT to the foreground group. Returns the seconds until it has ended."""
    began = time.monotonic()
    os.killpg(demo.process.pid, signal.SIGINT)
    demo.process.wait(60)
    return time.monotonic() - began


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "data"


@pytest.fixture(scope="module")
def demo(data: Path) -> Iterator[Demo]:
    demo = start(data, free_ports())
    yield demo
    if demo.process.poll() is None:
        interrupt(demo)
    unmount_all(data)  # pytest can delete no folder with the mount of a dead rclone


def test_it_says_where_it_is_who_there_is_and_the_password(demo: Demo) -> None:
    assert f"Renku runs at http://127.0.0.1:{demo.port}\n" in demo.said
    for name in USERS:
        assert re.search(rf"^  {name} ", demo.said, re.MULTILINE)
    assert "The password of each is 'renku'." in demo.said
    assert len(demo.said.splitlines()) <= 10
    assert f"Log: {demo.data}/hub.log\n" in demo.said
    assert "JupyterHub is now running" in demo.hub_log
    assert "[ConfigProxy]" in demo.hub_log


def test_a_second_demo_of_the_same_folder_is_refused_while_the_first_runs(demo: Demo) -> None:
    variables = {"PORT": str(free_ports()), "DATA": str(demo.data)}
    second = run_to_the_end(variables)
    assert second.returncode == 1
    assert f"runs already at http://127.0.0.1:{demo.port}." in second.stderr
    assert healthy(demo)


def test_what_keeps_the_hub_from_starting_is_shown(tmp_path: Path) -> None:
    data = tmp_path / "data"
    variables = {"PORT": str(free_ports()), "DATA": str(data)}
    subprocess.run(["renku-spawner", "demo", "--prepare"], env=os.environ | variables, check=True)
    (data / "cookie_secret").write_text("short")
    (data / "cookie_secret").chmod(0o644)
    failed = run_to_the_end(variables)
    assert failed.returncode == 1
    assert "cookie_secret" in failed.stderr
    assert f"The end of its log, {data}/hub.log:" in failed.stderr
    assert "Renku runs" not in failed.stdout


@pytest.mark.parametrize("name", USERS)
def test_each_of_the_five_gets_in_and_sees_their_projects(demo: Demo, name: str) -> None:
    with demo.visitor(name) as client:
        page = client.get("renku/projects")
        assert page.status_code == 200
        assert "Snow in the Alps" in page.text
        assert ("Ice on mountain lakes" in page.text) is (name in ("alice", "bob", "carol"))


def test_nobody_else_gets_in_and_nobody_with_another_password(demo: Demo) -> None:
    for name, password in (("mallory", "renku"), ("alice", "guess"), ("alice", "")):
        with demo.visitor(name, password) as client:
            assert "Snow in the Alps" not in client.get("renku/projects", follow_redirects=True).text


def test_the_sessions_that_a_repository_of_the_demo_describes_are_offered(demo: Demo) -> None:
    with demo.visitor("bob") as bob:
        page = "renku/projects/alice/alpine-snow"
        wait(lambda: "<code>snow-analysis</code> describes 2 sessions" in bob.get(page).text, 30, demo)
        assert "Add 2 sessions" in bob.get(f"{page}/-/sessions/described").text


def test_a_repository_of_the_demo_can_be_cloned(demo: Demo, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{demo.port + 3}/snow-analysis.git"
    subprocess.run(["git", "clone", "--quiet", url, tmp_path / "clone"], check=True, timeout=300)
    assert (tmp_path / "clone" / "analysis.ipynb").exists()


def kill(demo: Demo, *names: str) -> None:
    """SIGKILL the processes that the demo wrote down under those names."""
    recorded = json.loads((demo.data / "processes.json").read_text())
    for name in names:
        os.kill(recorded[name][0], signal.SIGKILL)
    demo.process.wait(30)


def test_a_session_outlives_a_kill_and_ctrl_c_ends_everything_and_the_next_start_finds_it_paused(
    demo: Demo, data: Path
) -> None:
    with demo.visitor("alice") as alice:
        session = add_session(alice)
        headers = {"X-XSRFToken": xsrf(alice)}
        base = f"api/renku/projects/alice%2Falpine-snow/sessions/{session}"
        assert alice.post(f"{base}/start", json={}, headers=headers).status_code in (200, 202)
        wait(lambda: alice.get(base).json()["instance"]["status"] == "running", 90, demo)
        assert [file.name for file in data.glob("sessions/*/work/weather/davos.csv")]

    (recorded,) = data.glob("sessions/*/pid")
    server, proxy = recorded.read_text(), (data / "proxy.pid").read_text()
    kill(demo, "demo", "hub")
    assert alive(int(proxy))
    demo.process = start(data, demo.port).process  # its proxy would be in the way
    assert not alive(int(proxy))
    assert recorded.read_text() == server
    with demo.visitor("alice") as alice:
        wait(lambda: alice.get(base).json()["instance"]["status"] == "running", 60, demo)

    kill(demo, "demo")  # `kill -9` of what is in the terminal: hub and git server go on
    demo.process = start(data, demo.port).process
    with demo.visitor("alice") as alice:
        assert alice.get(base).json()["instance"]["status"] == "paused"  # its hub was asked to end
        assert alice.post(f"{base}/start", json={}, headers={"X-XSRFToken": xsrf(alice)}).status_code in (200, 202)
        wait(lambda: alice.get(base).json()["instance"]["status"] == "running", 90, demo)

    processes = descendants(demo.process.pid) | of_folder(data)
    addresses = listening(processes)
    ports = {int(address.rpartition(":")[2], 16) for address in addresses}
    assert set(range(demo.port, demo.port + IN_A_ROW)) <= ports
    assert len(ports) > IN_A_ROW  # the session's own
    assert {address for address in addresses if not loopback(address)} == set()

    assert interrupt(demo) < 60
    assert demo.process.returncode == 0
    assert {pid for pid in processes if alive(pid)} == set()
    assert of_folder(data) == set()

    second = start(data, free_ports(), PASSWORD="another one")
    try:
        with second.visitor("alice", "another one") as alice:
            sessions = alice.get("api/renku/sessions").json()["items"]
            assert [(each["title"], each["instance"]["status"]) for each in sessions] == [("Look", "paused")]
            assert "Ice on mountain lakes" in alice.get("renku/projects").text
        assert "'another one'" in second.said
        assert "Traceback" not in second.said + second.hub_log
    finally:
        interrupt(second)


def add_session(alice: httpx.Client) -> str:
    """A session in the public project; returns its id."""
    environment = alice.get("api/renku/environments").json()["items"][0]["id"]
    made = alice.post(
        "api/renku/projects/alice%2Falpine-snow/sessions",
        json={"environment": environment, "title": "Look"},
        headers={"X-XSRFToken": xsrf(alice)},
    )
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def loopback(address: str) -> bool:
    """Of an address as in /proc/net/tcp: 127.0.0.1 backwards, or ::1."""
    host = address.partition(":")[0]
    return host == "0100007F" or host == "0" * 24 + "01000000"


def alive(pid: int) -> bool:
    """Whether it still runs; one that has ended and that nobody has looked after does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
