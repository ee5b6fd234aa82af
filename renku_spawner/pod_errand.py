"""Sends a helper's pod, waits until it has ended, and brings back what it printed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from time import monotonic

from kubernetes_asyncio.client import V1Pod

from .kube import helper
from .kube.calls import LOG_BYTES, Calls, Denied
from .kube.objects import Raw, dig, text

log = logging.getLogger("renku_spawner")
_AGAIN = 30.0  # seconds
_LOOK_AGAIN, _AT_LEAST = 0.5, 3.0  # seconds: at first, and for one that takes long


async def printed(calls: Calls, pod: V1Pod, *, patience: float, lines: int, limit: int = LOG_BYTES) -> str:
    """The end of its log, so many *lines* of *limit* bytes at most; empty if it has not ended in *patience* seconds.

    The pod is gone afterwards. Raises Denied.
    """
    (container,) = pod.spec.containers
    made = await calls.create_pod(pod, image=container.image)
    name, uid = made["metadata"]["name"], made["metadata"]["uid"]
    try:
        end, pause = monotonic() + patience, _LOOK_AGAIN
        while not helper.ended(await calls.pod(name)):
            if monotonic() > end:
                return ""
            await asyncio.sleep(pause)
            pause = min(1.2 * pause, _AT_LEAST)
        return await calls.log(name, container.name, lines=lines, limit=limit)
    finally:
        await put_away(calls, name, uid)


async def put_away(calls: Calls, name: str, uid: str) -> None:
    """What cannot be deleted now goes with its owner; what it has printed is known all the same."""
    task = asyncio.current_task()
    if task is None or task.cancelling():  # the hub goes, and its connections have gone before
        return
    try:
        await calls.delete_pod(name, grace=0, uid=uid)
    except Denied as denied:
        log.info("The pod %s is left to its owner: %s", name, denied.refusal.code)


async def sweep(calls: Calls, selector: str, ours: Callable[[Raw], bool]) -> None:
    """Remove what *selector* finds and is not *ours*, as soon as the cluster lets us."""
    while True:
        try:
            await remove(calls, [pod for pod in await calls.pods(selector) if not ours(pod)])
            return
        except Denied:
            await asyncio.sleep(_AGAIN)


async def remove(calls: Calls, pods: list[Raw]) -> None:
    """Remove these very pods at once. Raises Denied."""
    for pod in pods:
        await calls.delete_pod(text(dig(pod, "metadata", "name")), grace=0, uid=text(dig(pod, "metadata", "uid")))
