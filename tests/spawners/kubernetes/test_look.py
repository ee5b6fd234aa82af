"""The pod that looks for unsaved work: what it may, where it runs, and whose it is."""

from collections.abc import Callable
from typing import Any

import pytest

from renku_spawner.domain.environments import RunConfiguration
from renku_spawner.spawners.in_pod import build_program_command
from renku_spawner.spawners.kubernetes.helper_pods import PodPlacement, read_pod_placement
from renku_spawner.spawners.kubernetes.pvc_reader import (
    PVCAccess,
    apply_pod_user,
    build_inspection_pod,
    is_pvc_readable,
)
from tests.fakes import kube_defaults, kube_validation

from . import made, pss
from .test_probe import SESSION

CLAIM = {
    "metadata": {
        "name": "work-claimaaaaaaa", "uid": "0e9d5b0c-0000-4000-8000-000000000002",
        "labels": {"renku.io/session": "sessionaaaaa"},
    },
    "status": {"phase": "Bound"},
}  # fmt: skip
USUAL = RunConfiguration()
AT_REST = PodPlacement(selector={"pool": "users"}, tolerations=[{"key": "user"}], pull_secrets=[{"name": "pull"}])


def pod(place: PodPlacement = AT_REST, run: RunConfiguration = USUAL) -> dict[str, Any]:
    access = PVCAccess(claim=CLAIM, run=run, place=place)
    return made.sent(build_inspection_pod("renku-look-claimaaaaaaa-lookaaaaaaaa", access, made.SETTINGS))


@pytest.mark.parametrize(("name", "place"), [("look", AT_REST), ("look-beside", read_pod_placement(SESSION))])
def test_the_pod_is_the_one_that_is_written_down(
    name: str, place: PodPlacement, golden: Callable[[str, Any], None]
) -> None:
    found = pod(place)
    command = found["spec"]["containers"][0]["command"]
    assert [made.expanded(word, {}) for word in command] == list(build_program_command("contents.py", "/work"))
    found["spec"]["containers"][0]["command"] = [
        word if len(word) < 20 else "\N{HORIZONTAL ELLIPSIS}" for word in command
    ]
    golden(name, found)


def test_it_keeps_to_the_standard_restricted_and_the_api_server_has_nothing_against_it() -> None:
    assert pss.offences(pod(run=RunConfiguration(uid=0))) == []
    found = kube_defaults.apply("pods", pod(), "")
    kube_validation.check("pods", "Pod", found)
    assert kube_validation.warnings("pods", found) == []


def test_it_gets_the_files_to_read_and_nothing_else_of_the_session() -> None:
    (container,) = pod()["spec"]["containers"]
    assert [mount["readOnly"] for mount in container["volumeMounts"]] == [True]
    assert not {"env", "envFrom"} & container.keys()
    assert "serviceAccountName" not in pod()["spec"]


def test_the_watch_of_sessions_does_not_take_it_for_one() -> None:
    assert not {"component", "renku.io/session", "renku.io/launch"} & pod()["metadata"]["labels"].keys()


@pytest.mark.parametrize("run", [USUAL, RunConfiguration(uid=1234, gid=0)])
def test_it_has_the_user_and_the_group_that_the_session_has_whoever_gave_them(run: RunConfiguration) -> None:
    session = {"spec": {"securityContext": {"runAsUser": 4321, "fsGroup": 4444}}}
    context = pod(run=apply_pod_user(session, run))["spec"]["securityContext"]
    assert (context["runAsUser"], context["fsGroup"]) == (4321, 4444)
    assert apply_pod_user({"spec": {}}, run) == run


@pytest.mark.parametrize(
    ("change", "readable"),
    [
        ({}, True),
        ({"status": {"phase": "Pending"}}, False),
        ({"metadata": CLAIM["metadata"] | {"deletionTimestamp": "2026-11-24T09:00:00Z"}}, False),
        ({"metadata": {"labels": {"renku.io/session": "another"}}}, False),
        ({"metadata": {}}, False),
    ],
)
def test_a_claim_that_is_not_the_sessions_or_holds_nothing_is_left_alone(
    change: dict[str, Any], readable: bool
) -> None:
    assert is_pvc_readable(CLAIM | change, "sessionaaaaa") is readable
