"""A spawner of pods that hears from one watch how they are."""

from __future__ import annotations

import asyncio
from typing import Any

from kubespawner import KubeSpawner

from . import beside, pod_contents, pod_download
from .domain.instance import Instance
from .failures import LaunchFailed
from .kube import secret, status
from .kube.asked import Asked
from .kube.calls import Calls, Denied
from .kube.clock import now
from .kube.settings import PREFIX
from .kube.stream import HURRY_SECONDS
from .kube.watch import Watch
from .services import runs
from .session_spawner import SessionSpawner

_NOT_YET_SECONDS = 0.5


class WatchedSpawner(SessionSpawner, KubeSpawner):
    """One watch of this hub's pods and their events takes the place of KubeSpawner's reflectors (decision 48)."""

    outlives_hub = True  # see `hub.install`
    minder: asyncio.Future[None] | None = None
    knowing: asyncio.Future[None] | None = None  # the reading of the token after a restart
    hub_label: str

    @property
    def calls(self) -> Calls:
        return Calls(self.api, self.namespace, rate=self.renku.api_rate)

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.pod_name}"

    @property
    def reachable(self) -> bool:  # type: ignore[override]
        """Whether the cluster answered when it was last asked."""
        watch = type(self).reflectors.get(self._get_reflector_key("pods"))
        return watch is None or bool(watch.healthy)

    async def _start_watching_pods(self, replace: bool = False) -> Watch:
        """One watch stands for both of KubeSpawner's reflectors; it never gives up, and goes with its loop."""
        reflectors = type(self).reflectors
        key = self._get_reflector_key("pods")
        if key not in reflectors or reflectors[key].over:
            labels = f"component={self.component_label}"
            labels += f",{PREFIX}hub={self.hub_label}" if self.hub_label else ""
            watch = Watch(self.api, namespace=self.namespace, labels=labels, log=self.log)
            reflectors[key] = reflectors[self._get_reflector_key("events")] = watch
            for sweep in (pod_contents.sweep, pod_download.sweep):
                sweeping = sweep(self.calls, self.hub_label)
                watch.ends(beside.begin(sweeping, f"The removal of what was left in {self.namespace}"))
        return reflectors[key]

    def _build_common_labels(self, extra_labels: dict[str, str]) -> dict[str, str]:
        """Plain servers' pods are this hub's too."""
        own = {f"{PREFIX}hub": self.hub_label} if self.hub_label else {}
        return {**super()._build_common_labels(extra_labels), **own}

    async def _start_watching_events(self, replace: bool = False) -> Watch:
        return await self._start_watching_pods()

    async def _first_sight(self, watch: Watch, *, within: float) -> None:
        """Until the cluster has said what there is, *within* seconds. Raises LaunchFailed."""
        end = now() + within
        watch.hurry()
        while not watch.first_load_future.done():
            if (left := end - now()) <= 0:
                raise LaunchFailed("cluster_unavailable")
            await asyncio.wait({watch.first_load_future}, timeout=min(left, HURRY_SECONDS))
            watch.hurry()

    def _mind(self, watch: Watch) -> None:
        """Look at once when something changes; the hub itself asks only now and then."""
        if self.minder is None or self.minder.done():
            self.minder = beside.begin(self._look_at_each_change(watch), f"The watch over {self.key}")

    def _mind_no_more(self) -> None:
        """It may be the one that found out that there is nothing more to mind: then it ends by itself."""
        minder, self.minder = self.minder, None
        if minder is not None and minder is not asyncio.current_task():
            minder.cancel()

    async def _look_at_each_change(self, watch: Watch) -> None:
        with watch.listening(self.key) as changed:
            while not self._stop_pending and self.minder is asyncio.current_task():
                await changed.wait()
                if not self._callbacks:  # the hub has not finished the start, or its check
                    await asyncio.sleep(_NOT_YET_SECONDS)
                    continue
                changed.clear()
                await self.poll_and_notify()

    def is_pod_running(self, pod: dict[str, Any] | None) -> bool:
        """Whether its container is ready; what a pod does not say yet is no."""
        return pod is not None and status.read(pod, [], Asked(image="")).running

    async def _wait_for_sight(self, watch: Watch, instance: Instance) -> None:
        """After a restart of the hub the answer waits for the cluster's, however long (V8).

        Thousands may wait here, all for the same: they say that nothing is seen only where the cluster is away.
        """
        while not watch.sight.whole:
            if not await watch.sight.is_due():
                await runs.sighted(self.renku.parts, instance, seen=False)
                await watch.sight.comes()

    def _secret(self, instance: Instance) -> str:
        return f"{self.pod_name}-{instance.run}"

    async def _know_token(self, watch: Watch, instance: Instance) -> None:
        """It stands in the Secret of the pod."""
        kept, known = None, False
        while not known:
            try:
                kept, known = await self.calls.secret(self._secret(instance)), True
            except Denied as denied:
                known = denied.refusal.code != "cluster_unavailable"
                await self._wait_for_sight(watch, instance)
        self.api_token = secret.token(kept) or self.api_token
