"""Follow a launch from the created pod until its program is ready, keep its image pull login valid, and show a notice
while the cluster is unreachable.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import Any

from ...context.app_context import AppContext
from ...domain.errors import UnavailableError
from ...domain.instances import STAGE_LABELS, Instance, ObservedState
from ...domain.reasons import format_reason, merge_notices
from ...domain.sessions import LaunchSpec
from ...lifecycle.runs import record_stage
from ...lifecycle.transitions import add_notice, remove_notice
from ..errors import LaunchFailed
from ..readiness import ReadinessProbe
from .api import KubernetesAPI, get_loop_time
from .clone import parse_clone_log
from .diagnosis import (
    FailureAssessment,
    PodExpectations,
    PodNotice,
    PodStatus,
    assess_failure,
    build_pod_expectations,
    read_pod_status,
)
from .objects import KubernetesObject
from .settings import CLONE_CONTAINER_NAME
from .storages import StorageNames
from .watch import PodInformer

_POD_CHECK_INTERVAL_SECONDS = 1.0  # some failures become final by lasting, without a change of the pod


@dataclass(frozen=True, kw_only=True)
class PodObservation:
    """A pod's status and the assessment of its failure."""

    status: PodStatus
    assessment: FailureAssessment


async def watch_pod(
    watch: PodInformer,
    key: str,
    uid: str,
    get_expectations: Callable[[], PodExpectations],
    get_pvc_events: Callable[[], Sequence[KubernetesObject]] = tuple,
) -> AsyncGenerator[PodObservation, None]:
    """Yield observations of the pod *uid*: now, at each change, and every second.

    *get_expectations* returns the current expectations, *get_pvc_events* the events of the pod's PVCs. Nothing is
    yielded before the informer has seen the pod, so that a new pod does not count as gone.
    """
    assessment, was_seen = FailureAssessment(since=get_loop_time()), False
    with watch.subscribe(key) as changed:
        while True:
            changed.clear()
            pod = watch.pods.get(key)
            own_pod = pod if pod and pod["metadata"].get("uid") == uid else None
            was_seen = was_seen or own_pod is not None
            if was_seen and watch.healthy:
                last = watch.get_last_seen_pod(key) if own_pod is None else None
                status = read_pod_status(
                    own_pod, [*watch.list_pod_events(key), *get_pvc_events()], get_expectations(), last=last
                )
                assessment = assess_failure(status.failure, assessment, get_loop_time())
                yield PodObservation(status=status, assessment=assessment)
            await _wait_for_pod_change(changed)


async def _wait_for_pod_change(changed: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(_POD_CHECK_INTERVAL_SECONDS):
            await changed.wait()
    except TimeoutError:
        return


_RECORDED_LAUNCH_STAGES = {
    ObservedState.SCHEDULING,
    ObservedState.PULLING,
    ObservedState.PREPARING,
    ObservedState.STARTING,
    ObservedState.WAITING,
}
_SLOW_LAUNCH_STAGES = {ObservedState.SCHEDULING, ObservedState.PULLING}  # these may take long and extend the deadline
_VOLUME_FAILURE_CODES = {"volume_pending", "volume_attach", "volume_mount", "data_mount_failed"}
_PVC_EVENTS_INTERVAL_SECONDS = 3.0


class _PodAddressChanged(Exception):
    """The pod's sandbox was recreated, so the pod has another address."""

    def __init__(self, observation: PodObservation) -> None:
        super().__init__(observation.status.address)
        self.observation = observation


def build_pod_url(address: str, port: int) -> str:
    """Return a pod's base URL; *address* may be IPv6."""
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"


@dataclass(kw_only=True)
class PodLaunch:
    """The part of a launch after its pod was created.

    `key` (`namespace/name`) and `uid` identify the pod. `timeout` is the maximum time without progress, in seconds.
    """

    context: AppContext
    calls: KubernetesAPI
    watch: PodInformer
    key: str
    uid: str
    spec: LaunchSpec
    instance: Instance
    timeout: float
    secret: str
    claim: str
    storages: StorageNames = field(default_factory=StorageNames)
    stage: ObservedState = ObservedState.CREATING  # last recorded stage
    cloned: bool = False
    claim_events: Sequence[KubernetesObject] = ()
    claim_asked: float = field(default_factory=monotonic)
    end: float = field(default_factory=monotonic)
    assessment: FailureAssessment = field(default_factory=FailureAssessment)  # assessment during the HTTP probe

    async def wait_until_running(self) -> PodObservation:
        """Follow the pod until its container runs, and return that observation. Raises LaunchFailed."""
        self._extend_deadline()
        async with aclosing(self._observe_pod()) as observations:
            async for observation in observations:
                self._raise_if_final(observation)
                if observation.status.running:
                    return observation
                await self._record_progress(observation)
                self._raise_if_late()
                await self._load_volume_events(observation)
        raise LaunchFailed("cancelled")

    def _observe_pod(self) -> AsyncGenerator[PodObservation, None]:
        return watch_pod(self.watch, self.key, self.uid, self._build_expectations, lambda: self.claim_events)

    async def wait_until_ready(self, observation: PodObservation, base_url: str, hub: str) -> str:
        """Probe the program until it is ready, also after a change of the pod's address, and return its URL.

        Raises LaunchFailed.
        """
        while True:
            url = build_pod_url(observation.status.address or "", self.spec.run.port)
            await self._record_progress(observation, url=url)
            self.assessment = FailureAssessment(since=monotonic())
            try:
                probe = ReadinessProbe(url=url, prefix=base_url, hub=hub, timeout=self.timeout)
                await probe.wait_until_ready(partial(self._check_pod, observation.status.address))
                return url
            except _PodAddressChanged as moved:
                observation = moved.observation

    async def _check_pod(self, address: str | None) -> None:
        """Raise LaunchFailed for a final failure, and _PodAddressChanged if the pod is ready at another address."""
        if self.watch.healthy:
            status = read_pod_status(
                self.watch.pods.get(self.key), self.watch.list_pod_events(self.key), self._build_expectations()
            )
            self.assessment = assess_failure(status.failure, self.assessment, monotonic())
            observation = PodObservation(status=status, assessment=self.assessment)
            self._raise_if_final(observation)
            if status.running and status.address != address:
                raise _PodAddressChanged(observation)

    async def record_stage(self, stage: ObservedState, **seen: Any) -> None:
        """Record the launch's stage. Raises LaunchFailed if the launch was cancelled."""
        current = await record_stage(self.context, self.instance, stage, **seen)
        if current is None:
            raise LaunchFailed("cancelled")
        self.instance, self.stage = current, stage

    async def _record_progress(self, observation: PodObservation, **known: Any) -> None:
        """Record a new stage, the *known* values and changed notices.

        Of the recorded notices, which may be an earlier hub's, only those about the whole launch are kept.
        """
        stage = observation.status.stage if observation.status.stage in _RECORDED_LAUNCH_STAGES else self.stage
        is_new_stage, waiting_messages = stage is not self.stage, _list_waiting_messages(observation)
        if is_new_stage or known or merge_notices(self.instance.notices, *waiting_messages) != self.instance.notices:
            files = await self._load_clone_failures(stage)
            await self.record_stage(
                stage, notices=merge_notices(self.instance.notices, *files, *waiting_messages), **known
            )
        if is_new_stage or stage in _SLOW_LAUNCH_STAGES:
            self._extend_deadline()

    async def _load_volume_events(self, observation: PodObservation) -> None:
        """Load PVC events while the pod waits for a volume, because the informer has only events of pods."""
        failure, now = observation.assessment.failure, monotonic()
        if failure is not None and failure.code in _VOLUME_FAILURE_CODES and now > self.claim_asked:
            self.claim_asked = now + _PVC_EVENTS_INTERVAL_SECONDS
            self.claim_events = [
                *await self.calls.list_pvc_events(self.claim),
                *await self.storages.load_pvc_events(self.calls),
            ]

    async def _load_clone_failures(self, stage: ObservedState) -> list[Mapping[str, str]]:
        """Return the messages about repositories that failed to clone, once, after the clone container has ended."""
        if self.cloned or not self.spec.repositories or stage not in (ObservedState.STARTING, ObservedState.WAITING):
            return []
        self.cloned = True
        rows = parse_clone_log(await self.calls.read_log(self.key.partition("/")[2], CLONE_CONTAINER_NAME, lines=50))
        return [_build_clone_failure_message(self.spec, row) for row in rows if row.get("outcome") == "failed"]

    def _build_expectations(self) -> PodExpectations:
        ours = frozenset({self.secret})
        now = datetime.now(UTC)
        since = self.context.hub_health.serving_since or now
        return build_pod_expectations(self.spec, ours=ours, now=now, storages=self.storages.names, hub_since=since)

    def _extend_deadline(self) -> None:
        self.end = monotonic() + self.timeout

    def _raise_if_final(self, observation: PodObservation) -> None:
        failure = observation.assessment.failure
        if failure is not None and observation.assessment.final:
            storages = (str(failure.values["storages"]),) if failure.code == "data_mount_failed" else ()
            raise LaunchFailed(failure.code, **failure.values).with_failed_storages(storages)

    def _raise_if_late(self) -> None:
        if monotonic() > self.end:
            raise LaunchFailed("start_timeout", limit=f"{self.timeout:g} s", stage=STAGE_LABELS.get(self.stage, ""))


def _list_waiting_messages(observation: PodObservation) -> tuple[Mapping[str, str], ...]:
    """Return the messages about what the launch waits for, and the other notices of its stage."""
    waiting = None if observation.status.running else observation.assessment.notice
    notices = {notice.code: notice for notice in (*([waiting] if waiting else []), *observation.status.notices)}
    return tuple(notice.to_message() for notice in notices.values())


def _build_clone_failure_message(spec: LaunchSpec, row: dict[str, Any]) -> dict[str, str]:
    refs = {repository.directory: repository.ref or "" for repository in spec.repositories}
    directory, code = str(row.get("directory")), str(row.get("code") or "clone_failed")
    title, text = format_reason(code, directory=directory, message=row.get("message"), ref=refs.get(directory, ""))
    return {"code": code, "title": title, "text": text}


_OUTAGE_CHECK_INTERVAL_SECONDS, _OUTAGE_REPEAT_INTERVAL_SECONDS = 0.25, 1.0
_OUTAGE_NOTICE_DELAY_SECONDS = 1.5  # short enough that the page shows an outage within three seconds
_CLUSTER_UNAVAILABLE_NOTICE = PodNotice(code="cluster_unavailable")


@dataclass(kw_only=True)
class ClusterOutageNotice:
    """A notice on a launch while the cluster is unreachable, which means that it does not respond."""

    context: AppContext
    instance: Instance
    is_unreachable: Callable[[], bool]
    since: float | None = None
    is_shown: bool = False

    @asynccontextmanager
    async def show_during_outages(self) -> AsyncIterator[None]:
        """Show the notice whenever the cluster is unreachable while the block runs.

        A busy database ends neither the checks nor the launch.
        """
        check_task = asyncio.ensure_future(self._run_outage_check_job())
        try:
            yield
        finally:
            check_task.cancel()
            await asyncio.wait({check_task})
            if self.is_shown:
                with suppress(UnavailableError):  # the first poll of the running session removes it, too
                    await remove_notice(self.context, self.instance, _CLUSTER_UNAVAILABLE_NOTICE.code)

    async def _run_outage_check_job(self) -> None:
        while True:
            with suppress(UnavailableError):
                await self._check_outage()
            await asyncio.sleep(_OUTAGE_REPEAT_INTERVAL_SECONDS if self.is_shown else _OUTAGE_CHECK_INTERVAL_SECONDS)

    async def _check_outage(self) -> None:
        self.since = (self.since or monotonic()) if self.is_unreachable() else None
        lasting = self.since is not None and monotonic() - self.since > _OUTAGE_NOTICE_DELAY_SECONDS
        if lasting:  # repeat it, because a new stage of the launch may have replaced it
            self.is_shown = True
            await add_notice(self.context, self.instance, _CLUSTER_UNAVAILABLE_NOTICE.to_message())
        elif self.is_shown:
            await remove_notice(self.context, self.instance, _CLUSTER_UNAVAILABLE_NOTICE.code)
            self.is_shown = False
