"""The first look at the cluster: in pages, and whole."""

import pytest

from renku_spawner.spawners.kubernetes import watch
from tests.cluster.watching import PODS, fill, watching
from tests.fakes.kube import FakeCluster


@pytest.fixture(autouse=True)
def short_pages(monkeypatch):
    monkeypatch.setattr(watch, "LIST_PAGE_SIZE", 2)


async def test_all_pages_are_taken_in_and_nothing_that_nobody_reads_is_kept():
    async with FakeCluster() as cluster:
        fill(cluster)
        async with watching(cluster) as watch:
            await cluster.until(lambda: watch.healthy and len(watch.events) == len(PODS))
            assert sorted(watch.pods) == [f"sessions/{name}" for name in PODS]
            assert [len(watch.list_pod_events(f"sessions/{name}")) for name in PODS] == [1] * len(PODS)
            assert "managedFields" not in str(watch.pods)
            assert "env" not in watch.pods["sessions/pod-0"]["spec"]["containers"][0]
        assert cluster.counts()["list pods"] == 3


async def test_a_list_whose_next_page_has_expired_begins_anew():
    async with FakeCluster() as cluster:
        fill(cluster)
        cluster.fault(lambda request: request.resource == "pods" and "continue" in request.query, status=410)
        async with watching(cluster) as watch:
            await cluster.until(lambda: watch.healthy)
            assert sorted(watch.pods) == [f"sessions/{name}" for name in PODS]
        assert cluster.counts()["list pods"] == 2 + 3


async def test_a_change_between_two_pages_is_not_missed():
    async with FakeCluster() as cluster:
        fill(cluster)
        cluster.fault(lambda request: request.resource == "pods" and "continue" in request.query, delay=0.2)
        async with watching(cluster) as watch:
            await cluster.until(lambda: cluster.counts()["list pods"] >= 2)
            cluster.store.remove("pods", cluster.find("pods", "pod-0"))
            await cluster.until(lambda: watch.healthy and "sessions/pod-0" not in watch.pods)
            assert sorted(watch.pods) == [f"sessions/{name}" for name in PODS[1:]]
