"""The chart on the cluster of KUBECONFIG, by `make test-cluster`: installed, changed, and taken away again.

RENKU_TEST_HUB_IMAGE names an image of the hub that the nodes can pull (`registry.example.org/renku/renku-hub:0.1.0`),
RENKU_TEST_NAMESPACE the namespace, in which nothing else is. The chart that ours depends on has to be fetched.
"""

import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from kubernetes_asyncio.client import ApiClient, AppsV1Api, AuthorizationV1Api, CoreV1Api
from kubernetes_asyncio.config import load_kube_config

from tests.chart.rendered import CHART, HELMS, Done, run
from tests.fixtures.renku import until

pytestmark = pytest.mark.cluster
PATIENCE = 600  # seconds; images may have to be pulled
RELEASE = "renku-test"


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart with the real one that it depends on."""
    for variable in ("KUBECONFIG", "RENKU_TEST_NAMESPACE", "RENKU_TEST_HUB_IMAGE"):
        if not os.environ.get(variable):
            pytest.skip(f"{variable} is not set: the chart is not installed")
    folder = tmp_path_factory.mktemp("chart") / "renku-hub"
    shutil.copytree(CHART, folder)
    done = run(HELMS[0], "dependency", "build", str(folder))
    if not done.ok:
        pytest.skip(f"the chart that ours depends on cannot be fetched: {done.err.strip().splitlines()[-1]}")
    return folder


@pytest.fixture
async def api() -> AsyncIterator[ApiClient]:
    await load_kube_config()
    async with ApiClient() as client:
        yield client


def helm(which: str, *command: str) -> Done:
    done = run(which, *command, "--namespace", os.environ["RENKU_TEST_NAMESPACE"])
    assert done.ok, done.err
    return done


def served(api: ApiClient, restarts: int = 0) -> Callable[[], Awaitable[bool]]:
    """Whether the hub's container has been started again so often, at least, and serves."""

    async def look() -> bool:
        core, namespace = CoreV1Api(api), os.environ["RENKU_TEST_NAMESPACE"]
        pods = await core.list_namespaced_pod(namespace, label_selector="component=hub")
        found: list[Any] = [status for pod in pods.items for status in pod.status.container_statuses or []]
        return any(status.ready and status.restart_count >= restarts for status in found)

    return look


@pytest.mark.parametrize("which", HELMS)
async def test_it_is_installed_changed_and_taken_away(which: str, fetched: Path, api: ApiClient) -> None:
    namespace, (image, _, tag) = os.environ["RENKU_TEST_NAMESPACE"], os.environ["RENKU_TEST_HUB_IMAGE"].rpartition(":")
    said = [
        f"jupyterhub.hub.image.name={image}",
        f"jupyterhub.hub.image.tag={tag}",
        "jupyterhub.hub.db.type=sqlite-memory",
    ]
    values = [part for each in (*said, "jupyterhub.proxy.service.type=ClusterIP") for part in ("--set", each)]
    upgrade = ("upgrade", "--install", RELEASE, str(fetched), *values)
    try:
        assert "Renku is being installed" in helm(which, *upgrade).out
        await until(served(api), seconds=PATIENCE, why="the hub serves")
        passwords = (await CoreV1Api(api).read_namespaced_secret("renku-hub", namespace)).data
        assert await _may(api, namespace, "list", "pods")
        assert not await _may(api, namespace, "list", "secrets")
        helm(which, *upgrade, "--set", "renku.sessions.cloneTimeout=600")
        await until(served(api, restarts=1), seconds=PATIENCE, why="the hub has been started again")
        assert (await CoreV1Api(api).read_namespaced_secret("renku-hub", namespace)).data == passwords
        pullers = await AppsV1Api(api).read_namespaced_daemon_set(f"{RELEASE}-prepuller", namespace)
        assert pullers.status.desired_number_scheduled > 0
    finally:
        helm(which, "uninstall", RELEASE, "--wait")


async def _may(api: ApiClient, namespace: str, verb: str, resource: str) -> bool:
    """Whether the hub's account may, as the cluster says."""
    attributes = {"namespace": namespace, "verb": verb, "resource": resource}
    spec = {"user": f"system:serviceaccount:{namespace}:hub", "resourceAttributes": attributes}
    review = await AuthorizationV1Api(api).create_subject_access_review({"spec": spec})
    return bool(review.status.allowed)
