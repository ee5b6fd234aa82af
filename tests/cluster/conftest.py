"""A live hub whose sessions are pods of a fake cluster that runs them as processes of this machine."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kubespawner import KubeSpawner

from renku_spawner.spawners.kubernetes.spawner import RenkuSpawner
from tests.fakes.kube import FakeCluster
from tests.fakes.process_kubelet import ProcessKubelet
from tests.fakes.spawning import forget_reflectors, use
from tests.fixtures.renku import TINY, RenkuHub, renku_hub, stop_sessions
from tests.spawners.local.conftest import upstream

__all__ = ["renku_hub", "upstream"]


@dataclass
class OnCluster:
    """The hub and the cluster it speaks to."""

    hub: RenkuHub
    cluster: FakeCluster
    kubelet: ProcessKubelet

    def pods(self) -> list[dict[str, Any]]:
        """Those of sessions."""
        return [pod for pod in self.cluster.objects("pods", "sessions") if not _named(pod, "renku-")]

    def probes(self) -> list[dict[str, Any]]:
        """Those that look into images."""
        return [pod for pod in self.cluster.objects("pods", "sessions") if _named(pod, "renku-probe-")]

    def looks(self) -> list[dict[str, Any]]:
        """Those that look for unsaved work."""
        return [pod for pod in self.cluster.objects("pods", "sessions") if _named(pod, "renku-look-")]

    def downloads(self) -> list[dict[str, Any]]:
        """Those that hand files over."""
        return [pod for pod in self.cluster.objects("pods", "sessions") if _named(pod, "renku-download-")]

    def claims(self) -> list[dict[str, Any]]:
        return self.cluster.objects("persistentvolumeclaims", "sessions")


def _named(pod: dict[str, Any], prefix: str) -> bool:
    return str(pod["metadata"]["name"]).startswith(prefix)


def endings(hub: RenkuHub) -> list[asyncio.Future[None]]:
    """What the spawners still do for sessions that have ended by themselves."""
    spawners = [spawner for user in hub.app.users.values() for spawner in user.spawners.values()]
    for spawner in spawners:
        spawner.stop_polling()  # a late look would make a watch that outlives the test
        if minder := getattr(spawner, "minder", None):
            minder.cancel()
    work = [getattr(spawner, name, None) for spawner in spawners for name in ("ending", "probing")]
    return [future for future in work if future]


@pytest.fixture
async def on_cluster(
    renku_hub: Callable[..., Awaitable[RenkuHub]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[Callable[..., Awaitable[OnCluster]]]:
    """A function that starts both; its arguments change the hub's configuration."""
    KubeSpawner.reflectors.clear()
    async with FakeCluster(speed=20) as cluster:
        kubelet = ProcessKubelet(cluster, tmp_path / "machine")
        kubelet.entrypoint = ["/usr/bin/env"]  # as the usual images: it runs what it is given
        use(cluster, monkeypatch)
        made: list[OnCluster] = []

        async def make(**changes: dict[str, Any]) -> OnCluster:
            tiny = [os.path.realpath(sys.executable), "-I", shutil.copy(TINY[-1], tmp_path)]  # not below /work
            spawner = {
                "namespace": "sessions",
                "cmd": tiny,
                "poll_interval": 1,
                "environment": {"PATH": "/bin:/usr/bin"},
            }
            changes = {"JupyterHub": {}, "RenkuSpawner": {}, **changes}
            changes["JupyterHub"] = {"spawner_class": RenkuSpawner, **changes["JupyterHub"]}
            changes["RenkuSpawner"] = {**spawner, **changes["RenkuSpawner"]}
            made.append(OnCluster(hub=await renku_hub(**changes), cluster=cluster, kubelet=kubelet))
            return made[-1]

        yield make
        for it in made:
            await stop_sessions(it.hub)
            await asyncio.gather(*endings(it.hub))
            await it.hub.parts.pvc_readers.close()
        await forget_reflectors()
