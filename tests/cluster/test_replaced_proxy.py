"""A proxy that the hub has not started is replaced, as a pod is: the next one knows no route."""

import contextlib
import os
import subprocess
import time

import httpx
import pytest

from tests.cluster.own import CONFIG, own_hub
from tests.cluster.test_restart import opened
from tests.faults.own_hub import until as own_until
from tests.fixtures.ports import kept_ports

TOKEN = "the-token-of-a-proxy-of-its-own"


class Proxy:
    """A configurable-http-proxy that ends and begins when the test says so."""

    def __init__(self):
        self.port = kept_ports(3)
        self.api_port, self.hub_port = self.port + 1, self.port + 2
        self.process = None

    def start(self):
        command = ["configurable-http-proxy", "--log-level", "warn", "--ip", "127.0.0.1", "--port", str(self.port)]
        command += ["--api-ip", "127.0.0.1", "--api-port", str(self.api_port)]
        command += ["--default-target", f"http://127.0.0.1:{self.hub_port}"]  # as Zero to JupyterHub's chart has it
        self.process = subprocess.Popen(command, env={**os.environ, "CONFIGPROXY_AUTH_TOKEN": TOKEN})

    def end(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait(60)

    def configuration(self):
        return f"""
c.JupyterHub.bind_url = "http://127.0.0.1:{self.port}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{self.hub_port}"
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{self.api_port}"
c.ConfigurableHTTPProxy.auth_token = "{TOKEN}"
"""


@pytest.fixture
async def replaced(tmp_path, monkeypatch):
    """A hub and its proxy, each in a process of its own."""
    proxy = Proxy()
    proxy.start()
    with contextlib.ExitStack() as stack:
        stack.callback(proxy.end)
        async with own_hub(tmp_path, monkeypatch, CONFIG + proxy.configuration(), start=False) as own:
            own.hub.url = f"http://127.0.0.1:{proxy.port}/hub/"
            await own.do(own.hub.start)
            yield own, proxy


def respond_again(own):
    """Wait until the proxy leads to the session; return the seconds that took from when the proxy served."""
    own_until(lambda: serves(own), why="the proxy serves")
    served = time.monotonic()
    own_until(lambda: opened(own), seconds=60, why="the proxy has the session's route")
    return time.monotonic() - served


def serves(own):
    with contextlib.suppress(Exception):
        return bool(own.hub.client.get(own.hub.url).status_code)
    return False


async def test_a_proxy_that_is_replaced_has_its_routes_back_within_five_seconds(replaced):
    own, proxy = replaced
    await own.started()
    await own.become({"Explore": "running"})
    took = []
    for _ in range(3):
        await own.do(proxy.end)
        proxy.start()
        took.append(await own.do(respond_again, own))
    assert sorted(took)[1] < 5, took  # by chance a hub that looks once in 50 s is as fast, and a busy machine is slower


async def test_a_proxy_that_is_replaced_while_no_session_runs_leads_to_the_hub_by_a_route_that_is_the_hubs(replaced):
    own, proxy = replaced
    await own.do(proxy.end)
    proxy.start()
    await own.do(own_until, lambda: hubs_route(proxy), seconds=20, why="the hub's own route is there")


def hubs_route(proxy):
    with contextlib.suppress(httpx.HTTPError):
        url = f"http://127.0.0.1:{proxy.api_port}/api/routes"
        routes = httpx.get(url, headers={"Authorization": f"token {TOKEN}"}, trust_env=False).json()
        return "jupyterhub" in routes["/"]
    return False
