"""Claims and pods go only when this very one was meant; and each condition that sees to this is needed.

The scenarios are played again with one condition of the code taken out: at least one of them must notice.
"""

import importlib
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from renku_spawner.integrations.net.rate_limiter import CallPacer
from renku_spawner.spawners.kubernetes import deletion, volumes
from renku_spawner.spawners.kubernetes.api import KubernetesAPI, KubernetesAPIError
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


async def a_claim_of_its_own_goes(cluster: FakeCluster, calls: KubernetesAPI, keep: Any, _: Any) -> None:
    put(cluster, "persistentvolumeclaims", MINE)
    assert await keep.delete_session_pvc(calls, "it", "mine")
    assert not there(cluster, "persistentvolumeclaims")


async def a_claim_of_another_session_stays(cluster: FakeCluster, calls: KubernetesAPI, keep: Any, _: Any) -> None:
    put(cluster, "persistentvolumeclaims", {SESSION: "another"})
    assert not await keep.delete_session_pvc(calls, "it", "mine")
    assert there(cluster, "persistentvolumeclaims")


async def a_claim_that_nobody_labelled_stays(cluster: FakeCluster, calls: KubernetesAPI, keep: Any, _: Any) -> None:
    put(cluster, "persistentvolumeclaims", None)
    assert not await keep.delete_session_pvc(calls, "it", "mine")
    assert there(cluster, "persistentvolumeclaims")


async def a_claim_that_took_its_name_stays(cluster: FakeCluster, calls: KubernetesAPI, keep: Any, _: Any) -> None:
    put(cluster, "persistentvolumeclaims", MINE)
    replaced_before(cluster, "persistentvolumeclaims")
    with pytest.raises(KubernetesAPIError):
        await keep.delete_session_pvc(calls, "it", "mine")
    assert there(cluster, "persistentvolumeclaims")


# ---- what happens to a pod ----------------------------------------------------------------------


async def a_pod_of_its_own_goes(cluster: FakeCluster, calls: KubernetesAPI, _: Any, ours: Any) -> None:
    put(cluster, "pods", MINE)
    await ours.delete_and_wait(grace=0)
    assert not there(cluster, "pods")


async def a_pod_of_another_session_stays(cluster: FakeCluster, calls: KubernetesAPI, _: Any, ours: Any) -> None:
    put(cluster, "pods", MINE | {SESSION: "another"})
    await ours.delete_and_wait(grace=0)
    assert there(cluster, "pods")


async def a_pod_of_another_session_is_not_made_room_of(
    cluster: FakeCluster, calls: KubernetesAPI, _: Any, ours: Any
) -> None:
    put(cluster, "pods", MINE | {SESSION: "another"})
    with pytest.raises(KubernetesAPIError, match="in_the_way"):
        await ours.delete_previous()
    assert there(cluster, "pods")


async def a_pod_that_took_its_name_stays(cluster: FakeCluster, calls: KubernetesAPI, _: Any, ours: Any) -> None:
    put(cluster, "pods", MINE)
    replaced_before(cluster, "pods")
    with pytest.raises(KubernetesAPIError):
        await ours.delete_and_wait(grace=0)
    assert there(cluster, "pods")


async def a_pod_of_a_later_run_stays(cluster: FakeCluster, calls: KubernetesAPI, _: Any, ours: Any) -> None:
    put(cluster, "pods", MINE)
    await ours.delete_and_wait(grace=0, run="run-1")
    await ours.delete_eventually(run="run-1")
    assert there(cluster, "pods")
    await ours.delete_eventually(run="run-2")
    assert not there(cluster, "pods")


Scenario = Callable[[FakeCluster, KubernetesAPI, Any, Any], Awaitable[None]]
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
    "the claim's label": (volumes, "if _get_pvc_session(present) != session:", "if False:"),
    "the claim's label, when there is none": (
        volumes, "if _get_pvc_session(present) != session:", "if _get_pvc_session(present) not in (session, None):",
    ),
    "the claim's uid": (volumes, 'uid=to_text(get_nested(present, "metadata", "uid"))', "uid=None"),
    "the pod's label": (deletion, "or labels.get(SESSION_LABEL) != self.session or", "or"),
    "the pod's label, when there must be room": (
        deletion, "if uid is not None and labels.get(SESSION_LABEL) != self.session:", "if False:",
    ),
    "the pod's uid": (deletion, "grace=patience, uid=uid)", "grace=patience, uid=None)"),
    "the pod's run": (deletion, "(run and labels.get(LAUNCH_LABEL) != run)", "False"),
}  # fmt: skip


async def play(scenario: Scenario, with_keep: Any, with_vanish: Any, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("renku_spawner.spawners.kubernetes.api.API_RETRY_TIMEOUT_SECONDS", 0.3)
    async with FakeCluster() as cluster, api(cluster) as asked, watching(cluster) as watch:
        await cluster.until(lambda: watch.healthy)
        calls = KubernetesAPI(asked, "sessions", patience=0.3, pace=CallPacer(1000))
        ours = with_vanish.SessionPod(calls=calls, watch=watch, key="sessions/it", session="mine")
        await scenario(cluster, calls, with_keep, ours)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_only_what_was_meant_goes(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    await play(scenario, volumes, deletion, monkeypatch)


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
    module, condition, instead = MUTANTS[mutant]
    made = without(module, condition, instead)
    parts = {volumes: volumes, deletion: deletion, module: made}
    noticed = []
    for scenario in SCENARIOS:
        try:
            await play(scenario, parts[volumes], parts[deletion], monkeypatch)
        except (AssertionError, pytest.fail.Exception):
            noticed.append(scenario.__name__)
    del sys.modules[made.__name__]
    assert noticed, f"nobody notices that {mutant} is not looked at"
    assert importlib.import_module(module.__name__) is module
