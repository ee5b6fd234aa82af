"""The watch through every trouble of the API server; long ones are let pass by a clock of the test's own."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from kubespawner import KubeSpawner

from renku_spawner.spawners.kubernetes import watch as watch_module
from renku_spawner.spawners.kubernetes.spawner import RenkuSpawner
from renku_spawner.spawners.kubernetes.watch import MAX_EVENTS_PER_POD, _get_backoff_seconds
from tests.cluster.watching import LABELS, PODS, add, fill, remove, seen, versions, watching
from tests.fakes import kube_watch
from tests.fakes.kube import FakeCluster
from tests.fakes.spawning import forget_reflectors, spawner, use
from tests.fixtures.clock import Clock

AFTER = 10  # seconds within which all is right again
ANSWERS = {"500": {"status": 500}, "429": {"status": 429, "headers": {"Retry-After": "60"}}, "hang": {"hang": True}}


@asynccontextmanager
async def trouble(cluster: FakeCluster, kind: str) -> AsyncIterator[None]:
    """The API server answers badly, not at all, or is not there."""
    if kind == "refused":
        async with cluster.outage():
            yield
        return
    cluster.fault(times=None, **ANSWERS[kind])
    cluster.break_connections()
    yield
    cluster.faults.clear()


@pytest.mark.parametrize("kind", ["refused", *ANSWERS])
@pytest.mark.parametrize("seconds", [1, 30, 80, 600])
async def test_however_long_the_api_is_away_all_is_right_within_ten_seconds_after_it(
    clock: Clock, kind: str, seconds: int
) -> None:
    async with FakeCluster() as cluster, watching(cluster) as watch:
        fill(cluster)
        await cluster.until(lambda: watch.healthy and seen(watch) == versions(cluster))
        tries = len(cluster.requests)
        async with trouble(cluster, kind):
            await clock.passes(seconds)
            await cluster.until(lambda: not watch.healthy)
            remove(cluster, "pod-0")
            add(cluster, "pod-new")
        tries = len(cluster.requests) - tries
        clock.breath = 0.05  # seconds; what is asked in a step is answered in it, also on a busy machine
        await clock.until(lambda: watch.healthy and seen(watch) == versions(cluster), within=AFTER)
    if kind != "refused":  # what is refused, nobody can count
        assert 2 * seconds // 15 <= tries <= 20 + seconds, "it never gives up, and does not hammer either"


async def test_somebody_who_waits_makes_it_ask_again_at_once_but_not_without_end(clock: Clock) -> None:
    async with FakeCluster() as cluster, watching(cluster) as watch:
        fill(cluster)
        await cluster.until(lambda: watch.healthy)
        cluster.fault(times=None, status=500)
        cluster.break_connections()
        await clock.passes(60)
        clock.breath = 0.05  # seconds; what is asked in a step is answered in it, also on a busy machine
        tries = len(cluster.requests)
        for _ in range(8):
            watch.retry_now()
            await clock.passes(0.5)
        assert 4 <= len(cluster.requests) - tries <= 2 * (8 * 0.5 + 1), "each of pods and events once a second"
        cluster.faults.clear()

        def right() -> bool:
            watch.retry_now()
            return watch.healthy and seen(watch) == versions(cluster)

        await clock.until(right, within=2.5, why="the next try by itself would be 3 to 6 s after the last one")


async def test_pods_that_are_listed_slowly_are_waited_for_and_a_cluster_that_is_away_is_told(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three seconds without any answer, for all who wait at once."""
    monkeypatch.setattr(watch_module, "LIST_PAGE_SIZE", 1)
    async with FakeCluster() as cluster:
        fill(cluster)
        cluster.fault(lambda request: (request.verb, request.resource) == ("list", "pods"), times=None, delay=1)
        clock.breath = 0.02  # seconds; what is asked in a step is answered in it, also on a busy machine
        async with watching(cluster) as watch:
            slow = [asyncio.ensure_future(watch.sight.wait_until_synced()) for _ in range(3)]
            assert await clock.until(lambda: watch.is_synced, within=2 * AFTER) > len(PODS) - 1
            assert await asyncio.gather(*slow) == [True] * 3
            async with trouble(cluster, "hang"):
                await clock.until(lambda: not watch.is_synced, within=60)
                away = [asyncio.ensure_future(watch.sight.wait_until_synced()) for _ in range(3)]
                back = asyncio.ensure_future(watch.sight.wait_indefinitely())
                assert await clock.until(lambda: all(waits.done() for waits in away), within=5) > 2
                assert await asyncio.gather(*away) == [False] * 3
                assert not back.done()
            await clock.until(back.done, within=AFTER)


async def test_tries_are_at_most_fifteen_seconds_apart_and_never_the_same_for_two_hubs() -> None:
    loop = asyncio.get_running_loop()
    for failures in (1, 5, 50):
        delays = {_get_backoff_seconds(failures, loop.time()) for _ in range(20)}
        assert max(delays) <= 15
        assert len(delays) > 10
    assert _get_backoff_seconds(50, loop.time() - 60) < 1, "a try that took a minute has been a wait already"


async def test_a_watch_that_falls_silent_is_noticed_within_a_minute(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that is half open, of which nothing ever comes, not even its end."""

    async def silence(watch: kube_watch.Watch) -> AsyncIterator[None]:
        await asyncio.Event().wait()
        yield

    async with FakeCluster() as cluster, watching(cluster) as watch:
        fill(cluster)
        await cluster.until(lambda: watch.healthy and seen(watch) == versions(cluster))
        monkeypatch.setattr(kube_watch.Watch, "lines", silence)
        cluster.break_connections()
        before = cluster.counts()["watch pods"]
        await clock.until(lambda: cluster.counts()["watch pods"] > before, within=5)
        remove(cluster, "pod-0")
        await clock.passes(1)
        assert seen(watch) != versions(cluster)
        await clock.until(lambda: seen(watch) == versions(cluster), within=60)


async def test_a_watch_that_sends_bookmarks_only_is_no_silent_one(clock: Clock) -> None:
    async with FakeCluster() as cluster, watching(cluster) as watch:
        fill(cluster)
        await cluster.until(lambda: watch.healthy and len(watch.events) == len(PODS))
        lists = cluster.counts()["list pods"]
        clock.breath = 0.02  # seconds; a bookmark that is sent in a step arrives in it, also on a busy machine
        await clock.passes(300, step=1)
        assert cluster.counts()["list pods"] == lists
        assert watch.seconds_since_response < 60


async def test_a_server_that_knows_no_version_at_all_is_not_asked_without_end(clock: Clock) -> None:
    async with FakeCluster() as cluster, watching(cluster) as watch:
        fill(cluster)
        await cluster.until(lambda: watch.healthy)
        cluster.fault(lambda request: request.resource == "pods", status=410, times=None)
        cluster.break_connections()
        before = len(cluster.requests)
        await clock.passes(60)
        assert len(cluster.requests) - before < 60
        cluster.faults.clear()
        add(cluster, "pod-new")
        await clock.until(lambda: seen(watch) == versions(cluster), within=AFTER)


async def test_a_change_that_the_server_has_kept_to_itself_is_learnt_in_the_end(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "RELIST_INTERVAL_SECONDS", 100)
    async with FakeCluster() as cluster, watching(cluster) as watch:
        fill(cluster)
        await cluster.until(lambda: watch.healthy and seen(watch) == versions(cluster))
        cluster.watch_fault("drop", lambda change: change.resource == "pods")
        remove(cluster, "pod-0")
        await clock.until(lambda: seen(watch) == versions(cluster), within=100 + 60)


def of_a_loop_that_has_ended(cluster: FakeCluster) -> object:
    async def made() -> object:
        async with watching(cluster) as watch:
            return watch

    return asyncio.run(made())


async def test_what_a_list_says_of_an_earlier_pod_of_that_name_hides_nothing_of_the_present_one() -> None:
    async with FakeCluster() as cluster:
        add(cluster, "pod-again")
        (event,) = cluster.objects("events", "sessions")
        for number in range(2 * MAX_EVENTS_PER_POD):
            before = {"lastTimestamp": f"2020-01-01T00:00:{number % 60:02}Z", "firstTimestamp": None, "message": "old"}
            about = event["involvedObject"] | {"uid": "of the one before"}
            metadata = {"name": f"pod-again.z{number}", "namespace": "sessions"}
            cluster.store.create("events", event | before | {"involvedObject": about, "metadata": metadata})
        async with watching(cluster) as watch:
            await cluster.until(lambda: watch.healthy and watch.events)
            assert [each["message"] for each in watch.list_pod_events("sessions/pod-again")] == ["Started it"]


async def test_a_watch_whose_loop_has_ended_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    KubeSpawner.reflectors.clear()
    async with FakeCluster() as cluster:
        use(cluster, monkeypatch)
        mine: Callable[[], RenkuSpawner] = lambda: spawner(kind=RenkuSpawner)  # noqa: E731
        key = mine()._get_reflector_key("pods")
        old = await asyncio.to_thread(of_a_loop_that_has_ended, cluster)
        KubeSpawner.reflectors[key] = old
        new = await mine()._start_watching_pods()
        assert new is not old
        assert await mine()._start_watching_pods() is new
        await cluster.until(lambda: new.healthy)
        assert LABELS not in str(KubeSpawner.reflectors)
        await forget_reflectors()
