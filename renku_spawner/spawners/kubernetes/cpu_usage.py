"""Read the CPU usage of all session pods from the cluster's metrics API (`metrics.k8s.io`) with one request."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from ...domain.errors import UnavailableError
from ...domain.quantities import parse_quantity
from .api import KubernetesAPI, KubernetesAPIError
from .inventory import build_hub_selector
from .objects import KubernetesObject, get_nested, list_objects, to_text
from .settings import RENKU_LABEL_PREFIX
from .volumes import SESSION_LABEL

CPU_USAGE_TIMEOUT_SECONDS = 10.0  # the response has some megabytes for thousands of pods
_CPU_USAGE_UNAVAILABLE_MESSAGE = "the cluster does not report CPU usage (metrics.k8s.io): {why}"
_CPU_USAGE_USER_NAMESPACES_MESSAGE = (
    "sessions of this hub run in one namespace per user, so their CPU usage cannot be read together."
)


async def load_session_cpu_usage(
    calls: KubernetesAPI, pods: Mapping[str, KubernetesObject], hub: str, *, spread: bool
) -> dict[tuple[str, str], float]:
    """Return CPU cores by user name and session; *pods* are the informer's, by `namespace/name`.

    *spread* is True if each user has a namespace. Raises UnavailableError.
    """
    if spread:
        raise UnavailableError(_CPU_USAGE_USER_NAMESPACES_MESSAGE)
    try:
        async with asyncio.timeout(CPU_USAGE_TIMEOUT_SECONDS):
            metrics = await calls.list_pod_metrics(build_hub_selector(hub))
    except KubernetesAPIError as denied:
        why = to_text(denied.refusal.values.get("message")) or "it does not answer."
        raise UnavailableError(_CPU_USAGE_UNAVAILABLE_MESSAGE.format(why=why)) from None
    except TimeoutError:
        raise UnavailableError(_CPU_USAGE_UNAVAILABLE_MESSAGE.format(why="it does not answer.")) from None
    return await asyncio.to_thread(sum_session_cpu_usage, metrics, dict(pods))


def sum_session_cpu_usage(
    found: Sequence[KubernetesObject], pods: Mapping[str, KubernetesObject]
) -> dict[tuple[str, str], float]:
    """Sum the measured CPU cores by user name and session; ignore metrics of unknown pods."""
    usage = {}
    for entry in found:
        pod = pods.get(
            f"{to_text(get_nested(entry, 'metadata', 'namespace'))}/{to_text(get_nested(entry, 'metadata', 'name'))}"
        )
        session = to_text(get_nested(pod, "metadata", "labels", SESSION_LABEL))
        username = to_text(get_nested(pod, "metadata", "annotations", f"{RENKU_LABEL_PREFIX}username"))
        if session and username:
            usage[username, session] = sum(
                _parse_cpu_cores(get_nested(container, "usage", "cpu"))
                for container in list_objects(entry.get("containers"))
            )
    return usage


def _parse_cpu_cores(quantity: object) -> float:
    """Return a CPU quantity in cores, or 0 if it is not valid."""
    try:
        return float(parse_quantity(to_text(quantity)))
    except ValueError:
        return 0.0
