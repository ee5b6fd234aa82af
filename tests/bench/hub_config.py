"""Configuration of the hubs that are measured: plain JupyterHub, or the same with Renku installed.

What differs from a stock hub is said in RENKU_BENCH: addresses, the database, and `renku` (whether Renku is there).
The doors below /hub/bench/ are the bench's own and stand only in the hub with Renku.
"""

import asyncio
import json
import os
import sys
import time
from threading import current_thread, main_thread

from sqlalchemy import event
from tornado.web import RequestHandler

from renku_spawner import install
from renku_spawner.config.renku import Renku
from tests.bench.hubs import ROOT
from tests.bench.seed import ENVIRONMENTS

c = get_config()  # noqa: F821 - JupyterHub gives it to this file
said = json.loads(os.environ["RENKU_BENCH"])

c.JupyterHub.bind_url = f"http://127.0.0.1:{said['ports'][0]}"
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{said['ports'][1]}"
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{said['ports'][2]}"
c.ConfigurableHTTPProxy.pid_file = "proxy.pid"
c.JupyterHub.db_url = said["db_url"]
c.JupyterHub.log_level = "WARN"
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.allow_named_servers = True
c.JupyterHub.authenticate_prometheus = False


class Statements(RequestHandler):
    """Counts SQL from `?count=1` until `?count=0`, which answers what there was."""

    seen: dict[str, list[str]]

    def get(self) -> None:
        engines = {"ours": Renku.instance().context.db.engine, "hub": self.settings["app"].db.bind}
        if self.get_query_argument("count") == "1":
            Statements.seen = {name: [] for name in engines}
            for name, engine in engines.items():
                Statements.listen(name, engine)
        self.finish({name: [s for s in said if not s.startswith("BEGIN")] for name, said in Statements.seen.items()})

    @staticmethod
    def listen(name: str, engine: object) -> None:
        found = Statements.seen[name]

        def note(*args: object) -> None:
            if current_thread() is main_thread():  # another one looks at the database now and then
                found.append(str(args[2]))

        event.listen(engine, "before_cursor_execute", note)


class Publish(RequestHandler):
    """Says `?times=` times, twice a second, that every active instance has changed; answers when it did (monotonic)."""

    async def get(self) -> None:
        parts, moments = Renku.instance().context, []
        with parts.db.read() as tx:
            active = [(instance.username, instance.session) for instance in tx.instances.list_active()]
        begin = time.monotonic()
        for number in range(int(self.get_query_argument("times"))):
            await asyncio.sleep(max(0.0, begin + number / 2 - time.monotonic()))
            moments.append(time.monotonic())
            for username, session in active:
                parts.event_bus.publish(username, session)
        self.finish({"moments": moments})


if said["renku"]:
    c.Renku.workspace = "sessions"
    c.Renku.registries_asked = False  # their images are names only
    c.Renku.environments = ENVIRONMENTS
    c.JupyterHub.spawner_class = "renku-local"
    c.JupyterHub.extra_handlers = [(r"/bench/statements", Statements), (r"/bench/publish", Publish)]
    if gitlab := os.environ.get("RENKU_BENCH_GITLAB"):
        c.Renku.projects = "gitlab"
        c.JupyterHub.authenticator_class = "gitlab"
        c.GitLabOAuthenticator.gitlab_url = gitlab
        c.RenkuLocalSpawner.cmd = [sys.executable, "-I", str(ROOT / "tests" / "fixtures" / "tiny_server.py")]
    install(c)
