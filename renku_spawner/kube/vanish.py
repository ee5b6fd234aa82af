"""The end of a session's pod: asked for, waited for, and forced when it does not come."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from .calls import Calls, Denied
from .keep import SESSION
from .refusal import Refusal
from .settings import PREFIX
from .watch import Watch

RUN = f"{PREFIX}launch"
_LATE = 5.0  # seconds beyond its grace that a pod has to go
_AGAIN = 1.0  # seconds
_AT_ONCE = 5.0  # seconds until a pod without grace is asked for again


@dataclass(frozen=True, kw_only=True)
class Ours:
    """The pod of *session*; one of the same name that is not labelled so belongs to somebody else."""

    calls: Calls
    watch: Watch
    key: str
    session: str

    @property
    def name(self) -> str:
        return self.key.partition("/")[2]

    def of_run(self, run: str | None) -> str | None:
        """The uid of the pod of this very start, if an earlier hub has made it already."""
        metadata = self.watch.pods.get(self.key, {}).get("metadata", {})
        return str(metadata["uid"]) if run and (metadata.get("labels") or {}).get(RUN) == run else None

    async def make_room(self) -> None:
        """End what an earlier run has left. Raises Denied, also `in_the_way`."""
        uid, labels = await self._present()
        if uid is not None and labels.get(SESSION) != self.session:
            raise Denied(Refusal(code="in_the_way", values={"name": self.name}))
        await self.vanish(grace=0)

    async def vanish(self, *, grace: int, run: str | None = None) -> None:
        """Delete the pod and wait until it has gone; what does not go in time is forced. Raises Denied.

        With *run* it must be that run's: one that has ended is seen off beside, and the next may have begun.
        """
        uid, labels = await self._present()
        if uid is None or labels.get(SESSION) != self.session or (run and labels.get(RUN) != run):
            return
        for patience in (grace, 0):
            await self.calls.delete_pod(self.name, grace=patience, uid=uid)
            if await self._gone(uid, patience + _LATE if patience else _AT_ONCE):
                return

    async def vanish_at_last(self, *, run: str | None) -> None:
        """As soon as the cluster lets us: end the pod of that run, unless a later run has taken its place."""
        while True:
            try:
                await self.vanish(grace=0, run=run)
                return
            except Denied:
                await asyncio.sleep(_AGAIN)

    async def _present(self) -> tuple[str | None, dict[str, str]]:
        """Asked of the cluster, since the watch may not have seen yet what was just made."""
        pod = await self.calls.pod(self.name)
        return (None, {}) if pod is None else (pod["metadata"]["uid"], pod["metadata"].get("labels") or {})

    async def _gone(self, uid: str, within: float) -> bool:
        try:
            async with asyncio.timeout(within):
                with self.watch.listening(self.key) as changed:
                    while await self._seen(uid):
                        await changed.wait()
                        changed.clear()
        except TimeoutError:
            return False
        return True

    async def _seen(self, uid: str) -> bool:
        pod = self.watch.pods.get(self.key)
        if pod is None and not self.watch.healthy:
            return True
        return pod is not None and pod["metadata"].get("uid") == uid
