"""Probe an image with a pod on the hub's cluster, so that its packages are known before a session runs it."""

from __future__ import annotations

import asyncio

from jupyterhub.app import JupyterHub
from traitlets.config import Config

from ..context.app_context import AppContext
from ..domain.environments import RunConfiguration
from ..domain.images import ImageReference
from ..domain.reasons import format_reason_sentence
from ..domain.software import MAX_PROBE_REPORT_CHARACTERS, ImageSoftware, SoftwareOrigin, parse_probe_report
from ..spawners.kubernetes.api import KubernetesAPIError
from ..spawners.kubernetes.helper_pods import PodPlacement, run_helper_pod
from ..spawners.kubernetes.image_probe import PROBE_MAX_LOG_LINES, build_image_probe_pod
from ..spawners.kubernetes.spawner import RenkuSpawner, create_detached_spawner
from ..usecases.software import save_image_software

IMAGE_PROBE_TIMEOUT_SECONDS = 900  # enough to pull a large image


class ImageProbeError(Exception):
    """A failed probe; the message is the reason, to be printed after the environment's key and a colon."""


def build_cluster_spawner(config: Config) -> RenkuSpawner:
    """Create a spawner that starts no session, to use its cluster and its settings for pods.

    It needs a running event loop; its connections are closed with it.

    Raises:
        ValueError: the hub has no cluster, or the cluster cannot be found from here.
    """
    settings = {name: value for name, value in config.JupyterHub.items() if name == "spawner_class"}
    spawner_class = JupyterHub(config=Config(JupyterHub=settings)).spawner_class  # resolves names of classes
    if not issubclass(spawner_class, RenkuSpawner):
        raise ValueError(f"Sessions of this hub are not pods (c.JupyterHub.spawner_class is {spawner_class.__name__}).")
    return create_detached_spawner(spawner_class, config)


async def probe_image_in_pod(
    context: AppContext, by: RenkuSpawner, image: ImageReference, digest: str, run: RunConfiguration
) -> ImageSoftware:
    """Find the packages of *image* with a helper pod and save them. Raises ImageProbeError."""
    pod = build_image_probe_pod(
        f"{image.repository}@{digest}",
        run,
        by.pod_settings,
        _get_probe_placement(by),
        seconds=IMAGE_PROBE_TIMEOUT_SECONDS,
    )
    try:
        report = await run_helper_pod(
            by.kubernetes_api,
            pod,
            patience=IMAGE_PROBE_TIMEOUT_SECONDS,
            lines=PROBE_MAX_LOG_LINES,
            limit=MAX_PROBE_REPORT_CHARACTERS,
        )
    except KubernetesAPIError as denied:
        raise ImageProbeError(format_reason_sentence(denied.refusal.code, **denied.refusal.values)) from None
    software = await asyncio.to_thread(parse_probe_report, report, origin=SoftwareOrigin.PROBE, found_at=context.now())
    if software is None:
        raise ImageProbeError(
            "could not be probed: the image has no shell, does not start, or took more than "
            f"{IMAGE_PROBE_TIMEOUT_SECONDS // 60} minutes"
        )
    await save_image_software(context, digest, software)
    return software


def _get_probe_placement(by: RenkuSpawner) -> PodPlacement:
    """Return the nodes for the probe pod and its pull secrets: the same as for sessions."""
    secrets = [{"name": each} if isinstance(each, str) else each for each in by.image_pull_secrets or []]
    return PodPlacement(
        selector=by.node_selector, tolerations=by.tolerations, pull_secrets=secrets, scheduler=by.scheduler_name or None
    )
