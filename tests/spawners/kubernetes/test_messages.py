"""Each row of the table of cluster messages: how it is found, and how it is told as time passes."""

from typing import Any

import pytest

from renku_spawner.domain.reasons import REASONS_BY_CODE, format_reason
from renku_spawner.spawners.kubernetes.diagnosis import (
    CLUSTER_MESSAGE_RULES,
    CONTAINER_CONFIG_SOURCE,
    IMAGE_PULL_SOURCE,
    NOMINATED_NODE_SOURCE,
    SCHEDULER_SOURCE,
    ClusterMessageRule,
    FailureAssessment,
    PodExpectations,
    assess_failure,
    find_message_rule,
    read_pod_status,
)

from .test_status import event, pod, waits

ASKED = PodExpectations(image="quay.io/ada/image:1", ours=frozenset({"renku-x"}), storages={"claim-of-data": "data"})
PLACED = waits("ContainerCreating")


def unplaced(message: str, **status: Any) -> Any:
    said = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return pod(spec={"nodeName": None}, conditions=[said], **status)


def seen(row: ClusterMessageRule, message: str = "") -> tuple[Any, list[Any]]:
    """Return a pod and its events in which that message stands."""
    message = message or row.example
    if row.source == SCHEDULER_SOURCE:
        return unplaced(message), [event("FailedScheduling", message)]
    if row.source == NOMINATED_NODE_SOURCE:
        return unplaced("0/1 nodes are available: 1 Insufficient cpu.", nominatedNodeName=message), []
    if row.source == "TriggeredScaleUp":
        return unplaced("0/1 nodes are available: 1 Insufficient cpu."), [event("TriggeredScaleUp", message)]
    if row.source in (IMAGE_PULL_SOURCE, CONTAINER_CONFIG_SOURCE):
        return waits(row.source, message), [event("Pulling"), event("Failed", f"Failed to pull image: {message}")]
    return PLACED, [event(row.source, message)]


def named(row: ClusterMessageRule) -> str:
    return f"{row.source}: {row.example}"


@pytest.mark.parametrize("row", CLUSTER_MESSAGE_RULES, ids=named)
def test_a_row_is_found_by_its_example_and_told_as_it_says(row: ClusterMessageRule) -> None:
    assert find_message_rule(row.source, row.example, ASKED) is row
    failure = read_pod_status(*seen(row), ASKED).failure
    assert failure is not None
    assert failure.code == row.code
    first = assess_failure(failure, FailureAssessment(), 1000)
    assert first.notice is not None
    assert first.notice.code == (row.progress or row.code)
    assert (first.final, first.notice.code in REASONS_BY_CODE, row.code in REASONS_BY_CODE) == (False, True, True)
    if row.progress:
        assert "admin" not in " ".join(format_reason(first.notice.code, **first.notice.values))
        still = assess_failure(failure, first, 1000 + row.waited - 0.1)
        assert (still.notice, still.final) == (first.notice, False)
        late = assess_failure(failure, first, 1000 + row.waited)
        assert late.notice is failure
    end = assess_failure(failure, first, 1000 + (row.final or 100_000))
    assert end.final is (row.final is not None)


@pytest.mark.parametrize("row", CLUSTER_MESSAGE_RULES, ids=named)
def test_only_what_heals_is_waited_for_in_words_of_progress(row: ClusterMessageRule) -> None:
    assert bool(row.progress) == (row.waited > 0)
    assert row.heals or not row.progress
    assert row.final is None or row.waited <= row.final


@pytest.mark.parametrize(
    "row",
    [row for row in CLUSTER_MESSAGE_RULES if row.source in ("FailedMount", "FailedAttachVolume") and not row.ours],
    ids=named,
)
def test_a_message_about_a_storage_is_about_that_storage(row: ClusterMessageRule) -> None:
    failure = read_pod_status(*seen(row, f"{row.example} for claim-of-data"), ASKED).failure
    assert failure is not None
    assert (failure.code, failure.values["storages"], failure.after) == ("data_mount_failed", "data", 60)
    assert failure.progress == ("storage_mounting" if row.progress else "")


def test_a_provisioner_that_failed_is_evidence_until_it_has_succeeded() -> None:
    waiting = unplaced("pod has unbound immediate PersistentVolumeClaims")
    claim = {"involvedObject": {"name": "work-x"}}
    failed = event("ProvisioningFailed", 'storageclass.storage.k8s.io "x" not found', **claim)
    found = read_pod_status(waiting, [failed], ASKED).failure
    assert found is not None
    assert (found.code, found.progress, "storageclass" in found.values["message"]) == ("volume_pending", "", True)
    made = event("ProvisioningSucceeded", "Successfully provisioned volume", **claim)
    found = read_pod_status(waiting, [failed, made], ASKED).failure
    assert found is not None
    assert found.progress == "disk_creating"


def test_a_mount_that_failed_once_is_no_failure_of_the_download_that_follows_it() -> None:
    """Events stay for an hour, and a large image may take longer than a mount may."""
    failed = event("FailedMount", "MountVolume.SetUp failed: exit status 32")
    pulling = event("Pulling", involvedObject={"fieldPath": "spec.containers{notebook}"})
    assert read_pod_status(PLACED, [failed], ASKED).failure is not None
    assert read_pod_status(PLACED, [failed, pulling], ASKED).failure is None


@pytest.mark.parametrize(("gives_up", "code"), [(False, "scaling_up"), (True, "unschedulable_resources")])
def test_an_autoscaler_that_gives_up_is_no_reason_to_wait(gives_up: bool, code: str) -> None:
    waiting = unplaced("0/1 nodes are available: 1 Insufficient cpu.")
    at = {"lastTimestamp": "2026-11-24T12:00:00Z"}
    later = {"lastTimestamp": "2026-11-24T12:00:09Z"}
    events = [event("TriggeredScaleUp", **at), *([event("NotTriggerScaleUp", **later)] if gives_up else [])]
    found = read_pod_status(waiting, events, ASKED)
    notice = assess_failure(found.failure, FailureAssessment(), 0).notice
    assert notice is not None
    assert notice.code == code
