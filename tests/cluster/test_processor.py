"""A session that calculates silently is not paused, where the cluster tells what its pods use of processors."""

from datetime import UTC, datetime, timedelta

import pytest
from kubernetes_asyncio.client import ApiClient, CoreV1Api

from renku_spawner.config.renku import Renku
from renku_spawner.domain.errors import UnavailableError
from renku_spawner.domain.instances import InstanceStatus
from renku_spawner.hub.adapter import IdleJobAdapter
from renku_spawner.jobs.idle import run_idle_check
from renku_spawner.spawners.kubernetes.api import KubernetesAPI
from renku_spawner.spawners.kubernetes.cpu_usage import load_session_cpu_usage, sum_session_cpu_usage
from tests.fakes.kube import FakeCluster

from .test_rights import FOR_USE, refused, with_the_role

RULES = {"idle_pause": 3600, "rounds_interval": 600}  # the hub's own rounds do not take part


async def two_run(it):
    """Sessions, and the names of their pods."""
    project = await it.hub.project()
    found = [await it.hub.session(project, "Calculates"), await it.hub.session(project, "Sleeps", key="r")]
    for session in found:
        await it.hub.client("alice").post(f"api/renku/projects/{session.project}/sessions/{session.id}/start")
    for session in found:
        await it.hub.becomes(session, InstanceStatus.RUNNING)
    names = {pod["metadata"]["labels"]["renku.io/session"]: pod["metadata"]["name"] for pod in it.pods()}
    return [(session, names[session.id]) for session in found]


async def passes(it, minutes):
    clock = [datetime.now(UTC)]
    vars(it.hub.parts)["now"] = lambda: clock[0]
    for _ in range(minutes // 2):
        clock[0] += timedelta(minutes=2)
        await it.hub.app.update_last_activity()
        await run_idle_check(it.hub.parts, clock[0], IdleJobAdapter(it.hub.app, Renku.instance()))


async def test_one_that_calculates_goes_on_and_one_that_sleeps_pauses(on_cluster):
    it = await on_cluster(Renku=RULES)
    with_the_role(it.cluster)
    it.cluster.metrics.served = True
    (busy, pod), (idle, _) = await two_run(it)
    it.cluster.metrics.cpu[pod] = "987654321n"
    it.cluster.requests.clear()
    await passes(it, 64)
    paused = await it.hub.becomes(idle, InstanceStatus.PAUSED)
    assert paused.message and paused.message.endswith("(signals: traffic, processor).")
    assert await it.hub.status(busy) is InstanceStatus.RUNNING
    questions = [request for request in it.cluster.requests if (request.verb, request.resource) in FOR_USE]
    assert 30 <= len(questions) <= 33, "one for all pods in each round"
    assert {request.status for request in questions} == {200}


async def test_without_the_right_all_is_as_it_was(on_cluster, caplog):
    it = await on_cluster(Renku=RULES)
    with_the_role(it.cluster)
    it.cluster.metrics.served = True
    del it.cluster.rules["hub"]["sessions"]["pods.metrics.k8s.io"]
    session = await it.hub.session(await it.hub.project())
    await it.hub.client("alice").post(f"api/renku/projects/{session.project}/sessions/{session.id}/start")
    await it.hub.becomes(session, InstanceStatus.RUNNING)
    it.cluster.metrics.cpu[it.pods()[0]["metadata"]["name"]] = "4"
    await passes(it, 64)
    paused = await it.hub.becomes(session, InstanceStatus.PAUSED)
    assert paused.message and paused.message.endswith("(signals: traffic).")
    assert {(verb, resource) for verb, resource, _ in refused(it.cluster)} == FOR_USE
    (said,) = [record.message for record in caplog.records if "metrics.k8s.io" in record.message]
    assert said.startswith("Failed to read CPU use of sessions, ignoring it as activity: the cluster does not report")


@pytest.mark.parametrize(
    ("fault", "why"),
    [({}, "404 page not found"), ({"status": 503}, "it does not answer.")],
)
async def test_a_cluster_that_does_not_tell_is_asked_once_and_named(fault, why):
    async with FakeCluster() as cluster, ApiClient(cluster.configuration("hub-token")) as client:
        with_the_role(cluster)
        if fault:
            cluster.metrics.served = True
            cluster.fault(times=None, **fault)
        calls = KubernetesAPI(CoreV1Api(client), "sessions", patience=0)
        with pytest.raises(UnavailableError) as caught:
            await load_session_cpu_usage(calls, {}, "", spread=False)
        assert caught.value.message == f"the cluster does not report CPU usage (metrics.k8s.io): {why}"
        assert len(cluster.requests) == 1


async def test_what_is_nobodys_or_nonsense_counts_for_nobody():
    def pod(**labels):
        return {"metadata": {"labels": labels, "annotations": {"renku.io/username": "ada"}}}

    def measured(name, *cpu):
        containers = [{"name": "c", "usage": {"cpu": each}} for each in cpu]
        return {"metadata": {"name": name, "namespace": "sessions"}, "containers": containers}

    pods = {f"sessions/{name}": pod(**{"renku.io/session": name}) for name in ("a", "b", "c")} | {"sessions/x": pod()}
    found = [measured("a", "250m", "1500000n"), measured("b", "lots", None), measured("x", "4"), measured("y", "4")]
    used = sum_session_cpu_usage([*found, {"metadata": {"name": "c"}}, {}], pods)
    assert used == {("ada", "a"): pytest.approx(0.2515), ("ada", "b"): 0.0}
