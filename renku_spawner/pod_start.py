"""A start on the cluster, from the pod that was made to the answer over HTTP."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import Any

from .answering import Answering
from .domain import reasons
from .domain.instance import STAGES, Instance, Observed
from .domain.session import SessionSpec
from .failures import LaunchFailed
from .kube import clone, status
from .kube.asked import Asked, asked
from .kube.calls import Calls
from .kube.launch import Look, follow
from .kube.objects import Raw
from .kube.settings import CLONE
from .kube.verdict import Verdict, judge
from .kube.watch import Watch
from .pod_storages import Known
from .services import runs
from .services.parts import Parts

_STEPS = {Observed.SCHEDULING, Observed.PULLING, Observed.PREPARING, Observed.STARTING, Observed.WAITING}
_PATIENT = {Observed.SCHEDULING, Observed.PULLING}  # these may take long and say so
_DISK = {"volume_pending", "volume_attach", "volume_mount", "data_mount_failed"}
_ASK_AGAIN = 3.0  # seconds between two looks at the claim's events


class _Moved(Exception):
    """The pod's sandbox was made again, so that it has another address."""

    def __init__(self, look: Look) -> None:
        super().__init__(look.seen.address)
        self.look = look


def url_of(address: str, port: int) -> str:
    """Return where a pod answers; addresses may be IPv6."""
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"


@dataclass(kw_only=True)
class PodStart:
    """One start: `key` and `uid` name its pod, `timeout` is how long (s) nothing may come further."""

    parts: Parts
    calls: Calls
    watch: Watch
    key: str
    uid: str
    spec: SessionSpec
    instance: Instance
    timeout: float
    secret: str
    claim: str
    storages: Known = field(default_factory=Known)
    stage: Observed = Observed.CREATING  # what is on record
    cloned: bool = False
    claim_events: Sequence[Raw] = ()
    claim_asked: float = field(default_factory=monotonic)
    end: float = field(default_factory=monotonic)
    verdict: Verdict = field(default_factory=Verdict)  # while it is waited for its answer

    async def until_running(self) -> Look:
        """Follow the pod until its container runs; that it does is told with its address. Raises LaunchFailed."""
        self._further()
        async with aclosing(self._looks()) as looks:
            async for look in looks:
                self._give_up_if_final(look)
                if look.seen.running:
                    return look
                await self._tell(look)
                self._give_up_if_late()
                await self._ask_of_the_disk(look)
        raise LaunchFailed("cancelled")

    def _looks(self) -> AsyncGenerator[Look, None]:
        return follow(self.watch, self.key, self.uid, self._asked, lambda: self.claim_events)

    async def until_answered(self, look: Look, base_url: str, hub: str) -> str:
        """Return where it answers below its prefix, while the pod is well, wherever that is. Raises LaunchFailed."""
        while True:
            url = url_of(look.seen.address or "", self.spec.run.port)
            await self._tell(look, url=url)
            self.verdict = Verdict(since=monotonic())
            try:
                asked = Answering(url=url, prefix=base_url, hub=hub, timeout=self.timeout)
                await asked.wait(partial(self._check_pod, look.seen.address))
                return url
            except _Moved as moved:
                look = moved.look

    async def _check_pod(self, address: str | None) -> None:
        """Raise LaunchFailed if the pod is not well for good, and _Moved if it is ready elsewhere than at *address*."""
        if self.watch.healthy:
            seen = status.read(self.watch.pods.get(self.key), self.watch.events_of(self.key), self._asked())
            self.verdict = judge(seen.failure, self.verdict, monotonic())
            look = Look(seen=seen, verdict=self.verdict)
            self._give_up_if_final(look)
            if seen.running and seen.address != address:
                raise _Moved(look)

    async def step(self, stage: Observed, **seen: Any) -> None:
        """Record how far it is. Raises LaunchFailed if it is no longer wanted."""
        current = await runs.stage(self.parts, self.instance, stage, **seen)
        if current is None:
            raise LaunchFailed("cancelled")
        self.instance, self.stage = current, stage

    async def _tell(self, look: Look, **known: Any) -> None:
        """Record a new step, what else is *known*, and the notices if others hold than are on record.

        Those on record may be an earlier hub's, so only facts of the start are kept of them.
        """
        stage = look.seen.stage if look.seen.stage in _STEPS else self.stage
        further, waits = stage is not self.stage, _waits(look)
        if further or known or reasons.merge_notices(self.instance.notices, *waits) != self.instance.notices:
            files = await self._missing(stage)
            await self.step(stage, notices=reasons.merge_notices(self.instance.notices, *files, *waits), **known)
        if further or stage in _PATIENT:
            self._further()

    async def _ask_of_the_disk(self, look: Look) -> None:
        """Events of a claim are asked for while the pod waits for it; the watch has those of pods only."""
        failure, now = look.verdict.failure, monotonic()
        if failure is not None and failure.code in _DISK and now > self.claim_asked:
            self.claim_asked = now + _ASK_AGAIN
            self.claim_events = [*await self.calls.claim_events(self.claim), *await self.storages.look(self.calls)]

    async def _missing(self, stage: Observed) -> list[Mapping[str, str]]:
        """Once the files are there: what to tell of repositories that are not."""
        if self.cloned or not self.spec.repositories or stage not in (Observed.STARTING, Observed.WAITING):
            return []
        self.cloned = True
        rows = clone.report(await self.calls.log(self.key.partition("/")[2], CLONE, lines=50))
        return [_notice(self.spec, row) for row in rows if row.get("outcome") == "failed"]

    def _asked(self) -> Asked:
        ours = frozenset({self.secret})
        now, since = datetime.now(UTC), self.parts.since
        return asked(self.spec, ours=ours, now=now, storages=self.storages.names, hub_since=since)

    def _further(self) -> None:
        self.end = monotonic() + self.timeout

    def _give_up_if_final(self, look: Look) -> None:
        failure = look.verdict.failure
        if failure is not None and look.verdict.final:
            because = (str(failure.values["storages"]),) if failure.code == "data_mount_failed" else ()
            raise LaunchFailed(failure.code, **failure.values).because_of(because)

    def _give_up_if_late(self) -> None:
        if monotonic() > self.end:
            raise LaunchFailed("start_timeout", limit=f"{self.timeout:g} s", stage=STAGES.get(self.stage, ""))


def _waits(look: Look) -> tuple[Mapping[str, str], ...]:
    """Return what is not well yet, and the other notices of the step."""
    waiting = None if look.seen.running else look.verdict.notice
    notices = {notice.code: notice for notice in (*([waiting] if waiting else []), *look.seen.notices)}
    return tuple(notice.told() for notice in notices.values())


def _notice(spec: SessionSpec, row: dict[str, Any]) -> dict[str, str]:
    refs = {repository.directory: repository.ref or "" for repository in spec.repositories}
    directory, code = str(row.get("directory")), str(row.get("code") or "clone_failed")
    title, text = reasons.words(code, directory=directory, message=row.get("message"), ref=refs.get(directory, ""))
    return {"code": code, "title": title, "text": text}
