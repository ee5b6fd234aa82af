"""A cluster with a few pods, and a watch that looks at it without a hub."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kubernetes_asyncio.client import ApiClient, CoreV1Api

from renku_spawner.spawners.kubernetes.watch import PodInformer
from tests.fakes.kube import FakeCluster

PODS = [f"pod-{number}" for number in range(5)]
LABELS = "component=it"


@asynccontextmanager
async def api(cluster: FakeCluster) -> AsyncIterator[CoreV1Api]:
    async with ApiClient(cluster.configuration()) as client:
        yield CoreV1Api(client)


@asynccontextmanager
async def watching(cluster: FakeCluster) -> AsyncIterator[PodInformer]:
    async with api(cluster) as asked:
        watch = PodInformer(asked, namespace="sessions", labels=LABELS, log=logging.getLogger("it"))
        try:
            yield watch
        finally:
            await watch.stop()


def add(cluster: FakeCluster, name: str) -> None:
    """A pod with an event."""
    spec = {"containers": [{"name": "notebook", "image": "it", "env": [{"name": "A", "value": "1"}]}]}
    metadata = {"name": name, "namespace": "sessions", "labels": {"component": "it"}, "managedFields": [{}]}
    pod = cluster.store.create("pods", {"metadata": metadata, "spec": spec, "status": {"phase": "Running"}})
    cluster.controllers.event(pod, "Started", "Started it")


def fill(cluster: FakeCluster) -> None:
    for name in PODS:
        add(cluster, name)


def remove(cluster: FakeCluster, name: str) -> None:
    cluster.store.remove("pods", cluster.find("pods", name))


def versions(cluster: FakeCluster) -> dict[str, str]:
    """What a list would say now: the version of each pod, by name."""
    return {pod["metadata"]["name"]: pod["metadata"]["resourceVersion"] for pod in cluster.objects("pods", "sessions")}


def seen(watch: PodInformer) -> dict[str, str]:
    """The same as the watch has it."""
    return {pod["metadata"]["name"]: pod["metadata"]["resourceVersion"] for pod in watch.pods.values()}
