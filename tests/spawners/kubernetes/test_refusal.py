"""Every recorded refusal of a real API is told for what it is."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renku_spawner.domain.reasons import REASONS_BY_CODE, format_reason
from renku_spawner.spawners.kubernetes.errors import KubernetesRefusal, classify_error_response, format_quota_message

RECORDED = json.loads((Path(__file__).parent / "data" / "refusals.json").read_text())
RULES, RIGHT, QUOTA, BUSY = "rejected_by_policy", "cluster_forbidden", "quota_pool", "cluster_unavailable"
CODES = {
    "400-bad-json": RULES,
    "400-env-number": RULES,
    "400-namespace-mismatch": RULES,
    "400-pvc-quantity": RULES,
    "400-quantity-space": RULES,
    "400-quantity-suffix": RULES,
    "400-unknown-field-strict": RULES,
    "400-wrong-kind": RULES,
    "401-wrong-token-post": RIGHT,
    "403-limitrange-max": RULES,
    "403-limitrange-min": RULES,
    "403-limitrange-pvc-max": RULES,
    "403-limitrange-pvc-min": RULES,
    "403-namespace-terminating": RULES,
    "403-namespace-terminating-pvc": RULES,
    "403-podsecurity-baseline": RULES,
    "403-podsecurity-restricted": RULES,
    "403-priorityclass-missing": RULES,
    "403-pvc-resize-not-allowed": RULES,
    "403-quota-must-specify": QUOTA,
    "403-quota-pods": QUOTA,
    "403-quota-pvc-count": QUOTA,
    "403-quota-pvc-storage": QUOTA,
    "403-quota-several": QUOTA,
    "403-rbac-create-pod": RIGHT,
    "403-rbac-create-pvc": RIGHT,
    "403-rbac-unknown-namespace": RIGHT,
    "403-service-account": RULES,
    "404-eviction": "pod_removed",
    "404-namespace-create-pod": RULES,
    "409-patch-resourceversion": BUSY,
    "409-pod-already-exists": BUSY,
    "409-pod-being-deleted": BUSY,
    "409-pvc-already-exists": BUSY,
    "413-body-too-large": RULES,
    "415-content-type": RULES,
    "422-annotation-too-large": RULES,
    "422-deadline-zero": RULES,
    "422-duplicate-volume": RULES,
    "422-env-name-invalid": RULES,
    "422-gpu-fraction": RULES,
    "422-gpu-request-without-limit": RULES,
    "422-image-leading-space": "image_invalid",
    "422-image-missing": "image_invalid",
    "422-label-key": RULES,
    "422-label-slash": RULES,
    "422-label-too-long": RULES,
    "422-mountpath-duplicate": RULES,
    "422-name-too-long": RULES,
    "422-name-underscore": RULES,
    "422-name-upper-case": RULES,
    "422-negative-cpu": RULES,
    "422-no-containers": RULES,
    "422-pod-immutable-resources": RULES,
    "422-port-out-of-range": RULES,
    "422-pvc-accessmode": RULES,
    "422-pvc-accessmodes-immutable": RULES,
    "422-pvc-name": RULES,
    "422-pvc-no-storage": RULES,
    "422-pvc-shrink": RULES,
    "422-pvc-zero": RULES,
    "422-request-over-limit": RULES,
    "422-resource-name": RULES,
    "422-restartpolicy": RULES,
    "422-several-causes": RULES,
    "422-subpath-dotdot": RULES,
    "422-toleration-operator": RULES,
    "422-volumemount-unknown": RULES,
    "429-eviction-pdb": BUSY,
    "429-too-many-requests-post": BUSY,
    "500-etcd-too-large": RULES,
}
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def recorded(name: str) -> KubernetesRefusal:
    said = RECORDED[name]
    return classify_error_response(said["status"], said["body"], said["headers"], image="quay.io/ada/image")


@pytest.mark.parametrize("name", sorted(RECORDED.keys() | CODES.keys()))
def test_a_recorded_refusal_is_told_for_what_it_is(name: str) -> None:
    found = recorded(name)
    assert found.code == CODES[name]
    assert found.again == (found.code in (RIGHT, BUSY))
    assert "…" not in format_reason(found.code, **found.values)[0] or len(str(found.values["message"])) == 300


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("pods", "quota team-quota, pods: 1 of 1 used, this session needs 1"),
        ("pvc-storage", "quota team-quota, requests.storage: 0 of 2 GiB used, this session needs 5 GiB"),
        (
            "several",
            "quota team-quota, limits.memory: 256 MiB of 1 GiB used, this session needs 2 GiB; pods: 1 of 1 used, "
            "this session needs 1; requests.memory: 64 MiB of 1 GiB used, this session needs 2 GiB",
        ),
        (
            "must-specify",
            "failed quota: team-quota: must specify limits.memory for: notebook; requests.memory for: notebook",
        ),
    ],
)
def test_a_quota_is_named_with_what_is_used_of_it_and_what_is_asked_for(name: str, said: str) -> None:
    assert recorded(f"403-quota-{name}").values == {"message": said}


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (
            "exceeded quota: team, requested: limits.memory=4Gi, used: limits.memory=62Gi, limited: limits.memory=64Gi",
            "quota team, limits.memory: 62 of 64 GiB used, this session needs 4 GiB",
        ),
        (
            "exceeded quota: team, requested: limits.cpu=500m, used: limits.cpu=7600m, limited: limits.cpu=8",
            "quota team, limits.cpu: 7.6 of 8 used, this session needs 0.5",
        ),
        *((odd, odd) for odd in (
            "exceeded quota: team", "exceeded quota: team, requested: pods=many, used: pods=1, limited: pods=1",
            "exceeded quota: team, requested: pods=1, used: pods=1, limited: services=1",
        )),
    ],
)  # fmt: skip
def test_what_a_quota_says_otherwise_stays_as_it_is(message: str, said: str) -> None:
    assert format_quota_message(message) == said


def test_an_object_that_is_not_there_is_told_from_a_namespace_that_is_not() -> None:
    assert recorded("404-eviction").absent
    assert not recorded("404-namespace-create-pod").absent


@pytest.mark.parametrize(
    ("name", "exists", "leaving"),
    [
        ("409-pod-already-exists", True, False),
        ("409-pod-being-deleted", True, True),
        ("409-pvc-already-exists", True, False),
        ("409-patch-resourceversion", False, False),
    ],
)
def test_what_is_in_the_way_is_told_apart(name: str, exists: bool, leaving: bool) -> None:
    assert (recorded(name).exists, recorded(name).leaving) == (exists, leaving)


@pytest.mark.parametrize(
    ("status", "body", "again"),
    [
        (None, None, True), (0, "", True), (500, b"{}", True), (502, "<html>Bad gateway</html>", True), (503, "", True),
        (504, "[]", True), (408, "", True), (500, {"message": "etcdserver: request is too large"}, False),
        (400, b"\xff", False), (404, "404 page not found\n", False),
    ],
)  # fmt: skip
def test_trouble_of_the_server_itself_is_worth_another_try(status: Any, body: Any, again: bool) -> None:
    found = classify_error_response(status, body)
    assert (found.again, found.code) == (again, BUSY if again else RULES)


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("1", 1), ("0", 0), ("86400", 30), ("-5", None), ("soon", None), ("", None), ("9" * 400, None), ("nan", None),
        ("Tue, 24 Nov 2026 12:00:07 GMT", 7), ("Tue, 24 Nov 2026 11:00:00 GMT", None), (None, None),
    ],
)  # fmt: skip
def test_the_server_says_how_long_to_wait_within_reason(header: str | None, wait: float | None) -> None:
    headers = {} if header is None else {"Retry-After": header}
    assert classify_error_response(429, "Too many requests", headers, now=NOW).wait == wait


def test_the_body_may_say_how_long_to_wait_too() -> None:
    assert classify_error_response(504, {"details": {"retryAfterSeconds": 2}}).wait == 2


KEYS = st.sampled_from(["message", "reason", "details", "causes", "field", "retryAfterSeconds"])
LEAVES = st.none() | st.booleans() | st.integers() | st.text()
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=8)


@given(st.none() | st.integers(0, 599), st.text() | st.binary() | st.none() | JSON.map(json.dumps), st.text())
def test_no_answer_is_too_odd_to_be_told(status: Any, body: Any, header: str) -> None:
    found = classify_error_response(status, body, {"Retry-After": header})
    assert found.code in REASONS_BY_CODE
    assert found.wait is None or 0 <= found.wait <= 30
