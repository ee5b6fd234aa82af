"""What pods of sessions use of processors, as the cluster's own metrics have it: one question for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from .domain import quantity
from .domain.errors import Unavailable
from .kube import inventory
from .kube.calls import Calls, Denied
from .kube.keep import SESSION
from .kube.objects import Raw, dig, items, text
from .kube.settings import PREFIX

SECONDS = 10.0  # for the answer; some megabytes for thousands of pods
_UNTOLD = "the cluster does not tell it (metrics.k8s.io): {why}"
_SPREAD = "sessions of this hub are in a namespace for each user, which cannot be asked for together."


async def cores(calls: Calls, pods: Mapping[str, Raw], hub: str, *, spread: bool) -> dict[tuple[str, str], float]:
    """Cores by user and session; *pods* are those that the watch has, by their names. Raises Unavailable."""
    if spread:
        raise Unavailable(_SPREAD)
    try:
        async with asyncio.timeout(SECONDS):
            found = await calls.usage(inventory.selector(hub))
    except Denied as denied:
        why = text(denied.refusal.values.get("message")) or "it does not answer."
        raise Unavailable(_UNTOLD.format(why=why)) from None
    except TimeoutError:
        raise Unavailable(_UNTOLD.format(why="it does not answer.")) from None
    return await asyncio.to_thread(of_sessions, found, dict(pods))


def of_sessions(found: Sequence[Raw], pods: Mapping[str, Raw]) -> dict[tuple[str, str], float]:
    """What is measured, of pods that are known."""
    used = {}
    for each in found:
        pod = pods.get(f"{text(dig(each, 'metadata', 'namespace'))}/{text(dig(each, 'metadata', 'name'))}")
        session = text(dig(pod, "metadata", "labels", SESSION))
        username = text(dig(pod, "metadata", "annotations", f"{PREFIX}username"))
        if session and username:
            used[username, session] = sum(_cores(dig(one, "usage", "cpu")) for one in items(each.get("containers")))
    return used


def _cores(said: object) -> float:
    """What is no quantity is nothing that was used."""
    try:
        return float(quantity.parse(text(said)))
    except ValueError:
        return 0.0
