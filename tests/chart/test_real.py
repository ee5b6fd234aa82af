"""The chart on the cluster of KUBECONFIG, by `make test-cluster`: installed, changed, and taken away again.

RENKU_TEST_HUB_IMAGE names an image of the hub that the nodes can pull (`registry.example.org/renku/renku-hub:0.1.0`),
RENKU_TEST_NAMESPACE the namespace, in which nothing else is. The chart that ours depends on is fetched, or taken from
the folder that RENKU_TEST_CHARTS names (`jupyterhub-*.tgz`, or unpacked as `jupyterhub`).
"""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from kubernetes_asyncio.client import ApiClient, ApiException, AppsV1Api, AuthorizationV1Api, CoreV1Api
from kubernetes_asyncio.config import load_kube_config

from tests.chart.rendered import CHART, HELMS, Done, fetch_dependency, run
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
    if problem := fetch_dependency(folder, os.environ.get("RENKU_TEST_CHARTS")):
        pytest.skip(f"the chart that ours depends on cannot be fetched: {problem}")
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


@dataclass(frozen=True)
class HubLife:
    """Which process is the hub: its pod, the starts of the container, and those of the hub within it."""

    pod: str
    restarts: int
    starts: int


async def find_hub(api: ApiClient) -> HubLife | None:
    """Return the life of the hub that serves, None while none does."""
    core, namespace = CoreV1Api(api), os.environ["RENKU_TEST_NAMESPACE"]
    for pod in (await core.list_namespaced_pod(namespace, label_selector="component=hub")).items:
        for status in pod.status.container_statuses or []:
            if status.ready and not pod.metadata.deletion_timestamp:
                log = await core.read_namespaced_pod_log(pod.metadata.name, namespace, container=status.name)
                starts = log.count("JupyterHub is now running")
                return HubLife(pod.metadata.uid, status.restart_count, starts) if starts else None
    return None


@pytest.mark.parametrize("which", HELMS)
async def test_it_is_installed_changed_and_taken_away(which: str, fetched: Path, api: ApiClient) -> None:
    namespace, (image, _, tag) = os.environ["RENKU_TEST_NAMESPACE"], os.environ["RENKU_TEST_HUB_IMAGE"].rpartition(":")
    said = [f"jupyterhub.hub.image.name={image}", f"jupyterhub.hub.image.tag={tag}"]
    values = [part for each in (*said, "jupyterhub.proxy.service.type=ClusterIP") for part in ("--set", each)]
    upgrade = ("upgrade", "--install", RELEASE, str(fetched), *values)
    try:
        assert "Renku is being installed" in helm(which, *upgrade).out
        lives: list[HubLife | None] = [None]

        async def another() -> bool:
            """Whether the hub is another process than before and serves; reloaded, its pod and container stay."""
            found = await find_hub(api)
            return found is not None and found != lives[0]

        await until(another, seconds=PATIENCE, why="the hub serves")
        lives[0] = await find_hub(api)
        passwords = (await CoreV1Api(api).read_namespaced_secret("renku-hub", namespace)).data
        assert await _may(api, namespace, "list", "pods")
        assert not await _may(api, namespace, "list", "secrets")
        helm(which, *upgrade, "--set", "renku.sessions.cloneTimeout=600")
        await until(another, seconds=PATIENCE, why="the hub has read its settings again")
        assert (await CoreV1Api(api).read_namespaced_secret("renku-hub", namespace)).data == passwords
        pullers = await AppsV1Api(api).read_namespaced_daemon_set(f"{RELEASE}-prepuller", namespace)
        assert pullers.status.desired_number_scheduled > 0
    finally:
        helm(which, "uninstall", RELEASE, "--wait")
        with suppress(ApiException):  # the database outlives a release
            await CoreV1Api(api).delete_namespaced_persistent_volume_claim("hub-db-dir", namespace)


async def _may(api: ApiClient, namespace: str, verb: str, resource: str) -> bool:
    """Whether the hub's account may, as the cluster says."""
    attributes = {"namespace": namespace, "verb": verb, "resource": resource}
    spec = {"user": f"system:serviceaccount:{namespace}:hub", "resourceAttributes": attributes}
    review = await AuthorizationV1Api(api).create_subject_access_review({"spec": spec})
    return bool(review.status.allowed)
