"""Every code of the closed table that a cluster decides has something of a cluster from which it is read."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from renku_spawner.domain.instances import Instance, ObservedState
from renku_spawner.domain.reasons import REASONS_BY_CODE
from renku_spawner.spawners.errors import build_start_timeout_failure
from renku_spawner.spawners.kubernetes.diagnosis import (
    FailureAssessment,
    PodExpectations,
    assess_failure,
    read_pod_status,
    refine_failure_with_log,
)
from renku_spawner.spawners.kubernetes.errors import classify_error_response

from .stages import STAGES
from .test_status import ASKED, NOON, ended, event, failure, last, pod, waits

REFUSALS = json.loads((Path(__file__).parent / "data" / "refusals.json").read_text())


def told(found: Any, *events: Any) -> str:
    return failure(read_pod_status(found, events, ASKED))[0]


def recorded(name: str) -> str:
    """What a recorded life came to: the last failure that is told before the pod goes."""
    codes = [word.partition("@")[0] for step in STAGES[name] for word in step.split() if "@" in word]
    return [code for code in codes if code != "pod_removed" or set(codes) == {"pod_removed"}][-1]


def refused(name: str) -> str:
    case = REFUSALS[name]
    return classify_error_response(case["status"], case["body"], case["headers"]).code


def logged(exit_code: int, log: str) -> str:
    found = read_pod_status(ended(exit_code, restartCount=2), [], ASKED).failure
    assert found is not None
    return refine_failure_with_log(found, log, ASKED).code


def noticed(found: Any, *events: Any) -> str:
    return read_pod_status(found, events, ASKED).notices[0].code


def pulling_too_long() -> str:
    at = Instance(id="i", session="s", username="ada", project="p", environment="e", observed=ObservedState.PULLING)
    return build_start_timeout_failure(at, limit=3600, image="quay.io/ada/image:1").reason


def healing(found: Any, *events: Any, **about: Any) -> str:
    """Return the words of progress that the first look at it has."""
    seen = read_pod_status(found, events, PodExpectations(**{**vars(ASKED), **about}))
    notice = assess_failure(seen.failure, FailureAssessment(), 0).notice
    assert notice is not None
    return notice.code


def unplaced(message: str, **status: Any) -> Any:
    said = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return pod(spec={"nodeName": None}, conditions=[said], **status)


def stuck() -> str:
    """Asked to end at noon, and still there a minute later."""
    asked = PodExpectations(image="quay.io/ada/image:1", now=NOON + timedelta(minutes=1))
    return read_pod_status(pod(metadata={"deletionTimestamp": "2026-11-24T12:00:00Z"}), [], asked).notices[0].code


STARTING = waits("ContainerCreating")
# Code, and how it is read: a recorded life, an answer of the API, or an object as Kubernetes documents it.
READ: dict[str, Callable[[], str]] = {
    # while launching
    "cluster_unavailable": lambda: refused("429-too-many-requests-post"),
    "quota_pool": lambda: refused("403-quota-pods"),
    "rejected_by_policy": lambda: refused("403-podsecurity-restricted"),
    "cluster_forbidden": lambda: refused("403-rbac-create-pod"),
    "unschedulable_gpu": lambda: recorded("unschedulable-gpu"),
    "unschedulable_resources": lambda: recorded("unschedulable-cpu"),
    "unschedulable_other": lambda: recorded("unschedulable-node-selector"),
    "preempted": lambda: recorded("preempted"),
    "image_invalid": lambda: recorded("image-invalid-name"),
    "image_not_found": lambda: recorded("image-missing-tag"),
    "image_denied": lambda: recorded("image-auth-none"),
    "image_platform_mismatch": lambda: recorded("image-wrong-platform-index"),
    "image_root": lambda: recorded("nonroot-image-root"),
    "image_pull_failed": lambda: told(waits("ImagePullBackOff", "unexpected EOF")),
    "image_pull_timeout": pulling_too_long,
    "registry_unreachable": lambda: recorded("image-registry-refused"),
    "image_never_pull": lambda: recorded("image-never-pull"),
    "image_rejected": lambda: told(waits("SignatureValidationFailed", "no signature")),
    "volume_lost": lambda: recorded("pvc-unknown-claim"),
    "volume_pending": lambda: recorded("pvc-unknown-storage-class"),
    "volume_attach": lambda: told(STARTING, event("FailedAttachVolume", "Multi-Attach error for volume")),
    "volume_mount": lambda: told(STARTING, event("FailedMount", "MountVolume.SetUp failed: exit status 32")),
    "volume_resize": lambda: noticed(STARTING, event("VolumeResizeFailed", "no room in the pool")),
    "config_error": lambda: recorded("secret-missing-key"),
    "sandbox_failed": lambda: told(STARTING, event("FailedCreatePodSandBox", "no network")),
    "setup_broken": lambda: recorded("init-fails-never"),
    "create_error": lambda: told(waits("CreateContainerError", "context deadline exceeded")),
    "command_not_found": lambda: recorded("start-command-not-found"),
    "command_not_executable": lambda: told(ended(126)),
    "no_jupyter": lambda: told(waits("RunContainerError", 'exec: "jupyterhub-singleuser": not found in $PATH')),
    "crash_oom": lambda: recorded("oomkilled"),
    "crash_disk_full": lambda: logged(1, "OSError: [Errno 28] No space left on device"),
    "ephemeral_storage_full": lambda: recorded("evicted-ephemeral-storage"),
    "crash_permission": lambda: logged(1, "PermissionError: [Errno 13] Permission denied: '/work/x'"),
    "crash_exit": lambda: recorded("exit-1-onfailure"),
    "hub_unreachable": lambda: logged(1, "Failed to connect to my Hub at http://hub:8081/hub/api (attempt 5/5). Is it"),
    "crash_killed": lambda: told(ended(137)),
    "exited_clean": lambda: recorded("exit-0-onfailure"),
    # while running
    "evicted": lambda: told(pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory.")),
    "node_drained": lambda: recorded("evicted-by-api"),
    "node_lost": lambda: recorded("node-lost-taint-eviction"),
    "node_shutdown": lambda: told(pod(phase="Failed", reason="Terminated", message="Pod was terminated")),
    "deadline_exceeded": lambda: recorded("active-deadline"),
    "pod_removed": lambda: recorded("delete-graceful-term"),
    "server_exited": lambda: failure(last("exit-0-onfailure", was_ready=True))[0],
    "lost": lambda: told(ended(137, "ContainerStatusUnknown")),
    # beside
    "pulling": lambda: noticed(STARTING, event("Pulling", involvedObject={"fieldPath": "spec.containers{notebook}"})),
    "scaling_up": lambda: noticed(pod(spec={"nodeName": None}), event("TriggeredScaleUp")),
    "node_joining": lambda: healing(unplaced("1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }")),
    "making_room": lambda: healing(unplaced("1 Insufficient cpu", nominatedNodeName="n1")),
    "setting_up": lambda: healing(STARTING, event("FailedCreatePodSandBox", "no network")),
    "pull_again": lambda: healing(waits("ErrImagePull", "dial tcp: i/o timeout"), event("Pulling")),
    "disk_creating": lambda: healing(unplaced("pod has unbound immediate PersistentVolumeClaims")),
    "disk_mounting": lambda: healing(
        STARTING, event("FailedMount", "no relationship found between node 'n1' and this")
    ),
    "disk_attaching": lambda: healing(STARTING, event("FailedAttachVolume", "Multi-Attach error for volume")),
    "storage_mounting": lambda: healing(
        STARTING,
        event("FailedMount", "claim-of-data: timed out waiting for the condition"),
        storages={"claim-of-data": "data"},
    ),
    "restarted_crash": lambda: last("liveness-failing").notices[0].code,
    "restarts_soon": lambda: last("exit-1-onfailure", was_ready=True).notices[0].code,
    "restarted_oom": lambda: noticed(
        pod(
            {"state": {"running": {}}, "restartCount": 1, "lastState": {"terminated": {"reason": "OOMKilled"}}},
            phase="Running",
        )
    ),
    "node_silent": lambda: last("node-lost").notices[0].code,
    "stuck_terminating": stuck,
}
# Decided by others, each with tests of its own: our record, the program's answers, clone script, gate, registry.
ELSEWHERE = {
    "port_not_open", "base_url_wrong", "app_error", "auth_loop", "start_timeout", "start_error", "cancelled",
    "in_the_way", "clone_failed", "clone_auth", "clone_ref", "clone_disk_full", "clone_in_the_way",
    "started_by", "stopped_by_user", "stopped_for_node", "stopped_for_all",
    "stopped_by_admin", "deleting", "access_revoked", "stopped_by_hub", "deleted_by_user",
    "image_digest_gone", "registry_not_allowed", "image_unverified",
    "delete_soon", "download_busy", "download_failed", "download_nothing", "download_off", "download_running",
    "download_waits", "download_yours", "in_trash", "keep_awake_off", "not_running",
    "culled_age", "culled_idle", "deleted_expired", "data_mount_failed",
    "storages_left_out", "storage_not_here", "storage_slow", "storage_unprotected", "variables_left_out",
}  # fmt: skip


@pytest.mark.parametrize("code", sorted(READ))
def test_each_code_of_a_cluster_is_read_from_what_a_cluster_says(code: str) -> None:
    assert code in REASONS_BY_CODE
    assert READ[code]() == code


def after_the_start(codes: list[str]) -> set[str]:
    """The codes of the table from "while launching" on; before it stand refusals of our own gate."""
    return set(codes[codes.index("command_not_found") :])


def test_no_code_of_the_table_is_without_its_source() -> None:
    assert after_the_start(list(REASONS_BY_CODE)) - ELSEWHERE - READ.keys() == set()


@pytest.mark.parametrize("name", sorted(STAGES))
def test_a_recorded_life_comes_to_one_code_or_runs(name: str) -> None:
    codes = {word.partition("@")[0] for step in STAGES[name] for word in step.split() if "@" in word}
    assert codes <= REASONS_BY_CODE.keys()
    waited = {"volume_lost", "volume_pending"} if any("waiting+" in step for step in STAGES[name]) else set()
    assert len(codes - waited - {"pod_removed"}) <= 1


# What reliability.md asks for at least: the kubelet's word, and what it is told as.
WORDS = {
    "ErrImagePull": (waits("ErrImagePull", "unexpected EOF"), "image_pull_failed"),
    "ImagePullBackOff": (waits("ImagePullBackOff", "unexpected EOF"), "image_pull_failed"),
    "InvalidImageName": (waits("InvalidImageName"), "image_invalid"),
    "ErrImageNeverPull": (waits("ErrImageNeverPull"), "image_never_pull"),
    "RegistryUnavailable": (waits("RegistryUnavailable", "dial tcp: i/o timeout"), "registry_unreachable"),
    "CreateContainerConfigError": (waits("CreateContainerConfigError", 'secret "x" not found'), "config_error"),
    "CreateContainerError": (waits("CreateContainerError", "name is reserved"), "create_error"),
    "RunContainerError": (waits("RunContainerError", "cannot start"), "create_error"),
    "CrashLoopBackOff": (
        pod({"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"exitCode": 1}}}),
        "crash_exit",
    ),
    "OOMKilled": (ended(137, "OOMKilled"), "crash_oom"),
    "Evicted": (pod(phase="Failed", reason="Evicted", message="low on resource: memory"), "evicted"),
    "NodeLost": (pod(phase="Failed", reason="NodeLost"), "node_lost"),
    "DeadlineExceeded": (pod(phase="Failed", reason="DeadlineExceeded"), "deadline_exceeded"),
    "Preempted": (pod(phase="Failed", reason="Preempting"), "preempted"),
    "NodeShutdown": (pod(phase="Failed", reason="NodeShutdown"), "node_shutdown"),
    "exit 0": (ended(0, "Completed"), "exited_clean"),
    "exit 1": (ended(1), "crash_exit"),
    "exit 126": (ended(126), "command_not_executable"),
    "exit 127": (ended(127), "command_not_found"),
    "exit 137": (ended(137), "crash_killed"),
    "exit 139": (ended(139), "crash_exit"),
    "exit 143": (ended(143), "crash_exit"),
}


@pytest.mark.parametrize("word", sorted(WORDS))
def test_each_word_of_a_kubelet_has_its_code(word: str) -> None:
    found, code = WORDS[word]
    assert told(found) == code


def test_a_pod_that_is_gone_is_told_as_it_was_last_seen() -> None:
    condition = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "drained"}
    evicted = pod(metadata={"deletionTimestamp": "2026-11-24T12:00:00Z"}, phase="Running", conditions=[condition])
    assert failure(read_pod_status(None, [], ASKED, last=evicted)) == ("node_drained", 0)
    assert failure(read_pod_status(None, [], ASKED, last=pod(phase="Running"))) == ("pod_removed", 0)
    assert failure(read_pod_status(None, [event("Preempted")], ASKED, last=pod(phase="Running"))) == ("preempted", 0)
