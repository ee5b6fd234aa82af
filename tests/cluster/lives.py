"""Recorded ends of pods, for pods whose processes run."""

import asyncio
from typing import Any

from tests.fakes.kube import FakeCluster
from tests.fakes.pod_life import Life

Object = dict[str, Any]


def meets(cluster: FakeCluster, pod: Object, case: str) -> asyncio.Task[None]:
    """Let a running pod meet what the recorded one met after it had become ready; the task ends with it."""
    life = Life(cluster, pod, case, {}, pod["status"]["podIP"])
    ready = next(place for place, step in enumerate(life.steps) if is_ready(step))
    first, *rest = life.steps[ready:]  # a life does not play its first step
    life.before = [[step[0] - first[0], *step[1:]] for step in (first, *rest)]
    return cluster.spawn(life.play())


def is_ready(step: list[Any]) -> bool:
    return step[1] == "status" and step[3].get("phase") == "Running"
