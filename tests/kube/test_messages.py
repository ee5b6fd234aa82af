"""Each row of the table of cluster messages: how it is found, and how it is told as time passes."""

from typing import Any

import pytest

from renku_spawner.domain.reasons import REASONS, words
from renku_spawner.kube import messages
from renku_spawner.kube.asked import Asked
from renku_spawner.kube.messages import TABLE, Message
from renku_spawner.kube.status import read
from renku_spawner.kube.verdict import Verdict, judge

from .test_status import event, pod, waits

ASKED = Asked(image="quay.io/ada/image:1", ours=frozenset({"renku-x"}), storages={"claim-of-data": "data"})
PLACED = waits("ContainerCreating")


def unplaced(message: str, **status: Any) -> Any:
    said = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return pod(spec={"nodeName": None}, conditions=[said], **status)


def seen(row: Message, message: str = "") -> tuple[Any, list[Any]]:
    """Return a pod and its events in which that message stands."""
    message = message or row.example
    if row.source == messages.SCHEDULER:
        return unplaced(message), [event("FailedScheduling", message)]
    if row.source == messages.NOMINATED:
        return unplaced("0/1 nodes are available: 1 Insufficient cpu.", nominatedNodeName=message), []
    if row.source == "TriggeredScaleUp":
        return unplaced("0/1 nodes are available: 1 Insufficient cpu."), [event("TriggeredScaleUp", message)]
    if row.source in (messages.PULL, messages.CONFIGURATION):
        return waits(row.source, message), [event("Pulling"), event("Failed", f"Failed to pull image: {message}")]
    return PLACED, [event(row.source, message)]


def named(row: Message) -> str:
    return f"{row.source}: {row.example}"


@pytest.mark.parametrize("row", TABLE, ids=named)
def test_a_row_is_found_by_its_example_and_told_as_it_says(row: Message) -> None:
    assert messages.find(row.source, row.example, ASKED) is row
    failure = read(*seen(row), ASKED).failure
    assert failure is not None
    assert failure.code == row.code
    first = judge(failure, Verdict(), 1000)
    assert first.notice is not None
    assert first.notice.code == (row.progress or row.code)
    assert (first.final, first.notice.code in REASONS, row.code in REASONS) == (False, True, True)
    if row.progress:
        assert "admin" not in " ".join(words(first.notice.code, **first.notice.values))
        still = judge(failure, first, 1000 + row.waited - 0.1)
        assert (still.notice, still.final) == (first.notice, False)
        late = judge(failure, first, 1000 + row.waited)
        assert late.notice is failure
    end = judge(failure, first, 1000 + (row.final or 100_000))
    assert end.final is (row.final is not None)


@pytest.mark.parametrize("row", TABLE, ids=named)
def test_only_what_heals_is_waited_for_in_words_of_progress(row: Message) -> None:
    assert bool(row.progress) == (row.waited > 0)
    assert row.heals or not row.progress
    assert row.final is None or row.waited <= row.final


@pytest.mark.parametrize(
    "row", [row for row in TABLE if row.source in ("FailedMount", "FailedAttachVolume") and not row.ours], ids=named
)
def test_a_message_about_a_storage_is_about_that_storage(row: Message) -> None:
    failure = read(*seen(row, f"{row.example} for claim-of-data"), ASKED).failure
    assert failure is not None
    assert (failure.code, failure.values["storages"], failure.after) == ("data_mount_failed", "data", 60)
    assert failure.progress == ("storage_mounting" if row.progress else "")


def test_a_provisioner_that_failed_is_evidence_until_it_has_succeeded() -> None:
    waiting = unplaced("pod has unbound immediate PersistentVolumeClaims")
    claim = {"involvedObject": {"name": "work-x"}}
    failed = event("ProvisioningFailed", 'storageclass.storage.k8s.io "x" not found', **claim)
    found = read(waiting, [failed], ASKED).failure
    assert found is not None
    assert (found.code, found.progress, "storageclass" in found.values["message"]) == ("volume_pending", "", True)
    made = event("ProvisioningSucceeded", "Successfully provisioned volume", **claim)
    found = read(waiting, [failed, made], ASKED).failure
    assert found is not None
    assert found.progress == "disk_creating"


def test_a_mount_that_failed_once_is_no_failure_of_the_download_that_follows_it() -> None:
    """Events stay for an hour, and a large image may take longer than a mount may."""
    failed = event("FailedMount", "MountVolume.SetUp failed: exit status 32")
    pulling = event("Pulling", involvedObject={"fieldPath": "spec.containers{notebook}"})
    assert read(PLACED, [failed], ASKED).failure is not None
    assert read(PLACED, [failed, pulling], ASKED).failure is None


def test_an_autoscaler_that_gives_up_is_no_reason_to_wait() -> None:
    waiting = unplaced("0/1 nodes are available: 1 Insufficient cpu.")
    at = {"lastTimestamp": "2026-11-24T12:00:00Z"}
    later = {"lastTimestamp": "2026-11-24T12:00:09Z"}
    adds, gives_up = event("TriggeredScaleUp", **at), event("NotTriggerScaleUp", **later)
    for events, code in (([adds], "scaling_up"), ([adds, gives_up], "unschedulable_resources")):
        found = read(waiting, events, ASKED)
        notice = judge(found.failure, Verdict(), 0).notice
        assert notice is not None
        assert notice.code == code
