"""Calls to an API server that is busy, slow or away; time passes by a clock of the test's own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
from kubernetes_asyncio.client import V1Container, V1ObjectMeta, V1Pod, V1PodSpec

from renku_spawner.integrations.net.rate_limiter import CallPacer
from renku_spawner.spawners.kubernetes.api import (
    API_REQUEST_TIMEOUT_SECONDS,
    API_RETRY_TIMEOUT_SECONDS,
    KubernetesAPI,
    KubernetesAPIError,
)
from tests.cluster.watching import api, versions
from tests.fakes.kube import FakeCluster
from tests.fixtures.clock import Clock

RUN = {"renku.io/launch": "run-1", "renku.io/session": "s1"}


@asynccontextmanager
async def asking(cluster: FakeCluster) -> AsyncIterator[KubernetesAPI]:
    async with api(cluster) as asked:
        yield KubernetesAPI(asked, "sessions")


def pod(name: str = "it", **labels: str) -> V1Pod:
    spec = V1PodSpec(containers=[V1Container(name="notebook", image="it")])
    return V1Pod(metadata=V1ObjectMeta(name=name, labels={**RUN, **labels}), spec=spec)


@pytest.fixture(autouse=True)
async def warm() -> None:
    """The first pod of all takes long, since the cluster then reads what a pod is."""
    async with FakeCluster() as cluster, asking(cluster) as calls:
        await calls.create_pod(pod(), image="it")


def creates(request: Any) -> bool:
    return (request.verb, request.resource) == ("create", "pods")


async def made(clock: Clock, calls: KubernetesAPI, within: float, what: V1Pod | None = None) -> tuple[Any, float]:
    """The pod or the refusal, and the seconds that it took."""
    task = asyncio.ensure_future(calls.create_pod(what or pod(), image="it"))
    took = await clock.until(task.done, within=within)
    return task.exception() or task.result(), took


def note_waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a list to which each sleep of more than a second is added from now on, in seconds."""
    waits: list[float] = []
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        waits.extend([seconds] if seconds > 1 else [])
        await sleep(seconds)

    monkeypatch.setattr(asyncio, "sleep", noted)
    return waits


@pytest.mark.parametrize(("times", "least", "most"), [(1, 7, 7 * 1.25), (2, 14, 14 * 1.25)])
async def test_the_server_is_given_the_time_that_it_asks_for(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, times: int, least: float, most: float
) -> None:
    """The waits count, not the time that this machine needs for its own work."""
    async with FakeCluster() as cluster, asking(cluster) as calls:
        waits = note_waits(monkeypatch)
        cluster.fault(creates, status=429, headers={"Retry-After": "7"}, times=times)
        found, took = await made(clock, calls, within=40)
        assert found["metadata"]["name"] == "it"
        assert took >= least
        assert len(waits) == times
        assert least <= sum(waits) <= most
        assert sum(creates(request) for request in cluster.requests) == times + 1


async def test_two_that_were_told_to_wait_equally_long_do_not_come_back_together(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakeCluster() as cluster, asking(cluster) as calls:
        waits = note_waits(monkeypatch)
        cluster.fault(creates, status=429, headers={"Retry-After": "12"}, times=10)
        starts = [asyncio.ensure_future(calls.create_pod(pod(f"it-{n}"), image="it")) for n in range(10)]
        await clock.until(lambda: all(start.done() for start in starts), within=40)
        assert len(versions(cluster)) == 10
    assert len(set(waits)) == 10
    assert all(12 <= wait <= 15 for wait in waits)


@pytest.mark.parametrize("wait", ["5", "86400", "soon", "-3"])
async def test_a_server_that_stays_busy_ends_the_call_when_its_time_is_over(clock: Clock, wait: str) -> None:
    async with FakeCluster() as cluster, asking(cluster) as calls:
        cluster.fault(creates, status=429, headers={"Retry-After": wait}, times=None)
        found, took = await made(clock, calls, within=API_RETRY_TIMEOUT_SECONDS + API_REQUEST_TIMEOUT_SECONDS)
        assert isinstance(found, KubernetesAPIError)
        assert found.refusal.code == "cluster_unavailable"
        assert took <= API_RETRY_TIMEOUT_SECONDS + 4


@pytest.mark.parametrize("seconds", [API_REQUEST_TIMEOUT_SECONDS + 2, 3600])
async def test_what_was_made_although_nobody_heard_of_it_is_taken_for_what_it_is(clock: Clock, seconds: float) -> None:
    async with FakeCluster() as cluster, asking(cluster) as calls:
        cluster.fault(creates, delay_after=seconds)
        found, took = await made(clock, calls, within=API_REQUEST_TIMEOUT_SECONDS + 10)
        (there,) = cluster.objects("pods", "sessions")
        assert found["metadata"]["uid"] == there["metadata"]["uid"]
        assert took > API_REQUEST_TIMEOUT_SECONDS - 1


@pytest.mark.parametrize("labels", [{"renku.io/launch": "another"}, {"renku.io/hub": "two"}])
async def test_a_pod_of_that_name_that_this_run_did_not_make_is_never_taken(
    clock: Clock, labels: dict[str, str]
) -> None:
    """A run before, or another hub."""
    async with FakeCluster() as cluster, asking(cluster) as calls:
        await made(clock, calls, 10, pod(**labels))
        found, _ = await made(clock, calls, within=10)
        assert isinstance(found, KubernetesAPIError)
        assert found.refusal.code == "in_the_way"
        assert len(cluster.objects("pods", "sessions")) == 1


async def asks(pace: CallPacer, count: int) -> list[float]:
    """When so many who ask at once get their turns."""
    turns: list[float] = []

    async def ask() -> None:
        await pace.acquire()
        turns.append(asyncio.get_running_loop().time())

    await asyncio.gather(*(ask() for _ in range(count)))
    return sorted(turns)


@pytest.mark.parametrize("rate", [20, 100])
async def test_in_no_second_are_there_more_calls_than_allowed(rate: int) -> None:
    turns = await asks(CallPacer(rate), 3 * rate)
    most = max(sum(first <= turn < first + 1 for turn in turns) for first in turns)
    assert rate // 2 < most <= rate
    gaps = {round(later - earlier, 2) for earlier, later in pairwise(turns)}
    assert len(gaps) > 2, "no two hubs ask in step"


async def test_a_few_calls_are_made_at_once() -> None:
    turns = await asks(CallPacer(40), 5)
    assert turns[-1] - turns[0] < 0.1
