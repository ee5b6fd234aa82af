"""Configuration of the hubs that are measured on a cluster: plain KubeSpawner, or the same with Renku installed."""

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

from kubespawner import KubeSpawner
from sqlalchemy import event
from tornado.web import RequestHandler

from renku_spawner.config.renku import Renku
from renku_spawner.spawners.kubernetes.spawner import RenkuSpawner

load_subconfig(str(Path(__file__).with_name("hub_config.py")))  # noqa: F821 - traitlets gives it to this file
c = get_config()  # noqa: F821 - JupyterHub gives it to this file
said = json.loads(os.environ["RENKU_BENCH"])


class Stall(RequestHandler):
    """The longest time (ms) for which the loop did not come round within `?seconds=`, looked at 50 times a second."""

    async def get(self) -> None:
        end, longest = time.monotonic() + float(self.get_query_argument("seconds")), 0.0
        while (begin := time.monotonic()) < end:
            await asyncio.sleep(0.02)
            longest = max(longest, time.monotonic() - begin - 0.02)
        self.finish({"longest": longest * 1000})


class Commits(RequestHandler):
    """How many transactions that have written something were committed since this was asked for the first time."""

    count = 0
    heard: set[object] = set()

    def get(self) -> None:
        engines = [self.settings["app"].db.bind, *([Renku.instance().context.db.engine] if said["renku"] else [])]
        for engine in engines:
            if engine not in self.heard:
                self.heard.add(engine)
                event.listen(engine, "before_cursor_execute", self.note)
                event.listen(engine, "commit", self.one_more)
        self.finish({"commits": Commits.count})

    @staticmethod
    def note(connection: Any, _cursor: object, statement: str, *_: object) -> None:
        if statement.lstrip().upper().startswith(("INSERT", "UPDATE", "DELETE")):
            connection.info["wrote"] = True

    @staticmethod
    def one_more(connection: Any) -> None:
        Commits.count += connection.info.pop("wrote", False)


kind = RenkuSpawner if said["renku"] else KubeSpawner
if "RENKU_BENCH_REGISTRY" in os.environ:  # `host:port`; any port of that host may be asked
    host = os.environ["RENKU_BENCH_REGISTRY"]
    c.Renku.registries_asked = True
    c.Renku.image_policy = {"plain_http": [host.partition(":")[0]]}
    c.Renku.image_checks_per_minute = 10_000
    c.Renku.environments = [{"key": "python", "name": "Jupyter Python", "image": f"{host}/bench/ready:1"}]
c.JupyterHub.spawner_class = kind
c.JupyterHub.extra_handlers = [
    *c.JupyterHub.get("extra_handlers", []),
    (r"/bench/stall", Stall),
    (r"/bench/commits", Commits),
]
c.JupyterHub.tornado_settings = {"slow_spawn_timeout": float(os.environ["RENKU_BENCH_PATIENCE"])}
c.JupyterHub.log_level = "ERROR"
c.JupyterHub.cleanup_servers = False
c.JupyterHub.concurrent_spawn_limit = int(os.environ.get("RENKU_BENCH_AT_ONCE", "0"))
c.Spawner.start_timeout = int(os.environ["RENKU_BENCH_TIMEOUT"])
c.Spawner.consecutive_failure_limit = 5
c.KubeSpawner.namespace = "sessions"
c.KubeSpawner.image = "quay.io/jupyter/scipy-notebook:2026-11-02"
c.KubeSpawner.cmd = ["jupyterhub-singleuser"]
c.KubeSpawner.storage_pvc_ensure = True
c.KubeSpawner.storage_capacity = "1Gi"
c.KubeSpawner.volumes = [{"name": "work", "persistentVolumeClaim": {"claimName": "{pvc_name}"}}]
c.KubeSpawner.volume_mounts = [{"name": "work", "mountPath": "/work"}]
