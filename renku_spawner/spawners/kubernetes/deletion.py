"""Delete the pod of a session, wait until it is gone, and force its deletion when it is late."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial

from ...integrations.net.retry import Backoff, retry
from .api import KubernetesAPI, KubernetesAPIError
from .errors import KubernetesRefusal
from .settings import RENKU_LABEL_PREFIX
from .volumes import SESSION_LABEL
from .watch import PodInformer

LAUNCH_LABEL = f"{RENKU_LABEL_PREFIX}launch"
_DELETION_MARGIN_SECONDS = 5.0  # added to the pod's grace period before its deletion is forced
_DELETION_BACKOFF = Backoff(first=1, longest=1, jitter=0)
_FORCED_DELETION_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class SessionPod:
    """The pod of *session*, at *key* (`namespace/name`).

    A pod of that name without the session's label is not ours and is never deleted.
    """

    calls: KubernetesAPI
    watch: PodInformer
    key: str
    session: str

    @property
    def name(self) -> str:
        return self.key.partition("/")[2]

    def find_launch_uid(self, run: str | None) -> str | None:
        """Return the uid of the pod of launch *run*, if an earlier hub process has already created it."""
        metadata = self.watch.pods.get(self.key, {}).get("metadata", {})
        return str(metadata["uid"]) if run and (metadata.get("labels") or {}).get(LAUNCH_LABEL) == run else None

    async def delete_previous(self) -> None:
        """Delete the pod of an earlier run. Raises KubernetesAPIError, also with code `in_the_way`."""
        uid, labels = await self._get_uid_and_labels()
        if uid is not None and labels.get(SESSION_LABEL) != self.session:
            raise KubernetesAPIError(KubernetesRefusal(code="in_the_way", values={"name": self.name}))
        await self.delete_and_wait(grace=0)

    async def delete_and_wait(self, *, grace: int, run: str | None = None) -> None:
        """Delete the pod and wait until it is gone; force the deletion after *grace* seconds and a margin.

        With *run*, delete only the pod of that run: clean-up runs in the background, and the next run may have started.
        Raises KubernetesAPIError.
        """
        uid, labels = await self._get_uid_and_labels()
        if uid is None or labels.get(SESSION_LABEL) != self.session or (run and labels.get(LAUNCH_LABEL) != run):
            return
        for patience in (grace, 0):
            await self.calls.delete_pod(self.name, grace=patience, uid=uid)
            if await self._wait_until_gone(
                uid, patience + _DELETION_MARGIN_SECONDS if patience else _FORCED_DELETION_TIMEOUT_SECONDS
            ):
                return

    async def delete_eventually(self, *, run: str | None) -> None:
        """Retry until the pod of *run* is deleted, unless a later run has replaced it."""
        work = partial(self.delete_and_wait, grace=0, run=run)
        await retry(work, errors=KubernetesAPIError, backoff=_DELETION_BACKOFF)

    async def _get_uid_and_labels(self) -> tuple[str | None, dict[str, str]]:
        """Read the pod from the API, because the informer may not have seen a new pod yet."""
        pod = await self.calls.get_pod(self.name)
        return (None, {}) if pod is None else (pod["metadata"]["uid"], pod["metadata"].get("labels") or {})

    async def _wait_until_gone(self, uid: str, within: float) -> bool:
        try:
            async with asyncio.timeout(within):
                with self.watch.subscribe(self.key) as changed:
                    while await self._is_present(uid):
                        await changed.wait()
                        changed.clear()
        except TimeoutError:
            return False
        return True

    async def _is_present(self, uid: str) -> bool:
        pod = self.watch.pods.get(self.key)
        if pod is None and not self.watch.healthy:
            return True
        return pod is not None and pod["metadata"].get("uid") == uid
