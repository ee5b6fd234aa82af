"""Hubs that share a namespace, and long troubles of the API server."""

import pytest

from renku_spawner.domain.instances import InstanceStatus
from renku_spawner.spawners.kubernetes import watch
from tests.fixtures.renku import until


async def start(it, session):
    answer = await it.hub.client("alice").post(f"api/renku/projects/{session.project}/sessions/{session.id}/start")
    assert answer.status_code in (200, 202), answer.text


async def test_a_labelled_hub_makes_and_sees_its_own_pods_only(on_cluster):
    it = await on_cluster(RenkuSpawner={"hub_label": "one"})
    session = await it.hub.session(await it.hub.project())
    it.kubelet.plan("unschedulable-cpu", lambda pod: pod["metadata"]["name"] == "of-another")
    await start(it, session)
    await it.hub.becomes(session, InstanceStatus.RUNNING)
    (pod,) = it.pods()
    assert pod["metadata"]["labels"]["renku.io/hub"] == "one"
    labels = pod["metadata"]["labels"] | {"renku.io/hub": "two"}
    metadata = {"name": "of-another", "namespace": "sessions", "labels": labels}
    it.cluster.store.create("pods", {"metadata": metadata, "spec": pod["spec"], "status": pod["status"]})
    it.cluster.put_status(pod, message="seen after the other one")
    watch = await it.hub.user("alice").spawners[session.id]._start_watching_pods()
    key = f"sessions/{pod['metadata']['name']}"
    await until(lambda: watch.pods[key]["status"].get("message"))
    assert list(watch.pods) == [key]


@pytest.fixture
def impatient(monkeypatch):
    """A watch that tries again after a tenth of the usual time: 8 s of errors are to it what 80 s are else."""
    monkeypatch.setattr(watch, "MAX_BACKOFF_SECONDS", watch.MAX_BACKOFF_SECONDS / 10)


async def test_after_long_errors_of_the_api_it_is_right_within_ten_seconds_and_starts_again(on_cluster, impatient):
    it = await on_cluster()
    session = await it.hub.session(await it.hub.project())
    await start(it, session)
    await it.hub.becomes(session, InstanceStatus.RUNNING)
    it.cluster.fault(status=500, times=None)
    it.cluster.break_connections()
    await it.hub.becomes(session, InstanceStatus.UNKNOWN)
    it.cluster.api.delete_pod(it.pods()[0], 0)
    tries = len(it.cluster.requests)
    await until(lambda: len(it.cluster.requests) >= tries + 12, seconds=30, why="it has tried and tried")
    assert await it.hub.status(session) is InstanceStatus.UNKNOWN
    it.cluster.faults.clear()
    failed = await it.hub.becomes(session, InstanceStatus.FAILED, seconds=10)
    assert failed.reason == "pod_removed"
    await start(it, session)
    await it.hub.becomes(session, InstanceStatus.RUNNING)
