"""A spawner of pods that keeps a session's files in a claim of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

from traitlets import Bool, Unicode

from . import pod_contents, pod_download, pod_inventory, pod_processor, pod_storages
from .domain.errors import Unavailable
from .domain.instance import Instance, Observed
from .domain.inventory import Inventory, Orphan
from .domain.reasons import merge_notices, sentence
from .domain.session import SessionSpec
from .failures import LaunchFailed
from .kube import claims, keep
from .kube.calls import Calls, Denied
from .kube.helper import Place
from .kube.inventory import CLAIM
from .kube.settings import PodSettings
from .pod_contents import Claim
from .runtime.contents import Look
from .services import runs
from .watched import WatchedSpawner

ANSWERS_WITHIN = 1.0  # seconds in which a cluster usually does


class ClaimedSpawner(WatchedSpawner):
    """The claim is made once, grows when asked, is looked at before its owner deletes it, and outlives every pod."""

    clone_image = Unicode(
        "docker.io/library/python:3.13",
        config=True,
        help="""
        Image of the container that clones repositories, and of the pods that look for unsaved work and hand files
        over: it needs `sh`, `python3` (3.10 or newer), `git`, and Zstandard: the library libzstd, which images made
        from Debian have, or Python's own or `zstandard`.
        """,
    )

    show_unsaved = Bool(
        True,
        config=True,
        help="""
        Whether the page that deletes data shows what would be lost, for which a pod of a few seconds looks at the
        session's volume; without it the page says that nobody knows.
        """,
    )

    hub_label = Unicode(
        "",
        config=True,
        help="""
        Tells this hub's pods and claims from those of other hubs in the same namespace: a valid label value. Set it
        before the first session and leave it: what was made under another one is not this hub's any more.
        """,
    )

    @property
    def pod_settings(self) -> PodSettings:
        return PodSettings(
            clone_image=self.clone_image,
            clone_timeout=self.renku.clone_timeout,
            stop_grace=max(1, round(self.renku.stop_grace)),
            hub=self.hub_label,
            volumes=self.renku.parts.policy.volumes,
            rclone_storage_class=self.renku.parts.policy.rclone_storage_class,
        )

    def _claim(self, instance: Instance) -> str:
        return f"{CLAIM}{instance.claim}"

    async def _keep_files(self, calls: Calls, spec: SessionSpec, instance: Instance) -> Instance:
        """What was never ready holds nobody's work; what was is made anew only when its owner has given it up."""
        name, storage = self._claim(instance), self.storage_class or None
        await pod_contents.end(calls, name)
        await pod_download.end(calls, name)
        claim = claims.work_claim(name, spec, self.pod_settings, storage_class=storage)
        expected = instance.last_activity is not None
        notice = await keep.keep(calls, claim, spec, expected=expected)
        storages = pod_storages.notices(spec, self.renku.parts.policy)
        notices = merge_notices(instance.notices, *storages, *([notice.told()] if notice else []))
        staged = await runs.stage(self.renku.parts, instance, Observed.SCHEDULING, notices=notices)
        if staged is None:
            raise LaunchFailed("cancelled")
        return staged

    async def too_large(self, instance: Instance, disk: str) -> str | None:
        with suppress(Denied, TimeoutError):
            async with asyncio.timeout(ANSWERS_WITHIN):
                present = await self.calls.claim(self._claim(instance))
            return claims.too_large(present or {}, disk)
        return None

    async def contents(self, instance: Instance) -> Look:
        if not self.show_unsaved or instance.claim is None:
            return Look()
        return await pod_contents.see(self._read(instance))

    def files(self, instance: Instance) -> AsyncGenerator[bytes, None]:
        return pod_download.pieces(self._read(instance))

    def _read(self, instance: Instance) -> Claim:
        return Claim(
            parts=self.renku.parts, calls=self.calls, instance=instance, claim=self._claim(instance),
            pod=self.pod_name, place=self._place(instance), settings=self.pod_settings,
        )  # fmt: skip

    def _place(self, instance: Instance) -> Place:
        """Where a pod may look at a claim that no session uses: where sessions of its class run, near enough."""
        classes = self.renku.parts.policy.classes
        size = next((each for each in classes if each.name == instance.resource_class), None)
        secrets = [{"name": said} if isinstance(said, str) else said for said in self.image_pull_secrets]
        return Place(
            selector=self.node_selector,
            tolerations=[*self._sorted_dict_values(self.tolerations), *(size.tolerations if size else ())],
            pull_secrets=secrets,
            scheduler=self.scheduler_name,
        )

    async def inventory(self) -> Inventory:
        watch, spread = await self._start_watching_pods(), self.enable_user_namespaces
        return await pod_inventory.see(watch, self._impatient, self.hub_label, spread=spread)

    async def nodes(self) -> dict[str, str]:
        return await pod_inventory.nodes(await self._start_watching_pods(), spread=self.enable_user_namespaces)

    async def remove(self, orphan: Orphan) -> None:
        await pod_inventory.remove(self._impatient, orphan)

    async def processors(self) -> dict[tuple[str, str], float]:
        watch, spread = await self._start_watching_pods(), self.enable_user_namespaces
        once = Calls(self.api, self.namespace, patience=0, rate=self.renku.api_rate)
        return await pod_processor.cores(once, watch.pods, self.hub_label, spread=spread)

    @property
    def _impatient(self) -> Calls:
        """For somebody who waits for the answer."""
        return Calls(self.api, self.namespace, patience=pod_inventory.PATIENCE, rate=self.renku.api_rate)

    async def discard(self, instance: Instance) -> None:
        """A pod that reads the claim would keep it."""
        name = self._claim(instance)
        try:
            await pod_contents.end(self.calls, name, left=True)
            await pod_download.end(self.calls, name, left=True)
            done = await keep.discard(self.calls, name, instance.session)
        except Denied as denied:
            raise Unavailable(sentence(denied.refusal.code, **denied.refusal.values)) from None
        if not done:
            self.log.warning("The claim %s belongs to another session and stays", name)
