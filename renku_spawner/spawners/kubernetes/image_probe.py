"""List the software in an image with a helper pod that runs the image next to a session.

It is a separate pod, because a session waits for its init containers and fails with them, and not every image has a
shell. The pod has no volume, runs on the node that already has the image, and is owned by the session's pod. An admin
can also run it before any session exists.
"""

from __future__ import annotations

import asyncio
import logging

from kubernetes_asyncio.client import V1Container, V1ObjectMeta, V1Pod

from ...context.app_context import AppContext
from ...domain.environments import RunConfiguration
from ...domain.sessions import LaunchSpec
from ...domain.software import MAX_PROBE_REPORT_CHARACTERS, SoftwareOrigin, parse_probe_report
from ...usecases.software import needs_package_scan, save_image_software
from ..in_pod import read_program
from .api import KubernetesAPI, KubernetesAPIError
from .environment import escape_kubelet_expansion
from .helper_pods import PodPlacement, build_helper_pod, build_owner_reference, read_pod_placement, run_helper_pod
from .objects import KubernetesObject
from .pod import get_pinned_image
from .security import build_container_security_context, build_helper_resources, build_pod_security_context
from .settings import RENKU_LABEL_PREFIX, PodSettings

PROBE_CONTAINER_NAME = "probe"
PROBE_MAX_LOG_LINES = 20_000  # the longest report has a few thousand
PROBE_DEADLINE_SECONDS = 15  # includes the start of its container


def load_probe_scripts() -> tuple[str, str]:
    """Return the shell script and the Python script; the first takes the second as its argument and runs it."""
    return read_program("packages.sh"), read_program("packages.py")


def build_probe_command() -> list[str]:
    """Return the probe command, which is the same for every image."""
    shell, python = map(escape_kubelet_expansion, load_probe_scripts())
    return ["/bin/sh", "-c", shell, "sh", python, "/"]


def build_session_probe_pod(session: KubernetesObject, spec: LaunchSpec, settings: PodSettings) -> V1Pod:
    """Build a pod that probes the image of *session*, the session's running pod.

    Raises:
        ValueError: the session is not pinned to a digest.
    """
    if not spec.digest:
        raise ValueError("An image can only be probed by its digest.")
    pod = build_image_probe_pod(
        get_pinned_image(spec), spec.run, settings, read_pod_placement(session), seconds=PROBE_DEADLINE_SECONDS
    )
    pod.metadata.owner_references = [build_owner_reference("Pod", session)]
    return pod


def build_image_probe_pod(
    image: str, run: RunConfiguration, settings: PodSettings, place: PodPlacement, *, seconds: int
) -> V1Pod:
    """Build a pod without an owner that probes an *image*, given by digest, at *place*."""
    digits = image.rpartition(":")[2]
    hub = {f"{RENKU_LABEL_PREFIX}hub": settings.hub} if settings.hub else {}
    metadata = V1ObjectMeta(
        name=f"renku-probe-{digits[:20]}", labels={**hub, f"{RENKU_LABEL_PREFIX}probe": digits[:40]}
    )
    context = build_pod_security_context(run, settings)
    return build_helper_pod(
        metadata, _build_probe_container(image, run, settings), place, context=context, seconds=seconds
    )


def _build_probe_container(image: str, run: RunConfiguration, settings: PodSettings) -> V1Container:
    return V1Container(
        name=PROBE_CONTAINER_NAME,
        image=image,
        image_pull_policy="IfNotPresent",
        command=build_probe_command(),
        working_dir="/",
        resources=build_helper_resources("500m", "256Mi"),
        security_context=build_container_security_context(run, settings),
    )


log = logging.getLogger("renku_spawner")

PROBE_TIMEOUT_SECONDS = 60.0  # allows for a busy node


async def probe_session_image(
    context: AppContext, calls: KubernetesAPI, pod: str, spec: LaunchSpec, settings: PodSettings
) -> None:
    """Probe the image of the session's *pod* and save its software, unless that is already known. Raises nothing."""
    probed_digests = context.probed_digests  # at most one, because every pod counts towards a quota
    if probed_digests or not spec.digest:
        return
    probed_digests.add(spec.digest)
    try:
        if await needs_package_scan(context, spec.digest):
            await _store_probe_report(context, spec.digest, await _run_probe_pod(calls, pod, spec, settings))
    except KubernetesAPIError as denied:
        log.info("Image probe of %s failed: %s", spec.image, denied.refusal.code)
    except Exception:
        log.exception("Image probe of %s failed unexpectedly", spec.image)
    finally:
        probed_digests.discard(spec.digest)


async def _store_probe_report(context: AppContext, digest: str, report: str) -> None:
    software = await asyncio.to_thread(parse_probe_report, report, origin=SoftwareOrigin.IMAGE, found_at=context.now())
    if software is None:
        log.info("Image probe of %s returned no valid report", digest)
    elif software.packages or software.interpreters:
        await save_image_software(context, digest, software)


async def _run_probe_pod(calls: KubernetesAPI, pod: str, spec: LaunchSpec, settings: PodSettings) -> str:
    """Return the probe's output; empty if it failed. Raises KubernetesAPIError."""
    session = await calls.get_pod(pod)  # the informer does not keep the fields that say where the pod may run
    if session is None:
        return ""
    probe_pod = build_session_probe_pod(session, spec, settings)
    return await run_helper_pod(
        calls, probe_pod, patience=PROBE_TIMEOUT_SECONDS, lines=PROBE_MAX_LOG_LINES, limit=MAX_PROBE_REPORT_CHARACTERS
    )
