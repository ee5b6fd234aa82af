"""A hub in a process of its own, so that it can be killed: started, watched and asked over HTTP only."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import httpx

from tests.fixtures.fair import Stopwatch
from tests.fixtures.ports import kept_ports
from tests.fixtures.renku import TINY
from tests.spawners import ways

ADMIN_TOKEN = "a-token-of-the-test-itself-0123456789"
CONFIG = """
from renku_spawner import install

c = get_config()
c.JupyterHub.bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub_port}"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy_port}"
c.ConfigurableHTTPProxy.pid_file = "{folder}/proxy.pid"
c.JupyterHub.db_url = "sqlite:///{folder}/hub.sqlite"
c.JupyterHub.cookie_secret_file = "{folder}/cookie_secret"
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = "renku"
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {{"root"}}
c.JupyterHub.activity_resolution = 3600  # seconds; the hub's own notes of who was here wait for locks
c.JupyterHub.services = [dict(name="test", api_token="{token}")]
c.JupyterHub.load_roles = [
    dict(name="test", services=["test"], scopes=["admin:users", "tokens", "list:users", "admin:servers"]),
    dict(name="metrics", services=["test"], scopes=["read:metrics"]),
]
c.Renku.workspace = "{folder}/sessions"
c.Renku.registries_asked = False  # their images are names only
c.Renku.environments = [dict(key="python", name="Python", image="quay.io/jupyter/scipy-notebook:2026-11-02")]
c.Renku.one_active_per_environment = False
c.Renku.repository_hosts = {hosts!r}
c.Renku.stop_grace = {stop_grace}
c.JupyterHub.concurrent_spawn_limit = {at_once}
{more}
c.RenkuLocalSpawner.cmd = {cmd!r}
{more}
install(c)
"""


def until(condition: Callable[[], Any], *, seconds: float = 60, why: str = "") -> Any:
    """Wait until *condition* is true; fail after so many fair *seconds*."""
    took = Stopwatch()
    while not (value := condition()):
        assert took() < seconds, f"not within {seconds} s: {why or condition}"
        time.sleep(0.05)
    return value


class OwnHub:
    """The hub of a folder: what is in there outlives its processes."""

    def __init__(
        self, folder: Path, *, hosts: Collection[str] = (), stop_grace: float = 4, at_once: int = 100, more: str = ""
    ) -> None:
        self.folder, self.workspace = folder, folder / "sessions"
        port = kept_ports(3)
        hub_port, proxy_port = port + 1, port + 2
        self.url = f"http://127.0.0.1:{port}/hub/"
        self.config = folder / "jupyterhub_config.py"
        self.config.write_text(
            CONFIG.format(
                folder=folder, port=port, hub_port=hub_port, proxy_port=proxy_port, token=ADMIN_TOKEN,
                hosts=set(hosts), stop_grace=stop_grace, cmd=TINY, at_once=at_once, more=more,
            )
        )  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None
        self.client = httpx.Client(timeout=300, trust_env=False)
        self.tokens: dict[str, str] = {}

    # ---- its process ------------------------------------------------------------------------------

    def start(self) -> float:
        """Start it; return the fair seconds until it served."""
        took = Stopwatch()
        with (self.folder / "hub.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                cwd=self.folder,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C of a terminal reaches its whole group; so does `interrupt`
            )
        until(self.serves, seconds=60, why="the hub serves")
        return took()

    def command(self) -> list[str]:
        return [sys.executable, "-m", "jupyterhub", "-f", str(self.config)]

    def serves(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log()[-3000:]
        try:
            return self.client.get(f"{self.url}health").status_code == 200
        except httpx.HTTPError:
            return False

    def serves_pages(self) -> bool:
        """Whether its page for logging in is answered, by whatever way people come."""
        return httpx.get(f"{self.url}login", timeout=5, trust_env=False).status_code == 200

    def kill(self) -> None:
        """As `kill -9` of this one process does."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(60)

    def stop(self) -> None:
        """As `kill` or a supervisor does: SIGTERM to this one process."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(60)

    def interrupt(self) -> float:
        """Ctrl-C; return the fair seconds until the hub was gone."""
        assert self.process is not None
        took = Stopwatch()
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(200)
        return took()

    def log(self) -> str:
        return (self.folder / "hub.log").read_text(errors="replace")

    def end(self) -> None:
        """Leave nothing behind: hub, proxy, sessions."""
        self.client.close()
        if self.process is not None and self.process.poll() is None:
            self.kill()
        left = list(ways.marked(self.workspace))
        with contextlib.suppress(OSError, ValueError):
            left.append(int((self.folder / "proxy.pid").read_text().split()[0]))
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    # ---- asking it --------------------------------------------------------------------------------

    def ask(self, method: str, path: str, body: Any = None, *, token: str | None = None) -> httpx.Response:
        """As alice, or as whoever has *token*."""
        headers = {"Authorization": f"token {token or self.alice()}"}
        return self.client.request(method, f"{self.url}api/{path}", json=body, headers=headers)

    def page(self, path: str, *, name: str = "alice") -> str:
        """What alice, or *name*, sees there, logged in by the form."""
        with httpx.Client(base_url=self.url, timeout=300, trust_env=False, follow_redirects=True) as client:
            client.get("login")
            form = {"username": name, "password": "renku", "_xsrf": client.cookies["_xsrf"]}
            client.post("login", data=form).raise_for_status()
            return client.get(path).raise_for_status().text

    def alice(self) -> str:
        return self.token("alice")

    def token(self, name: str) -> str:
        """A token of somebody with all their rights; `root` is an admin."""
        if name not in self.tokens:
            self.ask("POST", f"users/{name}", token=ADMIN_TOKEN)
            made = self.ask("POST", f"users/{name}/tokens", {}, token=ADMIN_TOKEN)
            assert made.status_code == 201, made.text
            self.tokens[name] = made.json()["token"]
        return self.tokens[name]

    def project(self, slug: str = "climate", **more: Any) -> str:
        body = {"path": f"alice/{slug}", "title": slug, **more}
        made = self.ask("POST", "renku/projects", body)
        assert made.status_code == 201, made.text
        return str(made.json()["id"])

    def session(self, project: str, title: str, **variables: str) -> str:
        (environment,) = self.ask("GET", "renku/environments").json()["items"]
        body = {"environment": environment["id"], "title": title, "configuration": {"variables": variables}}
        made = self.ask("POST", f"renku/projects/{project}/sessions", body)
        assert made.status_code == 201, made.text
        return str(made.json()["id"])

    def act(self, project: str, session: str, action: str) -> httpx.Response:
        answer = self.ask("POST", f"renku/projects/{project}/sessions/{session}/{action}")
        assert answer.status_code in (200, 202), answer.text
        return answer

    def statuses(self) -> dict[str, str]:
        """The status of each session that alice has run, by title."""
        return {title: instance["status"] for title, instance in self.instances().items()}

    def reasons(self) -> dict[str, str]:
        return {title: instance["reason"] for title, instance in self.instances().items()}

    def instances(self) -> dict[str, Any]:
        """What the API says of each session that alice has run, by title."""
        items = self.ask("GET", "renku/sessions?limit=100").json()["items"]
        return {item["title"]: item["instance"] for item in items}

    def become(self, expected: dict[str, str], *, seconds: float = 60) -> None:
        """Wait until all these sessions have these statuses."""
        last: dict[str, str] = {}

        def there() -> bool:
            last.update(self.statuses())
            return {title: last.get(title) for title in expected} == expected

        try:
            until(there, seconds=seconds)
        except AssertionError:
            raise AssertionError(f"after {seconds} s: {last} instead of {expected}\n{self.log()[-3000:]}") from None


@contextlib.contextmanager
def own_hub(folder: Path, **settings: Any) -> Iterator[OwnHub]:
    hub = OwnHub(folder, **settings)
    try:
        hub.start()
        yield hub
    finally:
        hub.end()
