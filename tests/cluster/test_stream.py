"""A stream of changes that are lost, doubled, swapped, late, or forgotten by the server ends where a list would."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from renku_spawner.spawners.kubernetes import watch
from renku_spawner.spawners.kubernetes.watch import ObjectReflector
from tests.cluster.watching import LABELS, add, api, remove, versions
from tests.fakes.kube import FakeCluster
from tests.fixtures.clock import use

RELIST = 30  # seconds


class Listener:
    """Takes in what a stream tells, and objects to what it must not tell."""

    def __init__(self) -> None:
        self.now: dict[str, str] = {}
        self.told: list[int] = []  # versions of changes since the last list

    def replace(self, items: Any) -> None:
        self.now = {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in items}
        self.told = []

    def apply(self, kind: str, thing: Any) -> None:
        name, version = thing["metadata"]["name"], thing["metadata"]["resourceVersion"]
        assert not self.told or int(version) > self.told[-1], "nothing is told twice, and nothing of the past"
        self.told.append(int(version))
        if kind == "DELETED":
            self.now.pop(name, None)
        else:
            self.now[name] = version


def change(cluster: FakeCluster, number: int) -> None:
    if pod := one(cluster, number):
        cluster.put_status(pod, message=str(number))


def take_away(cluster: FakeCluster, number: int) -> None:
    if pod := one(cluster, number):
        remove(cluster, pod["metadata"]["name"])


def one(cluster: FakeCluster, number: int) -> Any:
    pods = cluster.objects("pods", "sessions")
    return pods[number % len(pods)] if pods else None


def go_away(cluster: FakeCluster, _: int) -> None:
    cluster.fault(status=500, times=2)
    cluster.break_connections()


def line(effect: str) -> Callable[[FakeCluster, int], Any]:
    return lambda cluster, _: cluster.watch_fault(effect, lambda change: change.resource == "pods", seconds=2)


HAPPENS: dict[str, Callable[[FakeCluster, int], Any]] = {
    "add": lambda cluster, number: add(cluster, f"pod-{number}"),
    "change": change,
    "change again": change,
    "remove": take_away,
    "410": lambda cluster, _: cluster.expire_watches(),
    "lost": lambda cluster, _: cluster.break_connections(),
    "away": go_away,
    **{effect: line(effect) for effect in ("drop", "duplicate", "reorder", "late")},
}


async def play(steps: list[tuple[str, bool]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watch, "RELIST_INTERVAL_SECONDS", RELIST)
        patch.setattr(watch, "MAX_BACKOFF_SECONDS", 1)
        clock = use(patch)
        async with FakeCluster() as cluster, api(cluster) as asked:
            it = Listener()
            following = ObjectReflector(
                asked.list_namespaced_pod, selectors={"namespace": "sessions", "label_selector": LABELS},
                replace=it.replace, apply=it.apply, prune=lambda pod: pod, log=logging.getLogger("it"), seconds=10,
            )  # fmt: skip
            task = asyncio.ensure_future(following.run())
            try:
                for number, (step, breathe) in enumerate(steps):
                    HAPPENS[step](cluster, number)
                    if breathe:
                        await clock.passes(1, step=1)
                cluster.faults.clear()
                await clock.passes(RELIST + 30, step=3)
                right = lambda: following.healthy and it.now == versions(cluster)  # noqa: E731
                await clock.until(right, within=30, why=str(steps))
                assert not task.done()
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(HAPPENS)), st.booleans()), min_size=5, max_size=30))
def test_whatever_happens_to_a_watch_it_ends_where_a_list_would(steps: list[tuple[str, bool]]) -> None:
    asyncio.run(play(steps))


@pytest.mark.parametrize("effect", ["duplicate", "reorder", "late"])
def test_what_is_doubled_swapped_or_late_needs_no_second_look(effect: str) -> None:
    """All is right within seconds, long before anything would be listed again by itself."""

    async def one() -> None:
        with pytest.MonkeyPatch.context() as patch:
            clock = use(patch)
            async with FakeCluster() as cluster, api(cluster) as asked:
                it = Listener()
                following = ObjectReflector(
                    asked.list_namespaced_pod, selectors={"namespace": "sessions", "label_selector": LABELS},
                    replace=it.replace, apply=it.apply, prune=lambda pod: pod, log=logging.getLogger("it"),
                )  # fmt: skip
                task = asyncio.ensure_future(following.run())
                await cluster.until(lambda: following.healthy)
                HAPPENS[effect](cluster, 0)
                for number in range(3):
                    add(cluster, f"pod-{number}")
                await clock.until(lambda: it.now == versions(cluster), within=10)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    asyncio.run(one())
