"""Claims: as large as the configuration asks for, grown and never shrunk; Secrets go with their pod."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from renku_spawner.domain.resource_classes import ResourceRequirements
from renku_spawner.spawners.kubernetes.clone import parse_clone_log
from renku_spawner.spawners.kubernetes.secrets import build_session_secret, copy_with_owner_pod
from renku_spawner.spawners.kubernetes.volumes import build_pvc_growth_patch, build_work_pvc, get_oversized_pvc_size

from . import made
from .made import RUN, SETTINGS, hub_pod, spec


def claim(size: Any) -> dict[str, Any]:
    return {"spec": {"resources": {"requests": {"storage": size}}}}


def test_the_claim_is_the_one_that_is_written_down(golden: Callable[[str, Any], None]) -> None:
    golden("claim", made.sent(build_work_pvc("claim-ada", spec(), SETTINGS, storage_class="fast")))


def test_without_a_storage_class_it_is_the_clusters_default() -> None:
    assert "storageClassName" not in made.sent(build_work_pvc("claim-ada", spec(), SETTINGS))["spec"]


@pytest.mark.parametrize(
    ("present", "asked", "patch"),
    [
        ("10Gi", "20Gi", claim("20Gi")),
        ("10Gi", "10Gi", None),
        ("10240Mi", "10Gi", None),
        ("20Gi", "10Gi", None),
        ("10G", "10Gi", claim("10Gi")),
    ],
)
def test_a_claim_grows_and_never_shrinks(present: str, asked: str, patch: dict[str, Any] | None) -> None:
    assert build_pvc_growth_patch(claim(present), spec(needs=ResourceRequirements(disk=asked))) == patch


@pytest.mark.parametrize(("present", "asked", "words"), [("20Gi", "10Gi", "20 GiB"), ("10Gi", "20Gi", None)])
def test_a_configuration_that_asks_for_less_than_there_is_is_told(present: str, asked: str, words: str | None) -> None:
    assert get_oversized_pvc_size(claim(present), asked) == words


@pytest.mark.parametrize("broken", [{}, {"spec": None}, {"spec": {"resources": []}}, claim(None), claim(3)])
def test_a_claim_that_says_no_size_is_left_alone(broken: dict[str, Any]) -> None:
    assert build_pvc_growth_patch(broken, spec()) is None
    assert get_oversized_pvc_size(broken, "1Gi") is None


def test_the_secret_belongs_to_the_pod_and_the_one_without_owner_is_unchanged() -> None:
    secret = build_session_secret(hub_pod(), spec(), run=RUN, name="s", settings=SETTINGS)
    answered = {"metadata": {"name": "jupyter-ada", "uid": "u-1"}}
    assert made.sent(copy_with_owner_pod(secret, answered))["metadata"]["ownerReferences"] == [
        {"apiVersion": "v1", "kind": "Pod", "name": "jupyter-ada", "uid": "u-1"}
    ]
    assert secret.metadata.owner_references is None


ROWS = [{"directory": "code", "outcome": "cloned"}]


@pytest.mark.parametrize(
    ("log", "rows"),
    [
        (f"Cloning…\n{json.dumps(ROWS)}\n", ROWS),
        (f"{json.dumps(ROWS)}\n[broken", ROWS),
        ("[1, 2]\n", []),
        ("usage: clone", []),
        ("", []),
    ],
)
def test_the_report_is_the_last_line_of_the_log_that_is_one(log: str, rows: list[dict[str, Any]]) -> None:
    assert parse_clone_log(log) == rows
