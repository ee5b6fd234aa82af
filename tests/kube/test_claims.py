"""Claims: as large as the configuration asks for, grown and never shrunk; Secrets go with their pod."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from renku_spawner.domain.resources import Requirements
from renku_spawner.kube import clone
from renku_spawner.kube.claims import growth, too_large, work_claim
from renku_spawner.kube.secret import owned, session_secret

from . import made
from .made import RUN, SETTINGS, hub_pod, spec


def claim(size: Any) -> dict[str, Any]:
    return {"spec": {"resources": {"requests": {"storage": size}}}}


def test_the_claim_is_the_one_that_is_written_down(golden: Callable[[str, Any], None]) -> None:
    golden("claim", made.sent(work_claim("claim-ada", spec(), SETTINGS, storage_class="fast")))


def test_without_a_storage_class_it_is_the_clusters_default() -> None:
    assert "storageClassName" not in made.sent(work_claim("claim-ada", spec(), SETTINGS))["spec"]


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
    assert growth(claim(present), spec(needs=Requirements(disk=asked))) == patch


@pytest.mark.parametrize(("present", "asked", "words"), [("20Gi", "10Gi", "20 GiB"), ("10Gi", "20Gi", None)])
def test_a_configuration_that_asks_for_less_than_there_is_is_told(present: str, asked: str, words: str | None) -> None:
    assert too_large(claim(present), asked) == words


@pytest.mark.parametrize("broken", [{}, {"spec": None}, {"spec": {"resources": []}}, claim(None), claim(3)])
def test_a_claim_that_says_no_size_is_left_alone(broken: dict[str, Any]) -> None:
    assert growth(broken, spec()) is None
    assert too_large(broken, "1Gi") is None


def test_the_secret_belongs_to_the_pod_and_the_one_without_owner_is_unchanged() -> None:
    secret = session_secret(hub_pod(), spec(), run=RUN, name="s", settings=SETTINGS)
    answered = {"metadata": {"name": "jupyter-ada", "uid": "u-1"}}
    assert made.sent(owned(secret, answered))["metadata"]["ownerReferences"] == [
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
    assert clone.report(log) == rows
