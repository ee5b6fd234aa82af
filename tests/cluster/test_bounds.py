"""Names that never meet, and memory that never grows, however many there are."""

import asyncio
import importlib
import inspect
import logging
import pkgutil
import random
import re
import tracemalloc
from collections.abc import Iterator
from functools import _lru_cache_wrapper
from typing import Any

import pytest

import renku_spawner
from renku_spawner.domain.ids import create_id
from renku_spawner.spawners.kubernetes.spawner import RenkuSpawner
from renku_spawner.spawners.kubernetes.watch import MAX_EVENTS_PER_POD, MAX_UNKNOWN_PODS, PodInformer
from tests.fakes.kube import FakeCluster
from tests.fakes.spawning import spawner, use

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")  # RFC 1123
ALPHABETS = ["abz", "aAbB", "äßüñ", "ab-._", "😀🚀👩‍🔬", "\u202eא\u200f", "名字ñ", "a@b."]
MILLION = 1_000_000


def names(count: int) -> Iterator[str]:
    """Names of people: short, of 255 characters, of any script, and some that look alike."""
    draw = random.Random(37)
    for _ in range(count):
        yield "".join(draw.choices(draw.choice(ALPHABETS), k=draw.choice([1, 3, 8, 30, 255])))


async def test_no_two_pods_share_a_name_whoever_and_whatever_they_are_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """No two of 20,000 names are the same, which are 200 million pairs, and the id of the session is in each
    at the end, but for a hash: pods of other sessions cannot meet at all."""
    async with FakeCluster() as cluster:
        use(cluster, monkeypatch)
        it = spawner(kind=RenkuSpawner, pod_name_template="jupyter-{user_server}")
        people, sessions = sorted(set(names(3000)))[:2000], [create_id() for _ in range(500)]

        def name(person: str, session: str) -> str:
            it.user.name, it.user.escaped_name, it.orm_spawner.name = person, person, session
            made = str(it._expand_user_properties(it.pod_name_template))
            assert re.search(rf"--{session}(---[0-9a-f]{{8}})?$", made), made  # no id has a hyphen
            assert len(made) <= 63
            assert LABEL.fullmatch(made), made
            return made

        made = {name(person, session) for person in people for session in sessions[:10]}
        assert len(made) == 10 * len(people) > 10_000
        for session in sessions:
            name(random.choice(people), session)
        secret = f"{name(people[0], sessions[0])}-{create_id()}"
        assert len(secret) <= 63
        assert LABEL.fullmatch(f"work-{create_id()}")


class Nobody:
    """An API that never answers."""

    async def list_namespaced_pod(self, **_: Any) -> None:
        await asyncio.Event().wait()

    list_namespaced_event = list_namespaced_pod


POD = {"metadata": {"name": "", "namespace": "sessions", "uid": "u"}, "spec": {}, "status": {}}


def live(it: PodInformer, number: int) -> None:
    """Something happens to a pod, which goes; most are not ours."""
    name = f"pod-{number}"
    about = {"namespace": "sessions", "name": name, "uid": str(number)}
    it._apply_event("ADDED", {"metadata": {"name": name}, "involvedObject": about})
    if number % 10 == 0:
        pod = POD | {"metadata": POD["metadata"] | {"name": name}}
        it._apply_pod("ADDED", pod)
        it._apply_pod("DELETED", pod)


def grown(it: PodInformer, numbers: range) -> int:
    """Bytes more after the lives of so many pods."""
    tracemalloc.start()
    for number in numbers:
        live(it, number)
    now, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return now


async def test_what_happens_to_a_million_pods_is_forgotten_again() -> None:
    it = PodInformer(Nobody(), namespace="sessions", labels="component=it", log=logging.getLogger("it"))
    grown(it, range(1000))
    assert grown(it, range(1000, 20_000)) < 1_000_000, "bytes"
    for number in range(20_000, MILLION):
        live(it, number)
    assert it.pods == {}
    assert len(it._events) <= len(it._strangers) <= MAX_UNKNOWN_PODS
    for _ in range(1000):
        live(it, 7)
    assert len(it.list_pod_events("sessions/pod-7")) <= MAX_EVENTS_PER_POD
    await it.stop()


def test_every_cache_of_the_package_has_a_bound() -> None:
    for found in pkgutil.walk_packages(renku_spawner.__path__, "renku_spawner."):
        if "migrations" in found.name or found.name.endswith("__main__"):
            continue
        module = importlib.import_module(found.name)
        for name, thing in vars(module).items():
            if isinstance(thing, _lru_cache_wrapper) and inspect.signature(thing).parameters:
                assert thing.cache_parameters()["maxsize"], f"{found.name}.{name} keeps everything"
