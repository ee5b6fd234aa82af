"""A hub that can be killed and started again within this process: each incarnation owns its tasks, its connections
to the database and its access to the cluster, and loses all of them at once."""

import asyncio
import contextvars
import logging
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import kubespawner.clients
import kubespawner.spawner
import sqlalchemy
from jupyterhub import orm, roles
from jupyterhub.app import JupyterHub
from jupyterhub.httpclient import JupyterHubHTTPClient
from jupyterhub.proxy import Proxy
from kubernetes_asyncio.client import Configuration
from kubespawner import KubeSpawner
from traitlets.config import Config

from renku_spawner import install
from renku_spawner.config.renku import Renku
from renku_spawner.spawners.kubernetes.spawner import RenkuSpawner
from tests.cluster.machine_cluster import HERE
from tests.fakes.kube import FakeCluster

OWNER: contextvars.ContextVar[str] = contextvars.ContextVar("owner", default="")
ENVIRONMENTS = {
    "python": {"key": "python", "name": "Python", "image": "quay.io/jupyter/scipy-notebook:2026-11-02"},
    "r": {"key": "r", "name": "R", "image": "docker.io/rocker/geospatial:4.5.2"},
}


class Routes(Proxy):
    """A proxy that outlives the hub; nobody goes through it."""

    should_start = False
    table: dict[str, dict[str, Any]] = {}

    async def add_route(self, routespec: str, target: str, data: Any) -> None:
        self.table[routespec] = {"routespec": routespec, "target": target, "data": data}

    async def delete_route(self, routespec: str) -> None:
        self.table.pop(routespec, None)

    async def get_all_routes(self) -> dict[str, dict[str, Any]]:
        return dict(self.table)


class App(JupyterHub):
    """JupyterHub itself, as one of several in a process."""

    def init_signal(self) -> None:
        """The signals of this process are pytest's."""

    def load_config_file(self, *args: Any, **kwargs: Any) -> None:
        """The configuration is given."""

    def init_logging(self) -> None:
        super().init_logging()
        self.log.propagate = True
        self.log.handlers.clear()


class Hub:
    """What is in *folder* outlives its incarnations; people come with the tokens of `people`."""

    def __init__(self, folder: Path, cluster: FakeCluster, *, hub_port: int, pod_port: int) -> None:
        self.folder, self.cluster, self.port, self.pod_port = folder, cluster, hub_port, pod_port
        self.url = f"http://{HERE}:{hub_port}/hub/"
        self.offered = set(ENVIRONMENTS)
        self.app: App | None = None
        self.lives = 0
        self.tasks: dict[asyncio.Task[Any], str] = {}
        self.going: set[str] = set()
        self.dead: set[str] = set()
        Routes.table = {}

    @property
    def database(self) -> Path:
        return self.folder / "hub.sqlite"

    @property
    def name(self) -> str:
        return f"hub-{self.lives}"

    # ---- whose task is it -----------------------------------------------------------------------------

    def note(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **more: Any) -> asyncio.Task[Any]:
        """The loop's task factory."""
        task = asyncio.Task(work, loop=loop, **more)
        if owner := more.get("context", contextvars.copy_context()).get(OWNER, ""):
            self.tasks[task] = owner
            task.add_done_callback(self.ended)
        return task

    def ended(self, task: asyncio.Task[Any]) -> None:
        """How the tasks of a hub that goes end is nobody's concern."""
        if self.tasks.pop(task, "") in self.going and not task.cancelled():
            task.exception()

    def own(self) -> list[asyncio.Task[Any]]:
        current = asyncio.current_task()
        return [task for task, owner in list(self.tasks.items()) if owner == self.name and task is not current]

    def doing(self) -> Counter[str]:
        """What goes on in the hub now, by the names of the coroutines."""
        return Counter(str(getattr(task.get_coro(), "__qualname__", task)) for task in self.own())

    # ---- its lives ------------------------------------------------------------------------------------

    async def start(self) -> None:
        """A new incarnation, which serves when this returns."""
        self.lives += 1
        token = f"token-of-{self.name}"
        self.cluster.users[token] = "hub"
        Configuration.set_default(self.cluster.configuration(token))
        context = contextvars.copy_context()
        context.run(OWNER.set, self.name)
        await asyncio.get_running_loop().create_task(self.begin(), context=context)

    async def begin(self) -> None:
        App.clear_instance()
        self.app = App.instance(config=self.configuration())
        await self.app.initialize([])
        await self.app.start()
        for engine in (self.app.db.get_bind(), Renku.instance().context.db.engine):
            sqlalchemy.event.listen(engine, "before_cursor_execute", self.refuse_dead(self.name))

    def refuse_dead(self, name: str) -> Any:
        def refuse(*arguments: Any) -> None:
            if name in self.dead:
                raise Killed(f"{name} is killed")

        return refuse

    def configuration(self) -> Config:
        c = Config()
        c.JupyterHub.db_url = f"sqlite:///{self.database}"
        c.JupyterHub.hub_ip = HERE
        c.JupyterHub.hub_port = self.port
        c.JupyterHub.bind_url = self.url.removesuffix("hub/")
        c.JupyterHub.cookie_secret = b"c" * 32
        c.JupyterHub.authenticator_class = "dummy"
        c.Authenticator.allow_all = True
        c.JupyterHub.proxy_class = Routes
        c.JupyterHub.spawner_class = RenkuSpawner
        c.PeriodicMetricsCollector.event_loop_interval_enabled = False  # it would look at the clock all the time
        c.JupyterHub.log_level = logging.DEBUG
        c.RenkuSpawner.namespace = "sessions"
        c.RenkuSpawner.poll_interval = 10
        c.Renku.registries_asked = False
        c.Renku.environments = [
            entry | {"port": self.pod_port} for key, entry in ENVIRONMENTS.items() if key in self.offered
        ]
        install(c)
        return c

    async def kill(self) -> None:
        """As SIGKILL does: nothing of it writes, calls or answers any more."""
        self.dead.add(self.name)
        self.going.add(self.name)
        self.cluster.users.pop(f"token-of-{self.name}", None)
        await self.vanish()

    async def stop(self) -> None:
        """As SIGTERM does: the hub's own clean-up, then the end of its tasks, with the database still there."""
        assert self.app is not None
        await self.app.cleanup()
        await self.vanish()

    async def vanish(self) -> None:
        app, self.app = self.app, None
        self.going.add(self.name)
        assert app is not None and app.http_server is not None
        app.http_server.stop()
        app.metrics_collector.stop()
        for callback in app._periodic_callbacks.values():
            callback.stop()
        for user in app.users.values():
            for spawner in user.spawners.values():
                spawner.stop_polling()
        while left := self.own():
            for task in left:
                task.cancel()
            await asyncio.wait(left, timeout=5)
        self.dead.add(self.name)
        await app.http_server.close_all_connections()
        await JupyterHubHTTPClient.loop_instance().close()
        JupyterHubHTTPClient._loop_instances.clear()
        JupyterHubHTTPClient.clear_instance()
        KubeSpawner.reflectors.clear()
        self.cluster.break_connections()
        app.db.close()
        app.db.get_bind().dispose()
        Renku.instance().context.db.dispose()
        Renku.clear_instance()
        App.clear_instance()

    # ---- people ---------------------------------------------------------------------------------------

    def person(self, name: str) -> str:
        """The token of somebody, who is new."""
        assert self.app is not None
        row = orm.User(name=name)
        self.app.db.add(row)
        roles.assign_default_roles(self.app.db, entity=row)
        self.app.db.commit()
        return str(self.app.users[row].new_api_token())


class Killed(Exception):
    """The process that would have gone on has been killed."""


def no_configuration(patch: Any) -> None:
    """KubeSpawner reads no configuration of this machine."""
    patch.setattr(kubespawner.spawner, "load_config", lambda **what: None)
    patch.setattr(Configuration, "_default", None)
    kubespawner.clients._client_cache.clear()
