"""Read the files in a session's PVC with short-lived helper pods that mount it read-only: inspect or download them.

The pods run the clone image with the session's user and group, because the kubelet would change the group of a volume
that is mounted with another one. They have nothing else of the session: no storages, no Secret, no service account.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from hashlib import sha256
from secrets import token_urlsafe
from time import monotonic
from typing import Any

from aiohttp import ClientConnectorError, ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar
from kubernetes_asyncio.client import (
    V1Container,
    V1ContainerPort,
    V1EnvVar,
    V1EnvVarSource,
    V1ObjectFieldSelector,
    V1ObjectMeta,
    V1PersistentVolumeClaimVolumeSource,
    V1Pod,
    V1Volume,
    V1VolumeMount,
)

from ...context.app_context import AppContext
from ...context.pvc_readers import PVCReaders
from ...domain.environments import RunConfiguration
from ...domain.errors import RenkuError, UnavailableError
from ...domain.ids import create_id
from ...domain.instances import DesiredState, Instance
from ...domain.reasons import format_reason_sentence
from ...integrations.net.retry import Backoff, retry
from ...lifecycle.runs import load_instance
from ...usecases.downloads import build_download_busy_error, build_download_failed_error
from ...usecases.sessions import get_last_launch_run
from ..errors import DownloadInterrupted
from ..in_pod import build_program_command
from ..in_pod.contents import Contents, ContentsInspection, parse_contents
from .api import KubernetesAPI, KubernetesAPIError
from .environment import escape_kubelet_expansion
from .helper_pods import (
    PodPlacement,
    build_helper_pod,
    build_owner_reference,
    create_helper_pod,
    delete_helper_pods,
    delete_stale_helper_pods,
    has_pod_ended,
    read_pod_placement,
    run_helper_pod,
)
from .objects import KubernetesObject, get_nested, to_text
from .security import build_container_security_context, build_helper_resources, build_pod_security_context
from .settings import RENKU_LABEL_PREFIX, WORK_MOUNT_PATH, PodSettings

log = logging.getLogger("renku_spawner")

INSPECTION_WAIT_SECONDS = 3.0  # for a request that waits for the result
INSPECTION_TIMEOUT_SECONDS = 150.0  # includes waiting for resources, the volume and the image
INSPECTION_DEADLINE_SECONDS = 120  # of the pod; includes attaching the volume and pulling the image
INSPECTION_MAX_LOG_BYTES = 256 * 1024
# The files in the PVC of a paused session do not change.
ACTIVE_INSPECTION_TTL_SECONDS, PAUSED_INSPECTION_TTL_SECONDS = 20.0, 300.0
MAX_CONCURRENT_INSPECTIONS = 8  # every pod counts towards a quota
# For a request that waits for the pod; below the usual timeout of proxies in front of the hub.
DOWNLOAD_WAIT_SECONDS = 40.0
DOWNLOAD_POD_START_TIMEOUT_SECONDS = 180.0  # includes waiting for resources, the volume and the image
DOWNLOAD_PICKUP_TIMEOUT_SECONDS = 60.0  # until a request must read from a ready pod
DOWNLOAD_PORT = 8080
_DOWNLOAD_CONNECT_TIMEOUT_SECONDS = 15.0  # from the start of the container until it responds
_DOWNLOAD_READ_TIMEOUT_SECONDS = 120.0  # without any data
_DOWNLOAD_POLL_INTERVAL_SECONDS = 0.5
_DOWNLOAD_CONNECT_BACKOFF = Backoff(first=0.5, longest=0.5, jitter=0)
_DOWNLOAD_CLIENT_TIMEOUT = ClientTimeout(total=None, sock_connect=3, sock_read=_DOWNLOAD_READ_TIMEOUT_SECONDS)
_POD_IP_VARIABLE = "RENKU_ADDRESS"  # has the pod's own IP address
_VOLUME_NAME = "renku-work"


@dataclass(frozen=True, kw_only=True)
class PVCReadRequest:
    """A request to read the PVC *claim* of an instance.

    *pod* is the name of the session's pod, which need not exist. *place* is where a helper pod may run while the
    session is paused.
    """

    context: AppContext
    calls: KubernetesAPI
    instance: Instance
    claim: str
    pod: str
    place: PodPlacement
    settings: PodSettings


@dataclass(frozen=True, kw_only=True)
class PVCAccess:
    """A PVC, and the user and placement with which a pod can read it."""

    claim: KubernetesObject
    run: RunConfiguration
    place: PodPlacement


# Pods


def build_inspection_pod(name: str, access: PVCAccess, settings: PodSettings) -> V1Pod:
    """Build a pod that inspects the files and prints their contents."""
    return _build_reader_pod(
        "look",
        name,
        access,
        settings,
        command=[escape_kubelet_expansion(word) for word in build_program_command("contents.py", WORK_MOUNT_PATH)],
        cpu="500m",
        seconds=INSPECTION_DEADLINE_SECONDS,
    )


def build_download_pod(name: str, access: PVCAccess, settings: PodSettings, *, secret: str) -> V1Pod:
    """Build a pod that serves the files once; it has no deadline and ends by itself.

    *secret* is the SHA-256 of the token that the hub must send.
    """
    address = f"$({_POD_IP_VARIABLE})"
    options = json.dumps({"directory": WORK_MOUNT_PATH, "address": address, "port": DOWNLOAD_PORT, "secret": secret})
    *program, _ = build_program_command("archive.py", options)
    pod = _build_reader_pod(
        "download",
        name,
        access,
        settings,
        command=[*map(escape_kubelet_expansion, program), options],
        cpu="1",
        cpu_requested="100m",
        seconds=None,
    )
    (container,) = pod.spec.containers
    pod_ip = V1EnvVarSource(field_ref=V1ObjectFieldSelector(field_path="status.podIP"))
    container.env = [V1EnvVar(name=_POD_IP_VARIABLE, value_from=pod_ip)]
    container.ports = [V1ContainerPort(name="download", container_port=DOWNLOAD_PORT)]
    return pod


def _build_reader_pod(
    purpose: str,
    name: str,
    access: PVCAccess,
    settings: PodSettings,
    *,
    command: Sequence[str],
    cpu: str,
    seconds: int | None,
    cpu_requested: str = "50m",
) -> V1Pod:
    pvc_name = to_text(get_nested(access.claim, "metadata", "name"))
    metadata = V1ObjectMeta(
        name=name,
        labels=build_reader_labels(purpose, settings, pvc_name),
        owner_references=[build_owner_reference("PersistentVolumeClaim", access.claim)],
    )
    container = V1Container(
        name=purpose,
        image=settings.clone_image,
        image_pull_policy="IfNotPresent",
        command=list(command),
        working_dir="/",
        resources=build_helper_resources(cpu, "512Mi", cpu_requested=cpu_requested),
        security_context=build_container_security_context(access.run, settings),
        volume_mounts=[V1VolumeMount(name=_VOLUME_NAME, mount_path=WORK_MOUNT_PATH, read_only=True)],
    )
    work = V1PersistentVolumeClaimVolumeSource(claim_name=pvc_name)
    return build_helper_pod(
        metadata,
        container,
        access.place,
        context=build_pod_security_context(access.run, settings),
        seconds=seconds,
        volumes=[V1Volume(name=_VOLUME_NAME, persistent_volume_claim=work)],
    )


def build_reader_labels(purpose: str, settings: PodSettings, claim: str) -> dict[str, str]:
    """Build the labels of a pod that reads the PVC *claim*; *purpose* is `look` (inspection) or `download`."""
    hub = {f"{RENKU_LABEL_PREFIX}hub": settings.hub} if settings.hub else {}
    return {**hub, f"{RENKU_LABEL_PREFIX}{purpose}": claim}


# Access


def is_pvc_readable(claim: KubernetesObject, session: str) -> bool:
    """Return True if the PVC belongs to *session* and is bound; one that was never bound has no files."""
    ours = get_nested(claim, "metadata", "labels", f"{RENKU_LABEL_PREFIX}session") == session
    leaving, phase = get_nested(claim, "metadata", "deletionTimestamp"), get_nested(claim, "status", "phase")
    return ours and not leaving and phase == "Bound"


def apply_pod_user(session: KubernetesObject, run: RunConfiguration) -> RunConfiguration:
    """Return *run* with the user and group of the session's pod, which a hook or an admin may have changed."""
    context = get_nested(session, "spec", "securityContext")
    uid, gid = get_nested(context, "runAsUser"), get_nested(context, "fsGroup")
    return replace(run, uid=uid if isinstance(uid, int) else run.uid, gid=gid if isinstance(gid, int) else run.gid)


async def _resolve_pvc_access(request: PVCReadRequest, *, paused: bool) -> PVCAccess | None:
    """Return how a pod can read the PVC; None if it cannot be read now, or not *paused* while it has to be.

    While the session runs, the pod is placed on the same node, where the volume is attached. While it is starting, the
    PVC is not read, which could attach the volume to another node. Raises KubernetesAPIError.
    """
    claim, session = await request.calls.get_pvc(request.claim), await request.calls.get_pod(request.pod)
    instance = await load_instance(request.context, request.instance.username, request.instance.session)
    if instance is None or instance.desired is DesiredState.DELETED or instance.claim != request.instance.claim:
        return None
    if claim is None or not is_pvc_readable(claim, instance.session):
        return None
    run, place = await get_last_launch_run(request.context, instance), request.place
    if session is None or has_pod_ended(session):
        return None if instance.is_active else PVCAccess(claim=claim, run=run, place=place)
    run, place = apply_pod_user(session, run), replace(read_pod_placement(session), pull_secrets=place.pull_secrets)
    if instance.is_active if paused else not place.node:
        return None
    return PVCAccess(claim=claim, run=run, place=place)


# Readers in progress


@dataclass(kw_only=True)
class _PVCReader:
    """Runs a helper pod for a PVC; *task* creates and deletes the pod."""

    task: asyncio.Task[None] = field(init=False)


@dataclass(kw_only=True)
class _PVCInspection(_PVCReader):
    """A running inspection, or its result, which is valid *until* then and for that *generation* of the instance."""

    generation: int
    contents: Contents | None = None
    until: float = 0.0

    def is_valid_for(self, instance: Instance) -> bool:
        return not self.task.done() or (self.generation == instance.generation and monotonic() < self.until)


@dataclass(kw_only=True)
class _PVCDownload(_PVCReader):
    """A download pod that is starting or streaming; once *settled*, either *url* or *error* is set."""

    secret: str = field(default_factory=token_urlsafe)
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    taken: asyncio.Event = field(default_factory=asyncio.Event)
    done: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""
    error: RenkuError | None = None


async def cancel_pvc_readers(readers: PVCReaders, calls: KubernetesAPI, claim: str, *, left: bool = False) -> None:
    """Delete the helper pods that read a PVC, because they block it; with *left*, also those of an earlier hub process.

    Raises KubernetesAPIError.
    """
    for purpose, by_claim in readers.by_purpose.items():
        reader = by_claim.pop(claim, None)
        is_running = reader is not None and not reader.task.done()
        if reader is not None and is_running:
            reader.task.cancel()
            await asyncio.wait({reader.task})
        if left or is_running:
            await delete_helper_pods(calls, await calls.list_pods(f"{RENKU_LABEL_PREFIX}{purpose}={claim}"))


async def delete_stale_reader_pods(readers: PVCReaders, calls: KubernetesAPI, hub: str) -> None:
    """Delete helper pods of a hub process that was killed, retrying until the cluster allows it."""
    of_hub = f"{RENKU_LABEL_PREFIX}hub={hub}" if hub else f"!{RENKU_LABEL_PREFIX}hub"
    for purpose, by_claim in readers.by_purpose.items():
        label = f"{RENKU_LABEL_PREFIX}{purpose}"

        def is_ours(pod: KubernetesObject, label: str = label, by_claim: Mapping[str, Any] = by_claim) -> bool:
            return get_nested(pod, "metadata", "labels", label) in by_claim

        await delete_stale_helper_pods(calls, f"{label},{of_hub}", is_ours)


# Inspection


async def inspect_pvc(request: PVCReadRequest) -> ContentsInspection:
    """Return the contents of the PVC if they are known within `INSPECTION_WAIT_SECONDS`. Raises nothing."""
    inspections: dict[str, _PVCInspection] = request.context.pvc_readers.inspections
    expired = [pvc for pvc, each in inspections.items() if each.task.done() and each.until < monotonic()]
    for pvc in expired:
        del inspections[pvc]
    inspection = inspections.get(request.claim)
    if inspection is None or not inspection.is_valid_for(request.instance):
        if sum(not each.task.done() for each in inspections.values()) >= MAX_CONCURRENT_INSPECTIONS:
            return ContentsInspection(under_way=True)
        inspection = inspections[request.claim] = _PVCInspection(generation=request.instance.generation)
        inspection.task = asyncio.ensure_future(_run_inspection(request, inspection))
    await asyncio.wait({inspection.task}, timeout=INSPECTION_WAIT_SECONDS)
    return ContentsInspection(contents=inspection.contents, under_way=not inspection.task.done())


async def _run_inspection(request: PVCReadRequest, inspection: _PVCInspection) -> None:
    try:
        inspection.contents = await _read_pvc_contents(request)
    except KubernetesAPIError as denied:
        log.info("Inspection of PVC %s failed: %s", request.claim, denied.refusal.code)
    except Exception:
        log.exception("Inspection of PVC %s failed unexpectedly", request.claim)
    is_paused = inspection.contents is not None and not request.instance.is_active
    inspection.until = monotonic() + (PAUSED_INSPECTION_TTL_SECONDS if is_paused else ACTIVE_INSPECTION_TTL_SECONDS)


async def _read_pvc_contents(request: PVCReadRequest) -> Contents | None:
    """Run an inspection pod and return its report, or None if the PVC cannot be read. Raises KubernetesAPIError."""
    access = await _resolve_pvc_access(request, paused=False)
    if access is None:
        return None
    pod = build_inspection_pod(f"renku-look-{request.instance.claim}-{create_id()}", access, request.settings)
    report = await run_helper_pod(
        request.calls, pod, patience=INSPECTION_TIMEOUT_SECONDS, lines=1, limit=INSPECTION_MAX_LOG_BYTES
    )
    return await asyncio.to_thread(parse_contents, report)


# Download


async def stream_pvc_archive(request: PVCReadRequest) -> AsyncGenerator[bytes, None]:
    """Stream the files in the PVC as an archive.

    Raises:
        UnavailableError: before the first chunk; its code is `download_waits`, `download_failed` or the cluster's.
        DownloadInterrupted: after the first chunk.
    """
    download = await _get_or_start_download(request)
    try:
        async with asyncio.timeout(DOWNLOAD_WAIT_SECONDS):
            await download.settled.wait()
    except TimeoutError:
        raise UnavailableError(
            format_reason_sentence("download_waits"), code="download_waits", retry_after=10
        ) from None
    if download.error is not None:
        raise download.error
    download.taken.set()
    try:
        async with aclosing(_stream_from_pod(download)) as chunks:  # closes the connection when the request ends
            async for chunk in chunks:
                yield chunk
    finally:
        download.done.set()


async def _get_or_start_download(request: PVCReadRequest) -> _PVCDownload:
    """Return the download that is being prepared for the PVC, or start a new one."""
    downloads: dict[str, _PVCDownload] = request.context.pvc_readers.downloads
    download = downloads.get(request.claim)
    if download is not None and download.taken.is_set():  # a pod serves only one request
        await asyncio.wait({download.task})
        download = None
    limit = request.context.policy.downloads
    if download is None and len(downloads) >= limit:
        raise build_download_busy_error(limit)
    if download is None:
        download = downloads[request.claim] = _PVCDownload()
        download.task = asyncio.ensure_future(_run_download(request, download))
    return download


async def _run_download(request: PVCReadRequest, download: _PVCDownload) -> None:
    try:
        await _run_download_pod(request, download)
    except KubernetesAPIError as denied:
        refusal = denied.refusal
        download.error = UnavailableError(
            format_reason_sentence(refusal.code, **refusal.values), code=refusal.code, retry_after=60
        )
    except RenkuError as error:
        download.error = error
    except Exception:
        log.exception("Download of PVC %s failed unexpectedly", request.claim)
        download.error = build_download_failed_error("something went wrong.")
    finally:
        if not download.url and download.error is None:
            download.error = build_download_failed_error("the session is starting or being deleted.")
        download.settled.set()
        downloads = request.context.pvc_readers.downloads
        if downloads.get(request.claim) is download:
            del downloads[request.claim]


async def _run_download_pod(request: PVCReadRequest, download: _PVCDownload) -> None:
    """Create the pod, wait until its files were downloaded, and delete it."""
    access = await _resolve_pvc_access(request, paused=True)
    if access is None:
        raise build_download_failed_error("the disk is in use, or gone.")
    name = f"renku-download-{request.instance.claim}-{create_id()}"
    digest = sha256(download.secret.encode()).hexdigest()
    pod = build_download_pod(name, access, request.settings, secret=digest)
    async with create_helper_pod(request.calls, pod):
        download.url = await _wait_until_download_pod_runs(request.calls, name)
        download.settled.set()
        await _wait_until_downloaded(download)


async def _wait_until_download_pod_runs(calls: KubernetesAPI, name: str) -> str:
    """Wait until the pod runs, and return its URL. Raises UnavailableError, KubernetesAPIError."""
    end = monotonic() + DOWNLOAD_POD_START_TIMEOUT_SECONDS
    while True:
        pod = await calls.get_pod(name)
        address = to_text(get_nested(pod, "status", "podIP"))
        if to_text(get_nested(pod, "status", "phase")) == "Running" and address:
            return f"http://{f'[{address}]' if ':' in address else address}:{DOWNLOAD_PORT}/"
        if has_pod_ended(pod) or monotonic() > end:
            raise build_download_failed_error(_explain_download_pod_failure(pod))
        await asyncio.sleep(_DOWNLOAD_POLL_INTERVAL_SECONDS)


async def _wait_until_downloaded(download: _PVCDownload) -> None:
    try:
        async with asyncio.timeout(DOWNLOAD_PICKUP_TIMEOUT_SECONDS):
            await download.taken.wait()
    except TimeoutError:
        return
    await download.done.wait()


def _explain_download_pod_failure(pod: KubernetesObject | None) -> str:
    """Return why the pod does not start, with the scheduler's message if there is one."""
    for condition in get_nested(pod, "status", "conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"no machine has room for it: {to_text(condition.get('message'))[:200]}"
    return "the pod that reads them did not start."


async def _stream_from_pod(download: _PVCDownload) -> AsyncGenerator[bytes, None]:
    has_started = False
    try:
        async with _create_download_client() as client, await _request_archive(client, download) as response:
            response.raise_for_status()
            async for chunk in response.content.iter_any():
                has_started = True
                yield chunk
    except (ClientError, TimeoutError, OSError) as error:
        if has_started:
            raise DownloadInterrupted(f"the pod that reads them is gone ({type(error).__name__})") from None
        raise build_download_failed_error("the pod that reads them does not answer.") from None


async def _request_archive(client: ClientSession, download: _PVCDownload) -> ClientResponse:
    """Request the archive, retrying until the running container listens."""
    return await retry(
        lambda: client.get(download.url, headers={"Authorization": f"Bearer {download.secret}"}),
        errors=ClientConnectorError,
        backoff=_DOWNLOAD_CONNECT_BACKOFF,
        within=_DOWNLOAD_CONNECT_TIMEOUT_SECONDS,
    )


def _create_download_client() -> ClientSession:
    return ClientSession(timeout=_DOWNLOAD_CLIENT_TIMEOUT, cookie_jar=DummyCookieJar(), auto_decompress=False)
