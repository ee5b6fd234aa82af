"""A plain KubeSpawner on the fake cluster, made without a hub."""

import asyncio
from types import SimpleNamespace
from typing import Any

import kubespawner.clients
import kubespawner.spawner
import pytest
from jupyterhub.orm import Spawner as Row
from kubernetes_asyncio.client import Configuration
from kubespawner import KubeSpawner
from traitlets.config import Config

from .kube import FakeCluster

CLONE = {
    "name": "clone",
    "image": "k8s.local/busybox:1",
    "imagePullPolicy": "IfNotPresent",
    "command": ["/bin/busybox", "sh", "-c"],
    "args": ["echo cloning; mkdir -p /work/repo"],
    "volumeMounts": [{"name": "work", "mountPath": "/work"}],
}
# The configuration of the recorded hub.
RECORDED = {
    "namespace": "sessions",
    "image": "k8s.local/singleuser:1",
    "image_pull_policy": "IfNotPresent",
    "cmd": ["jupyterhub-singleuser"],
    "uid": 1000,
    "gid": 100,
    "fs_gid": 100,
    "mem_limit": "512M",
    "cpu_limit": 1,
    "storage_pvc_ensure": True,
    "storage_capacity": "1Gi",
    "pvc_name_template": "claim-{username}--{servername}",
    "pod_name_template": "jupyter-{username}--{servername}",
    "volumes": [{"name": "work", "persistentVolumeClaim": {"claimName": "{pvc_name}"}}],
    "volume_mounts": [{"name": "work", "mountPath": "/work"}],
    "init_containers": [CLONE],
}


class Hub(SimpleNamespace):
    """What a spawner asks of its hub."""

    def __init__(self) -> None:
        super().__init__(
            public_host="", url="http://hub:8081/hub/", base_url="/hub/", api_url="http://10.245.0.10:8081/hub/api"
        )


def use(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, token: str = "hub-token") -> None:
    """Let every client of this process talk to the cluster (there is one configuration for all of them)."""
    monkeypatch.setattr(kubespawner.spawner, "load_config", lambda **what: None)
    monkeypatch.setattr(Configuration, "_default", None)
    Configuration.set_default(cluster.configuration(token))


def spawner(server: str = "work", user: str = "ada", kind: type[KubeSpawner] = KubeSpawner, **config: Any) -> Any:
    """Return a spawner for a named server; needs a running loop and `use`."""
    person = SimpleNamespace(name=user, id=1, url=f"/user/{user}/", server_url=lambda name: f"/user/{user}/{name}/")
    person.escaped_name = user
    section = Config()
    section.KubeSpawner = Config(RECORDED | config)
    row = Row(name=server)
    return kind(
        _mock=True, user=person, hub=Hub(), orm_spawner=row, config=section, api_token="secret", oauth_client_id="x"
    )


async def forget_reflectors() -> None:
    """Stop the reflectors, which the class shares, and the clients of this loop."""
    for reflector in list(KubeSpawner.reflectors.values()):
        if reflector:
            await reflector.stop()
    KubeSpawner.reflectors.clear()
    await close_clients()


async def close_clients() -> None:
    """Close the clients of this loop that kubespawner shares: a task of its own that is cancelled before it has begun
    leaves its client open."""
    for (loop, *_), client in list(kubespawner.clients._client_cache.items()):
        if loop is asyncio.get_running_loop():
            await client.api_client.close()
    closing = [task for task in asyncio.all_tasks() if "close_client_task" in repr(task.get_coro())]
    for task in closing:
        task.cancel()
    await asyncio.gather(*closing, return_exceptions=True)
    for key in [key for key in kubespawner.clients._client_cache if key[0] is asyncio.get_running_loop()]:
        del kubespawner.clients._client_cache[key]  # whose task had not begun
