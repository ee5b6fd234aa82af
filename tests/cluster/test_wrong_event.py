"""Claims and pods go only when this very one was meant; and each condition that sees to this is needed (R38).

The scenarios are played again with one condition of the code taken out: at least one of them must notice.
"""

import importlib
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from renku_spawner.kube import keep, vanish
from renku_spawner.kube.calls import Calls, Denied
from tests.cluster.watching import api, watching
from tests.fakes.kube import FakeCluster

SESSION, RUN = "renku.io/session", "renku.io/launch"
SPECS: dict[str, Any] = {
    "pods": {"containers": [{"name": "notebook", "image": "it"}]},
    "persistentvolumeclaims": {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "none",
    },
}
MINE = {SESSION: "mine", RUN: "run-2", "component": "it"}


def put(cluster: FakeCluster, resource: str, labels: dict[str, str] | None) -> str:
    """An object named `it`; its uid."""
    if cluster.find(resource, "it"):
        cluster.store.remove(resource, cluster.find(resource, "it"))
    spec = SPECS[resource]
    metadata = {"name": "it", "namespace": "sessions"} | ({"labels": labels} if labels else {})
    made = cluster.store.create(resource, {"metadata": metadata, "spec": spec, "status": {"phase": "Pending"}})
    return str(made["metadata"]["uid"])


def replaced_before(cluster: FakeCluster, resource: str) -> None:
    """Another object takes its name after it was looked at and before it is deleted."""

    def swap(request: Any) -> bool:
        if (request.verb, request.resource) == ("delete", resource):
            cluster.faults.clear()
            put(cluster, resource, MINE)
        return False

    cluster.fault(swap)


def there(cluster: FakeCluster, resource: str) -> bool:
    return cluster.find(resource, "it") is not None


# ---- what happens to a claim --------------------------------------------------------------------


async def a_claim_of_its_own_goes(cluster: FakeCluster, calls: Calls, keep: Any, _: Any) -> None:
    put(cluster, "persistentvolumeclaims", MINE)
    assert await keep.discard(calls, "it", "mine")
    assert not there(cluster, "persistentvolumeclaims")


async def a_claim_of_another_session_stays(cluster: FakeCluster, calls: Calls, keep: Any, _: Any) -> None:
    put(cluster, "persistentvolumeclaims", {SESSION: "another"})
    assert not await keep.discard(calls, "it", "mine")
    assert there(cluster, "persistentvolumeclaims")


async def a_claim_that_nobody_labelled_stays(cluster: FakeCluster, calls: Calls, keep: Any, _: Any) -> None:
    put(cluster, "persistentvolumeclaims", None)
    assert not await keep.discard(calls, "it", "mine")
    assert there(cluster, "persistentvolumeclaims")


async def a_claim_that_took_its_name_stays(cluster: FakeCluster, calls: Calls, keep: Any, _: Any) -> None:
    put(cluster, "persistentvolumeclaims", MINE)
    replaced_before(cluster, "persistentvolumeclaims")
    with pytest.raises(Denied):
        await keep.discard(calls, "it", "mine")
    assert there(cluster, "persistentvolumeclaims")


# ---- what happens to a pod ----------------------------------------------------------------------


async def a_pod_of_its_own_goes(cluster: FakeCluster, calls: Calls, _: Any, ours: Any) -> None:
    put(cluster, "pods", MINE)
    await ours.vanish(grace=0)
    assert not there(cluster, "pods")


async def a_pod_of_another_session_stays(cluster: FakeCluster, calls: Calls, _: Any, ours: Any) -> None:
    put(cluster, "pods", MINE | {SESSION: "another"})
    await ours.vanish(grace=0)
    assert there(cluster, "pods")


async def a_pod_of_another_session_is_not_made_room_of(cluster: FakeCluster, calls: Calls, _: Any, ours: Any) -> None:
    put(cluster, "pods", MINE | {SESSION: "another"})
    with pytest.raises(Denied, match="in_the_way"):
        await ours.make_room()
    assert there(cluster, "pods")


async def a_pod_that_took_its_name_stays(cluster: FakeCluster, calls: Calls, _: Any, ours: Any) -> None:
    put(cluster, "pods", MINE)
    replaced_before(cluster, "pods")
    with pytest.raises(Denied):
        await ours.vanish(grace=0)
    assert there(cluster, "pods")


async def a_pod_of_a_later_run_stays(cluster: FakeCluster, calls: Calls, _: Any, ours: Any) -> None:
    put(cluster, "pods", MINE)
    await ours.vanish(grace=0, run="run-1")
    await ours.vanish_at_last(run="run-1")
    assert there(cluster, "pods")
    await ours.vanish_at_last(run="run-2")
    assert not there(cluster, "pods")


Scenario = Callable[[FakeCluster, Calls, Any, Any], Awaitable[None]]
SCENARIOS: list[Scenario] = [
    a_claim_of_its_own_goes,
    a_claim_of_another_session_stays,
    a_claim_that_nobody_labelled_stays,
    a_claim_that_took_its_name_stays,
    a_pod_of_its_own_goes,
    a_pod_of_another_session_stays,
    a_pod_of_another_session_is_not_made_room_of,
    a_pod_that_took_its_name_stays,
    a_pod_of_a_later_run_stays,
]
# A condition of the code, and the code without it.
MUTANTS = {
    "the claim's label": (keep, "if _session(present) != session:", "if False:"),
    "the claim's label, when there is none": (
        keep, "if _session(present) != session:", "if _session(present) not in (session, None):",
    ),
    "the claim's uid": (keep, 'uid=text(dig(present, "metadata", "uid"))', "uid=None"),
    "the pod's label": (vanish, "or labels.get(SESSION) != self.session or", "or"),
    "the pod's label, when there must be room": (
        vanish, "if uid is not None and labels.get(SESSION) != self.session:", "if False:",
    ),
    "the pod's uid": (vanish, "grace=patience, uid=uid)", "grace=patience, uid=None)"),
    "the pod's run": (vanish, "(run and labels.get(RUN) != run)", "False"),
}  # fmt: skip


async def play(scenario: Scenario, with_keep: Any, with_vanish: Any, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("renku_spawner.kube.calls.PATIENCE", 0.3)
    async with FakeCluster() as cluster, api(cluster) as asked, watching(cluster) as watch:
        await cluster.until(lambda: watch.healthy)
        calls = Calls(asked, "sessions", patience=0.3, rate=1000)
        ours = with_vanish.Ours(calls=calls, watch=watch, key="sessions/it", session="mine")
        await scenario(cluster, calls, with_keep, ours)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_only_what_was_meant_goes(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    """R38, R13."""
    await play(scenario, keep, vanish, monkeypatch)


def without(module: ModuleType, condition: str, instead: str) -> ModuleType:
    """The module with one condition taken out."""
    source = Path(str(module.__file__)).read_text()
    assert source.count(condition) == 1, f"{condition} stands in {module.__name__} no more, or twice"
    made = ModuleType(f"{module.__name__}_without")
    made.__package__ = module.__package__
    sys.modules[made.__name__] = made  # dataclasses look their module up
    exec(compile(source.replace(condition, instead), made.__name__, "exec"), made.__dict__)
    return made


@pytest.mark.parametrize("mutant", MUTANTS)
async def test_no_condition_can_be_left_out_unnoticed(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """R38."""
    module, condition, instead = MUTANTS[mutant]
    made = without(module, condition, instead)
    parts = {keep: keep, vanish: vanish, module: made}
    noticed = []
    for scenario in SCENARIOS:
        try:
            await play(scenario, parts[keep], parts[vanish], monkeypatch)
        except (AssertionError, pytest.fail.Exception):
            noticed.append(scenario.__name__)
    del sys.modules[made.__name__]
    assert noticed, f"nobody notices that {mutant} is not looked at"
    assert importlib.import_module(module.__name__) is module
