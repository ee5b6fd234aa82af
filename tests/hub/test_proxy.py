"""What a killed hub has left: its proxy ends before the next hub would wait for that, nothing else does."""

import os
import socket
import subprocess
import sys

import pytest
from jupyterhub.app import JupyterHub
from jupyterhub.proxy import ConfigurableHTTPProxy

from renku_spawner.hub.startup import stop_stale_proxy
from tests.faults.own_hub import until
from tests.fixtures.ports import free_ports

SLEEPS = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture
def began():
    """Begins processes, and leaves none behind."""
    processes = []

    def begin(command):
        processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        return processes[-1]

    yield begin
    for process in processes:
        process.kill()
        process.wait()


def hub_of(tmp_path, pid, **settings):
    """A hub that is about to start its proxy, whose file tells *pid*."""
    (tmp_path / "proxy.pid").write_text(str(pid))
    hub = JupyterHub()
    hub.proxy = ConfigurableHTTPProxy(pid_file=str(tmp_path / "proxy.pid"), auth_token="x" * 32, **settings)
    return hub


def listens(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


async def test_the_proxy_of_a_killed_hub_ends_and_its_file_goes(tmp_path, began):
    public = free_ports(2)
    api = public + 1
    left = began(["configurable-http-proxy", "--ip=127.0.0.1", f"--port={public}", f"--api-port={api}"])
    until(lambda: listens(api), why="it serves")
    await stop_stale_proxy(hub_of(tmp_path, left.pid))
    assert not (tmp_path / "proxy.pid").exists()
    assert left.wait(10) != 0


@pytest.mark.parametrize("settings", [{}, {"should_start": False, "command": SLEEPS}])
async def test_what_is_no_proxy_of_this_hub_goes_on(tmp_path, began, settings):
    other = began(SLEEPS)
    await stop_stale_proxy(hub_of(tmp_path, other.pid, **settings))
    assert other.poll() is None
    assert (tmp_path / "proxy.pid").exists()


@pytest.mark.parametrize("said", ["", "no number", str(2**22 + 1)])
async def test_a_file_that_names_no_process_is_left_to_the_hub(tmp_path, said):
    await stop_stale_proxy(hub_of(tmp_path, said))
    assert (tmp_path / "proxy.pid").read_text() == said


async def test_a_file_that_is_not_there_is_no_trouble(tmp_path):
    hub = hub_of(tmp_path, os.getpid())
    (tmp_path / "proxy.pid").unlink()
    await stop_stale_proxy(hub)
