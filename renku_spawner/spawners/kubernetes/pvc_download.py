"""Stream the files in a session's PVC to the hub through a helper pod that mounts the PVC read-only.

Like the pod of `pvc_inspection`, it runs the clone image with the session's user and group, and has nothing else of the
session: no storages, no Secret, no service account. Its manifest contains only the digest of a secret that the hub
keeps in memory.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from secrets import token_urlsafe
from time import monotonic

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

from ...domain.environments import RunConfiguration
from ...domain.errors import RenkuError, UnavailableError
from ...domain.ids import create_id
from ...domain.reasons import format_reason_sentence
from ...usecases.downloads import build_download_busy_error
from ..errors import DownloadInterrupted
from ..in_pod import packed
from .api import KubernetesAPI, KubernetesAPIError
from .environment import escape_kubelet_expansion
from .helper_pods import (
    PodPlacement,
    build_helper_pod,
    build_owner_reference,
    delete_helper_pods,
    delete_stale_helper_pods,
    has_pod_ended,
    try_delete_helper_pod,
)
from .objects import KubernetesObject, get_nested, to_text
from .pvc_inspection import PVCReadRequest, resolve_paused_pvc_access
from .security import build_container_security_context, build_helper_resources, build_pod_security_context
from .settings import RENKU_LABEL_PREFIX, WORK_MOUNT_PATH, PodSettings

DownloadCommandBuilder = Callable[[str], Sequence[str]]
DOWNLOAD_CONTAINER_NAME = "download"
DOWNLOAD_LABEL = f"{RENKU_LABEL_PREFIX}download"
DOWNLOAD_PORT = 8080
_POD_IP_VARIABLE = "RENKU_ADDRESS"  # has the pod's own IP address
_DOWNLOAD_VOLUME_NAME = "renku-work"


def build_download_labels(settings: PodSettings, claim: str) -> dict[str, str]:
    hub = {f"{RENKU_LABEL_PREFIX}hub": settings.hub} if settings.hub else {}
    return {**hub, DOWNLOAD_LABEL: claim}


def build_download_selector(hub: str, claim: str = "") -> str:
    """Return the label selector for this hub's download pods of a PVC *claim*, or of any PVC."""
    return (
        f"{DOWNLOAD_LABEL}={claim}"
        if claim
        else f"{DOWNLOAD_LABEL},{RENKU_LABEL_PREFIX}hub={hub}"
        if hub
        else f"{DOWNLOAD_LABEL},!{RENKU_LABEL_PREFIX}hub"
    )


def _build_download_command(program: DownloadCommandBuilder, secret: str) -> list[str]:
    argument = json.dumps(
        {"work": WORK_MOUNT_PATH, "address": f"$({_POD_IP_VARIABLE})", "port": DOWNLOAD_PORT, "secret": secret}
    )
    return [word if word == argument else escape_kubelet_expansion(word) for word in program(argument)]


def build_download_pod(
    name: str,
    claim: KubernetesObject,
    run: RunConfiguration,
    place: PodPlacement,
    settings: PodSettings,
    *,
    program: DownloadCommandBuilder,
    secret: str,
) -> V1Pod:
    """Build a pod that serves the files in the PVC *claim* once; it has no deadline and ends by itself.

    *program* returns the command for a JSON argument. *secret* is the SHA-256 of the token that the hub must send.
    """
    pvc_name = to_text(get_nested(claim, "metadata", "name"))
    metadata = V1ObjectMeta(
        name=name,
        labels=build_download_labels(settings, pvc_name),
        owner_references=[build_owner_reference("PersistentVolumeClaim", claim)],
    )
    work = V1PersistentVolumeClaimVolumeSource(claim_name=pvc_name)
    return build_helper_pod(
        metadata,
        _build_download_container(run, settings, _build_download_command(program, secret)),
        place,
        context=build_pod_security_context(run, settings),
        seconds=None,
        volumes=[V1Volume(name=_DOWNLOAD_VOLUME_NAME, persistent_volume_claim=work)],
    )


def _build_download_container(run: RunConfiguration, settings: PodSettings, command: list[str]) -> V1Container:
    pod_ip = V1EnvVarSource(field_ref=V1ObjectFieldSelector(field_path="status.podIP"))
    return V1Container(
        name=DOWNLOAD_CONTAINER_NAME,
        image=settings.clone_image,
        image_pull_policy="IfNotPresent",
        command=command,
        working_dir="/",
        env=[V1EnvVar(name=_POD_IP_VARIABLE, value_from=pod_ip)],
        ports=[V1ContainerPort(name=DOWNLOAD_CONTAINER_NAME, container_port=DOWNLOAD_PORT)],
        resources=build_helper_resources("1", "512Mi", cpu_requested="100m"),
        security_context=build_container_security_context(run, settings),
        volume_mounts=[V1VolumeMount(name=_DOWNLOAD_VOLUME_NAME, mount_path=WORK_MOUNT_PATH, read_only=True)],
    )


log = logging.getLogger("renku_spawner")

DOWNLOAD_WAIT_SECONDS = (
    40.0  # for a request that waits for the pod; below the usual timeout of proxies in front of the hub
)
DOWNLOAD_POD_START_TIMEOUT_SECONDS = 180.0  # includes waiting for resources, the volume and the image
DOWNLOAD_PICKUP_TIMEOUT_SECONDS = 60.0  # until a request must read from a ready pod
_DOWNLOAD_CONNECT_TIMEOUT_SECONDS = 15.0  # from the start of the container until it responds
_DOWNLOAD_READ_TIMEOUT_SECONDS = 120.0  # without any data
_DOWNLOAD_POLL_INTERVAL_SECONDS = 0.5
_DOWNLOAD_CLIENT_TIMEOUT = ClientTimeout(total=None, sock_connect=3, sock_read=_DOWNLOAD_READ_TIMEOUT_SECONDS)


@dataclass(kw_only=True)
class _DownloadPod:
    """A download pod that is starting or streaming; once *settled*, either *address* or *wrong* is set."""

    secret: str = field(default_factory=token_urlsafe)
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    taken: asyncio.Event = field(default_factory=asyncio.Event)
    done: asyncio.Event = field(default_factory=asyncio.Event)
    address: str = ""
    wrong: RenkuError | None = None
    task: asyncio.Task[None] = field(init=False)


_download_pods_by_pvc: dict[str, _DownloadPod] = {}


def list_download_tasks() -> list[asyncio.Task[None]]:
    """List the tasks of download pods that are not deleted yet."""
    return [flight.task for flight in _download_pods_by_pvc.values()]


async def stream_pvc_archive(asked: PVCReadRequest) -> AsyncGenerator[bytes, None]:
    """Stream the files in the PVC as an archive.

    Raises:
        UnavailableError: before the first chunk; its code is `download_waits`, `download_failed` or the cluster's.
        DownloadInterrupted: after the first chunk.
    """
    flight = await _get_or_start_download_pod(asked)
    try:
        async with asyncio.timeout(DOWNLOAD_WAIT_SECONDS):
            await flight.settled.wait()
    except TimeoutError:
        raise UnavailableError(
            format_reason_sentence("download_waits"), code="download_waits", retry_after=10
        ) from None
    if flight.wrong is not None:
        raise flight.wrong
    flight.taken.set()
    try:
        async with aclosing(_stream_from_download_pod(flight)) as chunks:  # closes the connection when the request ends
            async for chunk in chunks:
                yield chunk
    finally:
        flight.done.set()


async def _get_or_start_download_pod(asked: PVCReadRequest) -> _DownloadPod:
    """Return the download pod that is being prepared for the PVC, or start a new one."""
    flight = _download_pods_by_pvc.get(asked.claim)
    if flight is not None and flight.taken.is_set():  # a pod serves only one request
        await asyncio.wait({flight.task})
        flight = None
    limit = asked.context.policy.downloads
    if flight is None and len(_download_pods_by_pvc) >= limit:
        raise build_download_busy_error(limit)
    return flight or _start_download_pod(asked)


async def _stream_from_download_pod(flight: _DownloadPod) -> AsyncGenerator[bytes, None]:
    has_started = False
    try:
        async with _create_download_client() as client, await _request_archive(client, flight) as response:
            response.raise_for_status()
            async for chunk in response.content.iter_any():
                has_started = True
                yield chunk
    except (ClientError, TimeoutError, OSError) as error:
        if has_started:
            raise DownloadInterrupted(f"the pod that reads them is gone ({type(error).__name__})") from None
        raise _build_download_error("the pod that reads them does not answer.") from None


def _create_download_client() -> ClientSession:
    return ClientSession(timeout=_DOWNLOAD_CLIENT_TIMEOUT, cookie_jar=DummyCookieJar(), auto_decompress=False)


async def _request_archive(client: ClientSession, flight: _DownloadPod) -> ClientResponse:
    """Request the archive, retrying until the running container listens."""
    end = monotonic() + _DOWNLOAD_CONNECT_TIMEOUT_SECONDS
    while True:
        try:
            return await client.get(flight.address, headers={"Authorization": f"Bearer {flight.secret}"})
        except ClientConnectorError:
            if monotonic() > end:
                raise
        await asyncio.sleep(_DOWNLOAD_POLL_INTERVAL_SECONDS)


# Pod


def _start_download_pod(asked: PVCReadRequest) -> _DownloadPod:
    flight = _download_pods_by_pvc[asked.claim] = _DownloadPod()
    flight.task = asyncio.ensure_future(_run_download_pod(asked, flight))
    return flight


async def _run_download_pod(asked: PVCReadRequest, flight: _DownloadPod) -> None:
    try:
        await _create_and_delete_download_pod(asked, flight)
    except KubernetesAPIError as denied:
        refusal = denied.refusal
        flight.wrong = UnavailableError(
            format_reason_sentence(refusal.code, **refusal.values), code=refusal.code, retry_after=60
        )
    except RenkuError as wrong:
        flight.wrong = wrong
    except Exception:
        log.exception("Download of PVC %s failed unexpectedly", asked.claim)
        flight.wrong = _build_download_error("something went wrong.")
    finally:
        if not flight.address and flight.wrong is None:
            flight.wrong = _build_download_error("the session is starting or being deleted.")
        flight.settled.set()
        if _download_pods_by_pvc.get(asked.claim) is flight:
            del _download_pods_by_pvc[asked.claim]


async def _create_and_delete_download_pod(asked: PVCReadRequest, flight: _DownloadPod) -> None:
    """Create the pod, wait until the download is done, and delete the pod."""
    access = await resolve_paused_pvc_access(asked)
    if access is None:
        raise _build_download_error("the disk is in use, or gone.")
    digest = sha256(flight.secret.encode()).hexdigest()
    name = f"renku-download-{asked.instance.claim}-{create_id()}"
    pod = build_download_pod(name, *access, asked.settings, program=partial(packed.command, "handing"), secret=digest)
    created = await asked.calls.create_pod(pod, image=asked.settings.clone_image)
    try:
        flight.address = await _wait_until_download_pod_runs(asked.calls, name)
        flight.settled.set()
        await _wait_until_downloaded(flight)
    finally:
        await try_delete_helper_pod(asked.calls, name, created["metadata"]["uid"])


async def _wait_until_download_pod_runs(calls: KubernetesAPI, name: str) -> str:
    """Wait until the pod runs, and return its URL. Raises UnavailableError, KubernetesAPIError."""
    end = monotonic() + DOWNLOAD_POD_START_TIMEOUT_SECONDS
    while True:
        pod = await calls.get_pod(name)
        address = to_text(get_nested(pod, "status", "podIP"))
        if to_text(get_nested(pod, "status", "phase")) == "Running" and address:
            return f"http://{f'[{address}]' if ':' in address else address}:{DOWNLOAD_PORT}/"
        if has_pod_ended(pod) or monotonic() > end:
            raise _build_download_error(_explain_download_pod_failure(pod))
        await asyncio.sleep(_DOWNLOAD_POLL_INTERVAL_SECONDS)


async def _wait_until_downloaded(flight: _DownloadPod) -> None:
    try:
        async with asyncio.timeout(DOWNLOAD_PICKUP_TIMEOUT_SECONDS):
            await flight.taken.wait()
    except TimeoutError:
        return
    await flight.done.wait()


def _explain_download_pod_failure(found: KubernetesObject | None) -> str:
    """Return why the pod does not start, with the scheduler's message if there is one."""
    for condition in get_nested(found, "status", "conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"no machine has room for it: {to_text(condition.get('message'))[:200]}"
    return "the pod that reads them did not start."


def _build_download_error(why: str) -> UnavailableError:
    return UnavailableError(
        format_reason_sentence("download_failed", message=why), code="download_failed", retry_after=60
    )


async def cancel_pvc_download(calls: KubernetesAPI, claim: str, *, left: bool = False) -> None:
    """Delete the download pod of a PVC, so that it does not block the PVC; with *left*, also an earlier hub's pods.

    Raises KubernetesAPIError.
    """
    flight = _download_pods_by_pvc.pop(claim, None)
    if flight is not None:
        flight.task.cancel()
        await asyncio.wait({flight.task})
    if left or flight is not None:
        await delete_helper_pods(calls, await calls.list_pods(build_download_selector("", claim)))


async def delete_stale_download_pods(calls: KubernetesAPI, hub: str) -> None:
    """Delete download pods of a hub process that was killed, retrying until the cluster allows it."""
    await delete_stale_helper_pods(
        calls,
        build_download_selector(hub),
        lambda pod: get_nested(pod, "metadata", "labels", DOWNLOAD_LABEL) in _download_pods_by_pvc,
    )
