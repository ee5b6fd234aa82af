"""Run sessions as pods of a Kubernetes cluster: `RenkuSpawner` and its base classes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from jupyterhub.utils import maybe_future
from kubernetes_asyncio.config import ConfigException
from kubespawner import KubeSpawner
from traitlets import Bool, Unicode
from traitlets.config import Config

from ...context.background_tasks import start_background_task
from ...domain.administration import BackendInventory, BackendResource, OrphanedResource
from ...domain.errors import UnavailableError
from ...domain.instances import DesiredState, Instance, ObservedState
from ...domain.quantities import format_size_quantity
from ...domain.reasons import format_reason_sentence, merge_notices
from ...domain.resource_classes import ResourceClass
from ...domain.sessions import LaunchSpec
from ...hub.jupyterhub import is_end_watched, is_stop_pending
from ...lifecycle.decide import ActualState
from ...lifecycle.reconciler import Observation
from ...lifecycle.runs import record_observation, record_stage
from ..base import SessionSpawner
from ..errors import LaunchFailed
from ..in_pod.contents import ContentsInspection
from ..logs import redact_log
from .api import API_RETRY_TIMEOUT_SECONDS, KubernetesAPI, KubernetesAPIError, get_loop_time
from .cpu_usage import load_session_cpu_usage
from .deletion import SessionPod
from .diagnosis import (
    FailureAssessment,
    PodExpectations,
    PodFailure,
    PodStatus,
    assess_failure,
    read_pod_status,
    refine_failure_with_log,
)
from .helper_pods import PodPlacement
from .image_probe import probe_session_image
from .inventory import (
    INVENTORY_RETRY_TIMEOUT_SECONDS,
    WORK_PVC_PREFIX,
    list_nodes_by_run,
    load_cluster_inventory,
    remove_cluster_resource,
    to_pod_resources,
    wait_until_informer_synced,
)
from .launch import ClusterOutageNotice, PodLaunch, build_pod_url
from .objects import KubernetesObject
from .pod import build_session_pod, get_pinned_image
from .pvc_reader import (
    PVCReadRequest,
    cancel_pvc_readers,
    delete_stale_reader_pods,
    inspect_pvc,
    stream_pvc_archive,
)
from .secrets import PodPullSecret, build_session_secret, copy_with_owner_pod, read_api_token
from .settings import NOTEBOOK_CONTAINER_NAME, RENKU_LABEL_PREFIX, PodSettings
from .storages import StorageNames, create_storage_objects, list_unavailable_storage_notices
from .volumes import build_work_pvc, delete_session_pvc, ensure_pvc, get_oversized_pvc_size
from .watch import MIN_RETRY_INTERVAL_SECONDS, PodInformer

_HUB_PENDING_RETRY_SECONDS = 0.5


class WatchingSpawner(SessionSpawner, KubeSpawner):
    """Observe pods with one informer for this hub's pods and their events, in place of KubeSpawner's reflectors."""

    outlives_hub = True  # see `hub.install`
    monitoring_task: asyncio.Future[None] | None = None
    token_task: asyncio.Future[None] | None = None  # reads the API token after a hub restart
    hub_label: str

    @property
    def kubernetes_api(self) -> KubernetesAPI:
        return KubernetesAPI(self.api, self.namespace, pace=self.renku.context.cluster_pace)

    @property
    def pod_key(self) -> str:
        return f"{self.namespace}/{self.pod_name}"

    @property
    def reachable(self) -> bool:  # type: ignore[override]
        """False if the last request of the informer failed."""
        watch = type(self).reflectors.get(self._get_reflector_key("pods"))
        return watch is None or bool(watch.healthy)

    async def _start_watching_pods(self, replace: bool = False) -> PodInformer:
        """Return the informer of the namespace, which serves as both of KubeSpawner's reflectors.

        It retries without end, and is replaced when its event loop has been closed.
        """
        reflectors = type(self).reflectors
        key = self._get_reflector_key("pods")
        if key not in reflectors or reflectors[key].is_closed:
            labels = f"component={self.component_label}"
            labels += f",{RENKU_LABEL_PREFIX}hub={self.hub_label}" if self.hub_label else ""
            watch = PodInformer(self.api, namespace=self.namespace, labels=labels, log=self.log)
            reflectors[key] = reflectors[self._get_reflector_key("events")] = watch
            deletion = delete_stale_reader_pods(self.renku.context.pvc_readers, self.kubernetes_api, self.hub_label)
            watch.cancel_on_stop(start_background_task(deletion, f"Deletion of stale helper pods in {self.namespace}"))
        return reflectors[key]

    def _build_common_labels(self, extra_labels: dict[str, str]) -> dict[str, str]:
        """Add the hub label, also to pods of plain servers."""
        own = {f"{RENKU_LABEL_PREFIX}hub": self.hub_label} if self.hub_label else {}
        return {**super()._build_common_labels(extra_labels), **own}

    async def _start_watching_events(self, replace: bool = False) -> PodInformer:
        return await self._start_watching_pods()

    async def _wait_for_first_list(self, watch: PodInformer, *, within: float) -> None:
        """Wait for the informer's initial list for at most *within* seconds. Raises LaunchFailed."""
        end = get_loop_time() + within
        watch.retry_now()
        while not watch.first_load_future.done():
            if (left := end - get_loop_time()) <= 0:
                raise LaunchFailed("cluster_unavailable")
            await asyncio.wait({watch.first_load_future}, timeout=min(left, MIN_RETRY_INTERVAL_SECONDS))
            watch.retry_now()

    def _start_monitoring(self, watch: PodInformer) -> None:
        """Poll the session as soon as its pod changes, because JupyterHub polls only at long intervals."""
        if self.monitoring_task is None or self.monitoring_task.done():
            self.monitoring_task = start_background_task(
                self._run_monitoring_job(watch), f"Monitoring of {self.pod_key}"
            )

    def _stop_monitoring(self) -> None:
        """Stop the monitoring task, unless it is the caller: then it ends by itself."""
        task, self.monitoring_task = self.monitoring_task, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    async def _run_monitoring_job(self, watch: PodInformer) -> None:
        with watch.subscribe(self.pod_key) as changed:
            while not is_stop_pending(self) and self.monitoring_task is asyncio.current_task():
                await changed.wait()
                if not is_end_watched(self):  # JupyterHub has not finished the start or its check after a restart
                    await asyncio.sleep(_HUB_PENDING_RETRY_SECONDS)
                    continue
                changed.clear()
                await self.poll_and_notify()

    def is_pod_running(self, pod: dict[str, Any] | None) -> bool:
        """Return True if the pod's container is ready; a status that is missing counts as not ready."""
        return pod is not None and read_pod_status(pod, [], PodExpectations(image="")).running

    async def _wait_until_synced(self, watch: PodInformer, instance: Instance) -> None:
        """Wait without a timeout until the informer is synced after a hub restart.

        Many spawners may wait here at once; mark instances unknown only if the cluster is unreachable.
        """
        while not watch.sight.is_synced:
            if not await watch.sight.wait_until_synced():
                await record_observation(self.renku.context, instance, seen=False)
                await watch.sight.wait_indefinitely()

    def _get_session_secret_name(self, instance: Instance) -> str:
        return f"{self.pod_name}-{instance.run}"

    async def _load_api_token(self, watch: PodInformer, instance: Instance) -> None:
        """Read the API token from the Secret of the pod, retrying while the cluster is unreachable."""
        secret, is_known = None, False
        while not is_known:
            try:
                secret, is_known = await self.kubernetes_api.get_secret(self._get_session_secret_name(instance)), True
            except KubernetesAPIError as denied:
                is_known = denied.refusal.code != "cluster_unavailable"
                await self._wait_until_synced(watch, instance)
        self.api_token = read_api_token(secret) or self.api_token


CLUSTER_RESPONSE_TIMEOUT_SECONDS = 1.0  # clusters usually respond faster


class PVCSpawner(WatchingSpawner):
    """Manage the PVC of a session: create, grow, inspect, download and delete it. It outlives every pod."""

    clone_image = Unicode(
        "docker.io/library/python:3.13",
        config=True,
        help="""
        Image of the container that clones repositories, and of the pods that look for unsaved work or stream files for
        a download. It needs `sh`, `python3` (3.10 or newer) and `git`. A download is compressed with Zstandard if this
        Python has it (3.14 or newer, or the package `zstandard`), and otherwise with gzip, which takes longer.
        """,
    )

    show_unsaved = Bool(
        True,
        config=True,
        help="""
        Show unsaved work on the page that deletes a session's data. A pod that runs for a few seconds inspects the
        session's volume for that. If off, the page says that unsaved work is unknown.
        """,
    )

    hub_label = Unicode(
        "",
        config=True,
        help="""
        Label value that distinguishes this hub's pods and claims from those of other hubs in the same namespace. Set
        it before the first session and do not change it: the hub no longer finds what it created with another label.
        """,
    )

    @property
    def pod_settings(self) -> PodSettings:
        return PodSettings(
            clone_image=self.clone_image,
            clone_timeout=self.renku.clone_timeout,
            stop_grace=max(1, round(self.renku.stop_grace)),
            hub=self.hub_label,
            volumes=self.renku.context.policy.volumes,
            rclone_storage_class=self.renku.context.policy.rclone_storage_class,
        )

    def _get_work_pvc_name(self, instance: Instance) -> str:
        return f"{WORK_PVC_PREFIX}{instance.claim}"

    async def _ensure_work_pvc(self, calls: KubernetesAPI, spec: LaunchSpec, instance: Instance) -> Instance:
        """Create the work PVC or grow it, and record the launch's stage and notices.

        A lost PVC is created again only if the session was never ready, or if its owner agreed to an empty disk.
        """
        name, storage = self._get_work_pvc_name(instance), self.storage_class or None
        await cancel_pvc_readers(self.renku.context.pvc_readers, calls, name)
        claim = build_work_pvc(name, spec, self.pod_settings, storage_class=storage)
        expected = instance.last_activity is not None
        notice = await ensure_pvc(calls, claim, spec, expected=expected)
        storages = list_unavailable_storage_notices(spec, self.renku.context.policy)
        notices = merge_notices(instance.notices, *storages, *([notice.to_message()] if notice else []))
        staged = await record_stage(self.renku.context, instance, ObservedState.SCHEDULING, notices=notices)
        if staged is None:
            raise LaunchFailed("cancelled")
        return staged

    async def get_oversized_volume_size(self, instance: Instance, disk: str) -> str | None:
        with suppress(KubernetesAPIError, TimeoutError):
            async with asyncio.timeout(CLUSTER_RESPONSE_TIMEOUT_SECONDS):
                present = await self.kubernetes_api.get_pvc(self._get_work_pvc_name(instance))
            return get_oversized_pvc_size(present or {}, disk)
        return None

    async def inspect_files(self, instance: Instance) -> ContentsInspection:
        if not self.show_unsaved or instance.claim is None:
            return ContentsInspection()
        return await inspect_pvc(self._build_pvc_read_request(instance))

    def stream_files(self, instance: Instance) -> AsyncGenerator[bytes, None]:
        return stream_pvc_archive(self._build_pvc_read_request(instance))

    def _build_pvc_read_request(self, instance: Instance) -> PVCReadRequest:
        return PVCReadRequest(
            context=self.renku.context,
            calls=self.kubernetes_api,
            instance=instance,
            claim=self._get_work_pvc_name(instance),
            pod=self.pod_name,
            place=self._build_helper_placement(instance),
            settings=self.pod_settings,
        )

    def _build_helper_placement(self, instance: Instance) -> PodPlacement:
        """Return where a helper pod may run while the session is paused: where sessions of its class run."""
        classes = self.renku.context.policy.classes
        size = next((each for each in classes if each.name == instance.resource_class), None)
        secrets = [{"name": secret} if isinstance(secret, str) else secret for secret in self.image_pull_secrets]
        return PodPlacement(
            selector=self.node_selector,
            tolerations=[*self._sorted_dict_values(self.tolerations), *(size.tolerations if size else ())],
            pull_secrets=secrets,
            scheduler=self.scheduler_name,
        )

    async def load_inventory(self) -> BackendInventory:
        watch, spread = await self._start_watching_pods(), self.enable_user_namespaces
        return await load_cluster_inventory(watch, self._interactive_api, self.hub_label, spread=spread)

    async def list_session_pods(self) -> list[BackendResource]:
        """List the pods of all sessions of this hub in its namespace. Raises UnavailableError."""
        watch = await self._start_watching_pods()
        await wait_until_informer_synced(watch)
        return to_pod_resources(watch.pods.values(), self.hub_label)

    async def delete_session_pod(self, pod: BackendResource) -> None:
        """Delete exactly this pod, with the time that a stop gives. Raises UnavailableError."""
        await remove_cluster_resource(
            self._interactive_api,
            OrphanedResource(kind=pod.kind, name=pod.name, uid=pod.uid),
            grace=self.pod_settings.stop_grace,
        )

    async def get_run_nodes(self) -> dict[str, str]:
        return await list_nodes_by_run(await self._start_watching_pods(), spread=self.enable_user_namespaces)

    async def remove_resource(self, orphan: OrphanedResource) -> None:
        await remove_cluster_resource(self._interactive_api, orphan)

    async def load_processor_usage(self) -> dict[tuple[str, str], float]:
        watch, spread = await self._start_watching_pods(), self.enable_user_namespaces
        once = KubernetesAPI(self.api, self.namespace, patience=0, pace=self.renku.context.cluster_pace)
        return await load_session_cpu_usage(once, watch.pods, self.hub_label, spread=spread)

    @property
    def _interactive_api(self) -> KubernetesAPI:
        """An API client with a short retry timeout, for requests whose user waits for the response."""
        return KubernetesAPI(
            self.api, self.namespace, patience=INVENTORY_RETRY_TIMEOUT_SECONDS, pace=self.renku.context.cluster_pace
        )

    async def delete_volume(self, instance: Instance) -> None:
        """Delete helper pods first, because they would block the deletion of the PVC."""
        name = self._get_work_pvc_name(instance)
        try:
            readers = self.renku.context.pvc_readers
            await cancel_pvc_readers(readers, self.kubernetes_api, name, left=True)
            is_deleted = await delete_session_pvc(self.kubernetes_api, name, instance.session)
        except KubernetesAPIError as denied:
            raise UnavailableError(format_reason_sentence(denied.refusal.code, **denied.refusal.values)) from None
        if not is_deleted:
            self.log.warning("Kept PVC %s, which belongs to another session", name)


_RUNNING_NOTICE_CODES = {
    "restarted_oom",
    "restarted_crash",
    "restarts_soon",
    "node_silent",
}  # notices about a running session


def read_running_pod_status(
    watch: PodInformer,
    key: str,
    instance: Instance,
    classes: Iterable[ResourceClass],
    *,
    hub_since: datetime | None = None,
) -> PodStatus:
    """Return the status of a running session's pod, with messages based on what its launch asked for."""
    expectations = replace(_build_running_pod_expectations(watch, key, instance, classes), hub_since=hub_since)
    return read_pod_status(
        watch.pods.get(key), watch.list_pod_events(key), expectations, last=_get_last_seen_pod(watch, key, instance)
    )


def _get_last_seen_pod(watch: PodInformer, key: str, instance: Instance) -> KubernetesObject | None:
    """Return the last known state of the pod, if it belongs to the instance's run."""
    last = watch.get_last_seen_pod(key)
    labels = last["metadata"].get("labels") or {} if last else {}
    return last if labels.get(f"{RENKU_LABEL_PREFIX}launch") == instance.run else None


def _build_running_pod_expectations(
    watch: PodInformer, key: str, instance: Instance, classes: Iterable[ResourceClass]
) -> PodExpectations:
    """Build the expectations from the pod and the instance, because the session may have been edited since."""
    metadata = watch.pods.get(key, {}).get("metadata", {})
    chosen = next((c for c in classes if c.name == instance.resource_class), None)
    return PodExpectations(
        image=(metadata.get("annotations") or {}).get(f"{RENKU_LABEL_PREFIX}image", ""),
        limit=format_size_quantity(chosen.memory) if chosen else "",
        was_ready=instance.observed in (ObservedState.READY, ObservedState.UNKNOWN),
        now=datetime.now(UTC),
    )


def merge_running_notices(instance: Instance, seen: PodStatus) -> tuple[Mapping[str, str], ...]:
    """Return the recorded notices about the launch, and the current notices of the running pod."""
    now = [notice.to_message() for notice in seen.notices if notice.code in _RUNNING_NOTICE_CODES]
    return merge_notices(instance.notices, *now)


class RenkuSpawner(PVCSpawner):
    """Run each session as a pod, which `build_session_pod` derives from KubeSpawner's pod.

    KubeSpawner's settings apply to everything that the session does not set.
    """

    verdict = FailureAssessment()
    deletion_task: asyncio.Future[None] | None = None
    image_probe_task: asyncio.Future[None] | None = None

    probe_images = Bool(
        True,
        config=True,
        help="""
        List the software in an image when a session runs it, with a separate pod that runs for a few seconds. This
        happens once for each image that has no list of packages (an SBOM attestation) of its own.
        """,
    )

    prepuller = Unicode(
        "",
        config=True,
        help="""
        Name of the DaemonSet in the sessions' namespace that keeps images of ready-made environments on every node,
        for example `renku-prepuller`. The chart creates it and sets this. The hub adds the images of environments
        that admins offer in the browser, and shows which nodes have them. If empty, the hub prepulls no images.
        """,
    )

    # Start

    async def start_session(self, spec: LaunchSpec, instance: Instance) -> str:
        if not self.api_token:  # an earlier hub process stopped before it created the pod's Secret
            raise LaunchFailed("lost")
        watch, calls = await self._start_watching_pods(), self.kubernetes_api
        outage_notice = ClusterOutageNotice(
            context=self.renku.context,
            instance=instance,
            is_unreachable=lambda: not watch.healthy or calls.unanswered_seconds > CLUSTER_RESPONSE_TIMEOUT_SECONDS,
        )
        async with outage_notice.show_during_outages():
            url = await self._launch_pod(watch, calls, spec, instance)
        self._start_monitoring(watch)
        if self.probe_images:
            probe = probe_session_image(self.renku.context, self.kubernetes_api, self.pod_name, spec, self.pod_settings)
            self.image_probe_task = start_background_task(probe, f"Image probe of {self.pod_key}")
        return url

    async def _launch_pod(self, watch: PodInformer, calls: KubernetesAPI, spec: LaunchSpec, instance: Instance) -> str:
        try:
            await self._wait_for_first_list(watch, within=API_RETRY_TIMEOUT_SECONDS)
            uid = self._get_session_pod(watch, instance).find_launch_uid(instance.run)
            login = PodPullSecret(
                context=self.renku.context, calls=calls, spec=spec, secret=self._get_session_secret_name(instance)
            )
            if uid is None:
                uid, instance = await self._create_launch_objects(watch, calls, spec, instance, login)
        except KubernetesAPIError as denied:
            raise LaunchFailed(denied.refusal.code, **denied.refusal.values) from None
        start = PodLaunch(
            context=self.renku.context, calls=calls, watch=watch, key=self.pod_key, uid=uid, spec=spec,
            instance=instance, timeout=self.renku.start_timeout, secret=self._get_session_secret_name(instance),
            claim=self._get_work_pvc_name(instance), stage=instance.observed,
            storages=StorageNames.from_spec(spec, self.pod_settings, self._get_session_secret_name(instance)),
        )  # fmt: skip
        async with login.keep_refreshed():
            observation = await start.wait_until_running()
        return await start.wait_until_ready(observation, self.server.base_url, self.hub.base_url)

    async def _create_launch_objects(
        self, watch: PodInformer, calls: KubernetesAPI, spec: LaunchSpec, instance: Instance, login: PodPullSecret
    ) -> tuple[str, Instance]:
        """Create the PVC, the pod, then the Secrets that the pod owns; return the pod's uid and the new instance."""
        if self.pod_key in watch.pods:
            await self._get_session_pod(watch, instance, calls).delete_previous()
        await self.load_user_options()
        instance = await self._ensure_work_pvc(calls, spec, instance)
        name, self.port, settings = self._get_session_secret_name(instance), spec.run.port, self.pod_settings
        base = await self.get_pod_manifest()
        pod = build_session_pod(
            base, spec, run=instance.run or "", claim=self._get_work_pvc_name(instance), secret=name, settings=settings
        )
        if self.modify_pod_hook:
            pod = await maybe_future(self.modify_pod_hook(self, pod))
        await login.fetch_login()
        created = await calls.create_pod(pod, image=get_pinned_image(spec))
        await login.create_for_pod(created, run=instance.run or "", settings=settings)
        await create_storage_objects(calls, spec, settings, run=instance.run or "", secret=name, pod=created)
        session_secret = build_session_secret(base, spec, run=instance.run or "", name=name, settings=settings)
        await calls.create_secret(copy_with_owner_pod(session_secret, created))
        return created["metadata"]["uid"], instance

    # Observe and stop

    async def observe_session(self, instance: Instance) -> Observation:
        """Read the pod from the informer; while that is not synced, the state is unknown."""
        watch = await self._start_watching_pods()
        if not watch.is_synced:
            return Observation(actual=ActualState.UNKNOWN)
        context = self.renku.context
        classes, since = context.policy.classes, context.hub_health.serving_since or datetime.now(UTC)
        status = read_running_pod_status(watch, self.pod_key, instance, classes, hub_since=since)
        self.verdict = assess_failure(status.failure, self.verdict, monotonic())
        if not status.running and self.verdict.final:
            code = self.verdict.failure.values.get("exit_code") if self.verdict.failure else None
            return Observation(actual=ActualState.ENDED, exit_code=code if isinstance(code, int) else 1)
        # A recreated sandbox has another address, but the pod keeps its name and uid.
        url = _replace_pod_address(status.address, instance.url) if status.address and instance.url else None
        return Observation(
            actual=ActualState.RUNNING,
            url=url if status.running else None,
            notices=merge_running_notices(instance, status),
        )

    def explain_exit(self, instance: Instance, exit_code: int, log: str) -> LaunchFailed:
        failure = self.verdict.failure or PodFailure(code="pod_removed")
        failure = refine_failure_with_log(failure, log, PodExpectations(image="", was_ready=True))
        return LaunchFailed(failure.code, **failure.values)

    def refine_failure(self, failure: LaunchFailed, log: str) -> LaunchFailed:
        refined = refine_failure_with_log(
            PodFailure(code=failure.reason, values=failure.values), log, PodExpectations(image="")
        )
        return LaunchFailed(refined.code, **refined.values).with_failed_storages(failure.failed_storages)

    def clean_up_ended_session(self, instance: Instance) -> None:
        """Delete the pod in the background; it may still exist or be terminating."""
        self._stop_monitoring()
        self.deletion_task = start_background_task(self.stop_session(instance), f"Deletion of {self.pod_key}")

    async def read_log_tail(self, instance: Instance) -> str:
        watch, text = await self._start_watching_pods(), ""
        with suppress(TimeoutError):
            async with asyncio.timeout(None if watch.healthy else CLUSTER_RESPONSE_TIMEOUT_SECONDS):
                if self.token_task is not None:  # the token must be known to redact it
                    await asyncio.shield(self.token_task)
                text = await self.kubernetes_api.read_log(self.pod_name, NOTEBOOK_CONTAINER_NAME, lines=200)
                text = text or await self.kubernetes_api.read_log(
                    self.pod_name, NOTEBOOK_CONTAINER_NAME, lines=200, previous=True
                )
        # If the token could not be read after a restart, it cannot be redacted, so return no log.
        return redact_log(text, [self.api_token]) if self.api_token else ""

    def _get_session_pod(
        self, watch: PodInformer, instance: Instance, calls: KubernetesAPI | None = None
    ) -> SessionPod:
        return SessionPod(calls=calls or self.kubernetes_api, watch=watch, key=self.pod_key, session=instance.session)

    async def stop_session(self, instance: Instance, *, now: bool = False) -> None:
        """Delete the pod.

        A stop waits for an unreachable cluster, because it is done only when the pod is gone. After a failed launch, a
        pod that cannot be deleted now is deleted in the background.
        """
        self._stop_monitoring()
        watch, stopping = await self._start_watching_pods(), instance.desired is not DesiredState.RUNNING
        session_pod = self._get_session_pod(watch, instance)
        grace = 0 if now or instance.ready_at is None else self.pod_settings.stop_grace
        try:
            if watch.healthy or stopping:
                await session_pod.delete_and_wait(grace=grace, run=None if stopping else instance.run)
                return
        except KubernetesAPIError as denied:
            self.log.warning("Failed to delete pod %s, retrying: %s", self.pod_key, denied.refusal.code)
        cleaning = start_background_task(session_pod.delete_eventually(run=instance.run), f"Deletion of {self.pod_key}")
        if stopping:
            await cleaning

    async def restore_api_token(self, instance: Instance) -> None:
        """Wait for the cluster, then read the token from the pod's Secret.

        For a ready session, read it in the background: requests are rate-limited, and with thousands of sessions,
        waiting for all tokens would delay serving them after a restart.
        """
        watch = await self._start_watching_pods()
        await self._wait_until_synced(watch, instance)
        self.token_task = start_background_task(
            self._load_api_token(watch, instance), f"Reading the API token of {self.pod_key}"
        )
        if instance.desired is not DesiredState.RUNNING or instance.observed is not ObservedState.READY:
            await self.token_task
        self._start_monitoring(watch)


def _replace_pod_address(address: str, url: str) -> str:
    """Return the pod's *url* with another *address*, which may be IPv6."""
    port = urlsplit(url).port
    return build_pod_url(address, port or 80)


def create_detached_spawner(kind: type[RenkuSpawner], config: Config) -> RenkuSpawner:
    """Create a spawner of class *kind* without a user's server, for calls about the whole hub.

    Raises ValueError if there is no cluster configuration.
    """
    placeholder_user: Any = SimpleNamespace(name="renku-probe", id=0, url="/")
    hub: Any = SimpleNamespace(public_host="", url="", base_url="/", api_url="")
    try:
        return kind(config=config, user=placeholder_user, hub=hub)
    except ConfigException as problem:
        raise ValueError(f"No cluster configuration was found: {problem}") from None
