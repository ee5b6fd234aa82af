"""Images of ready-made environments are brought to every node beforehand, beside those that the chart brings."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from kubernetes_asyncio.client import ApiClient, AppsV1Api, CoreV1Api

from renku_spawner.domain.access import Person
from renku_spawner.domain.administration import ImageNodeCoverage, PrepullError
from renku_spawner.domain.environments import (
    Environment,
    EnvironmentState,
    EnvironmentStateChange,
    NewManagedEnvironment,
)
from renku_spawner.spawners.kubernetes.api import KubernetesAPI
from renku_spawner.spawners.kubernetes.prepuller import DaemonSetPrepuller
from renku_spawner.usecases import environments
from renku_spawner.usecases.environments import add_managed_environment, set_managed_environment_state
from tests.cluster.test_rights import FOR_THE_PREPULLER, with_the_role
from tests.fakes.kube import FakeCluster
from tests.fixtures.renku import until

NAME = "try-prepuller"
SCIPY, OWN, NEWER = "quay.io/jupyter/scipy:1", "registry.example.org/own@sha256:1", "registry.example.org/own@sha256:2"
CHART = {
    "name": "configured-python",
    "image": SCIPY,
    "command": ["/bin/sh", "-c", "exit 0"],
    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
}


def install(cluster: FakeCluster, name: str = NAME) -> None:
    """What the chart makes, and that its namespace takes nothing but restricted pods."""
    place = cluster.store.get("namespaces", "", "sessions")
    enforced = place["metadata"]["labels"] | {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.store.put("namespaces", place | {"metadata": place["metadata"] | {"labels": enforced}})
    labels = {"renku.io/prepuller": name}
    spec = {
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"}},
        "initContainers": [CHART],
        "containers": [CHART | {"name": "pause", "image": "registry.k8s.io/pause:3.10", "command": ["/pause"]}],
    }
    template = {"metadata": {"labels": labels}, "spec": spec}
    cluster.add("daemonsets", "sessions", name, spec={"selector": {"matchLabels": labels}, "template": template})


@asynccontextmanager
async def prepuller(cluster: FakeCluster, *, patience: float = 5) -> AsyncIterator[DaemonSetPrepuller]:
    async with ApiClient(cluster.configuration()) as client:
        yield DaemonSetPrepuller(calls=KubernetesAPI(CoreV1Api(client), "sessions", patience=patience), name=NAME)


def images(cluster: FakeCluster) -> dict[str, str]:
    spec = cluster.find("daemonsets", NAME)["spec"]["template"]["spec"]
    return {each["name"]: each["image"] for each in spec["initContainers"]}


async def test_the_hub_says_what_is_its_own_and_leaves_the_charts_alone() -> None:
    """Server-side apply: an upgrade of the chart leaves the hub's part, too; what is edited there is taken back."""
    async with FakeCluster(speed=50) as cluster, prepuller(cluster) as keeper:
        install(cluster)
        await keeper.set_images({"added-a": OWN, "added-b": SCIPY})
        assert images(cluster) == {"configured-python": SCIPY, "added-a": OWN, "added-b": SCIPY}
        await keeper.set_images({"added-a": NEWER})
        assert images(cluster) == {"configured-python": SCIPY, "added-a": NEWER}
        async with ApiClient(cluster.configuration()) as client:
            newer: dict[str, Any] = {"spec": {"initContainers": [{"name": "configured-python", "image": "newer"}]}}
            apps = AppsV1Api(client)
            await apps.patch_namespaced_daemon_set(NAME, "sessions", {"spec": {"template": newer}})
            newer["spec"]["initContainers"] = [{"name": "added-a", "image": "edited"}]
            await apps.patch_namespaced_daemon_set(NAME, "sessions", {"spec": {"template": newer}})
        await keeper.set_images({"added-a": NEWER})
        assert images(cluster) == {"configured-python": "newer", "added-a": NEWER}
        version = cluster.find("daemonsets", NAME)["metadata"]["resourceVersion"]
        await keeper.set_images({"added-a": NEWER})
        assert cluster.find("daemonsets", NAME)["metadata"]["resourceVersion"] == version, "no pod is made anew for it"
        await keeper.set_images({})
        assert images(cluster) == {"configured-python": "newer"}


async def test_each_node_says_which_images_it_has() -> None:
    async with FakeCluster(speed=50) as cluster, prepuller(cluster) as keeper:
        cluster.daemons.nodes = ["node-1", "node-2"]
        install(cluster)
        cluster.daemons.held.add(OWN)
        await keeper.set_images({"added-a": OWN, "added-b": NEWER})
        wanted = {"configured-python": None, "added-a": OWN, "added-b": NEWER}

        async def found(**expected: ImageNodeCoverage) -> None:
            async with asyncio.timeout(20):
                while (said := await keeper.get_node_coverage(wanted)) != {
                    n.replace("_", "-"): e for n, e in expected.items()
                }:
                    await asyncio.sleep(0.05)
            assert said["configured-python"].is_complete

        both, none = ImageNodeCoverage(here=("node-1", "node-2")), ImageNodeCoverage(coming=("node-1", "node-2"))
        await found(configured_python=both, added_a=none, added_b=none)
        cluster.daemons.held.clear()
        cluster.daemons.trouble[NEWER] = "rpc error: code = NotFound desc = failed to pull: not found"
        said = f"The image {NEWER} does not exist or is not public."
        why = f"{said} Ask an editor of the project to check its name and tag."
        failed = ImageNodeCoverage(failed={"node-1": why, "node-2": why})
        await found(configured_python=both, added_a=both, added_b=failed)
        cluster.daemons.trouble.clear()
        await found(configured_python=both, added_a=both, added_b=both)
        assert (await keeper.get_node_coverage({"added-a": NEWER}))["added-a"] == none, (
            "it has another image than the one wanted"
        )


async def test_what_is_amiss_is_said_in_words() -> None:
    async with FakeCluster(speed=50) as cluster, prepuller(cluster, patience=0.5) as keeper:
        with pytest.raises(PrepullError, match="There is no DaemonSet try-prepuller in the namespace of the sessions"):
            await keeper.set_images({"added-a": OWN})
        install(cluster)
        cluster.rules["admin"] = {"sessions": {"pods": {"list"}, "daemonsets": {"get"}}}
        with pytest.raises(PrepullError, match='cannot patch resource "daemonsets"'):
            await keeper.set_images({"added-a": OWN})
        assert images(cluster) == {"configured-python": SCIPY}
        async with cluster.outage():
            for asked in (keeper.set_images({}), keeper.get_node_coverage({})):
                with pytest.raises(PrepullError, match="does not answer"):
                    await asked


async def test_what_admins_offer_in_the_browser_is_kept_on_the_nodes_and_the_page_says_on_which(
    on_cluster, monkeypatch
) -> None:
    monkeypatch.setattr(environments, "_COVERAGE_CACHE_SECONDS", 0.1)
    it = await on_cluster(RenkuSpawner={"prepuller": NAME})
    with_the_role(it.cluster)
    it.hub.curator("root")
    root = await it.hub.visitor("root")
    await until(partial(says, root, f"There is no DaemonSet {NAME}"))
    install(it.cluster)
    drafted = await add(it, "Draft", EnvironmentState.DRAFT)
    made = await add(it, "Maps", EnvironmentState.ACTIVE)
    added = f"added-{made.id}"
    await until(lambda: images(it.cluster) == {"configured-python": SCIPY, added: made.revision.canonical_reference})
    await until(partial(says, root, "1 of 1 node", 2), why="the nodes have it, and what the chart brings")
    assert await says(root, "0 of 1 node", 1) and not await says(root, "no DaemonSet")
    one = await root.get(f"renku/environments/{made.id}")
    assert "Have it" in one.text and it.cluster.node in one.text
    said = (await it.hub.client("root").get(f"api/renku/environments/{made.id}")).json()
    assert said["nodes"] == {"here": [it.cluster.node], "coming": [], "failed": {}}
    await become(it, drafted, EnvironmentState.ACTIVE)
    await until(lambda: f"added-{drafted.id}" in images(it.cluster))
    await become(it, made, EnvironmentState.ARCHIVED)
    await until(lambda: added not in images(it.cluster))
    asked = {(r.verb, r.resource) for r in it.cluster.requests if r.status == 200}
    assert {each for each in asked if each[1] == "daemonsets"} == FOR_THE_PREPULLER


async def says(visitor, words: str, times: int = 1) -> bool:
    """Whether the page of ready-made environments does, so often."""
    return (await visitor.get("renku/environments")).text.count(words) == times


async def add(it, name: str, state: EnvironmentState) -> Environment:
    new = NewManagedEnvironment(name=name, image=f"quay.io/own/{name.lower()}:1", state=state)
    return await add_managed_environment(it.hub.parts, Person(name="root", admin=True), new)


async def become(it, of: Environment, state: EnvironmentState) -> None:
    change = EnvironmentStateChange(version=of.version, state=state)
    await set_managed_environment_state(it.hub.parts, Person(name="root", admin=True), of.id, change)
