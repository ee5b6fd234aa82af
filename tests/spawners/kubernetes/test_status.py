"""A pod and its events are told as what they are: every recorded life, every reason, and anything broken."""

import copy
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renku_spawner.domain.environments import RunConfiguration
from renku_spawner.domain.instances import ObservedState
from renku_spawner.domain.reasons import REASONS_BY_CODE, format_reason
from renku_spawner.spawners.kubernetes.diagnosis import (
    FailureAssessment,
    PodExpectations,
    PodFailure,
    PodStatus,
    assess_failure,
    build_pod_expectations,
    read_pod_status,
    refine_failure_with_log,
)

from . import made
from .stages import STAGES

RECORDED = json.loads((Path(__file__).parent / "data" / "pods.json").read_text())
STEPS = [
    (step["pod"], [case["events"][number] for number in step["events"]])
    for case in RECORDED.values()
    for step in case["steps"]
]
ASKED = PodExpectations(image="quay.io/ada/image:1", limit="2 GiB", program="start-me")
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def shown(seen: PodStatus) -> str:
    parts = [f"{seen.stage}{'+' if seen.running else ''}"]
    if failure := seen.failure:
        parts.append(f"{failure.code}@{'later' if failure.after is None else format(failure.after, 'g')}")
        parts += [f"~{failure.progress}:{failure.quiet:g}"] if failure.progress else []
    return " ".join([*parts, *(f"!{notice.code}" for notice in seen.notices)])


@pytest.mark.parametrize("name", sorted(RECORDED.keys() | STAGES.keys()))
def test_every_recorded_life_is_told_step_by_step(name: str) -> None:
    case = RECORDED[name]
    steps = [
        shown(read_pod_status(step["pod"], [case["events"][number] for number in step["events"]], ASKED))
        for step in case["steps"]
    ]
    assert [step for number, step in enumerate(steps) if number == 0 or step != steps[number - 1]] == STAGES[name]


def last(name: str, **about: Any) -> PodStatus:
    case = RECORDED[name]
    return read_pod_status(case["steps"][-1]["pod"], case["events"], PodExpectations(**{**vars(ASKED), **about}))


def failure(seen: PodStatus) -> tuple[str, float | None]:
    assert seen.failure is not None
    return seen.failure.code, seen.failure.after


@pytest.mark.parametrize("step", STEPS, ids=lambda _: "")
@pytest.mark.parametrize("was_ready", [False, True])
def test_all_that_is_told_has_words(step: tuple[Any, Any], was_ready: bool) -> None:
    seen = read_pod_status(*step, PodExpectations(**{**vars(ASKED), "was_ready": was_ready}))
    for told in [*seen.notices, *([seen.failure] if seen.failure else [])]:
        assert told.code in REASONS_BY_CODE
        assert "…" not in format_reason(told.code, **told.values)[0] or len(str(told.values["message"])) == 300


# ---- single reasons that no recording has ----------------------------------------------------------------


def pod(state: dict[str, Any] | None = None, *, spec: Any = None, metadata: Any = None, **status: Any) -> Any:
    """A pod with one container, placed on a machine."""
    containers = {} if state is None else {"containerStatuses": [{"name": "notebook", "restartCount": 0, **state}]}
    return {
        "metadata": metadata or {},
        "spec": {"nodeName": "n", **(spec or {})},
        "status": {"phase": "Pending", **containers, **status},
    }


def waits(reason: str, message: str = "") -> Any:
    return pod({"state": {"waiting": {"reason": reason, "message": message}}})


def ended(exit_code: int, reason: str = "Error", message: str = "", **more: Any) -> Any:
    terminated = {"exitCode": exit_code, "reason": reason, "message": message}
    return pod({"state": {"terminated": terminated}, **more}, phase="Running")


@pytest.mark.parametrize(
    ("found", "code", "after"),
    [
        (waits("SignatureValidationFailed", "no signature"), "image_rejected", 0),
        (waits("ImageInspectError"), "image_rejected", 0),
        (waits("RegistryUnavailable"), "image_pull_failed", 60),
        (waits("CreateContainerError", "context deadline exceeded"), "create_error", None),
        (waits("RunContainerError", 'exec: "x": permission denied'), "command_not_executable", 0),
        (
            waits("RunContainerError", 'exec: "jupyterhub-singleuser": executable file not found in $PATH'),
            "no_jupyter",
            0,
        ),
        (waits("RunContainerError", "exec /bin/sh: exec format error"), "image_platform_mismatch", 0),
        (waits("SomethingNew", "nobody knows"), "create_error", 600),
        (waits("CrashLoopBackOff"), "create_error", 600),
        (ended(126), "command_not_executable", 0),
        (ended(127), "command_not_found", 0),
        (ended(137), "crash_killed", None),
        (ended(139), "crash_exit", None),
        (ended(143), "crash_exit", None),
        (ended(137, "OOMKilled"), "crash_oom", None),
        (ended(137, "OOMKilled", restartCount=2), "crash_oom", 0),
        (ended(1, restartCount=1), "crash_exit", None),
        (ended(1, message="cp: No space left on device", restartCount=2), "crash_disk_full", 0),
        (ended(1, message="exec format error"), "image_platform_mismatch", 0),
        (ended(137, "ContainerStatusUnknown"), "lost", None),
        (ended(128, "ContainerCannotRun", "stat x: no such file or directory"), "command_not_found", 0),
        (pod(phase="Failed", reason="NodeLost"), "node_lost", 0),
        (pod(phase="Unknown"), "node_lost", 0),
        (pod(phase="Failed", reason="Terminated", message="Pod was terminated"), "node_shutdown", 0),
        (pod(phase="Failed", reason="NodeShutdown"), "node_shutdown", 0),
        (pod(phase="Failed", reason="Preempting"), "preempted", 0),
        (pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory."), "evicted", 0),
        (pod(phase="Failed", reason="OutOfcpu"), "unschedulable_resources", 0),
        (pod(phase="Failed", reason="SomethingNew"), "create_error", 0),
    ],
)
def test_each_reason_of_a_kubelet_is_one_of_ours(found: Any, code: str, after: float | None) -> None:
    assert failure(read_pod_status(found, [], ASKED)) == (code, after)


@pytest.mark.parametrize("found", [waits("SomethingNew"), pod(phase="Failed", reason="SomethingNew")])
def test_a_reason_that_nobody_knows_is_shown_as_it_is(found: Any) -> None:
    told = read_pod_status(found, [], ASKED).failure
    assert told is not None
    assert "SomethingNew" in format_reason(told.code, **told.values)[0]


def event(reason: str, message: str = "m", **more: Any) -> dict[str, Any]:
    return {"reason": reason, "message": message, **more}


@pytest.mark.parametrize(
    ("events", "code", "after"),
    [
        ([event("ProvisioningFailed", 'storageclass "x" not found')], "volume_pending", 600),
        ([event("FailedBinding")], "volume_pending", 600),
        ([event("FailedAttachVolume", "Multi-Attach error for volume")], "volume_attach", 600),
        ([event("FailedMount", "MountVolume.SetUp failed: exit status 32")], "volume_mount", 600),
        ([event("FailedMount", 'secret "renku-x" not found')], "config_error", 10),
    ],
)
def test_a_disk_that_does_not_come_is_told_by_events(events: Any, code: str, after: float) -> None:
    assert failure(read_pod_status(waits("ContainerCreating"), events, ASKED)) == (code, after)
    running = pod({"state": {"running": {}}, "ready": True}, phase="Running", podIP="10.0.0.1")
    assert read_pod_status(running, events, ASKED).failure is None


@pytest.mark.parametrize(
    ("events", "code"),
    [
        ([], "pod_removed"),
        ([event("Preempted")], "preempted"),
        ([event("TaintManagerEviction")], "node_lost"),
        ([event("Evicted", "The node was low on resource: memory.")], "evicted"),
        ([event("Evicted", "Pod ephemeral local storage usage exceeds the total limit")], "ephemeral_storage_full"),
    ],
)
def test_what_happened_while_nobody_looked_is_read_from_events(events: Any, code: str) -> None:
    seen = read_pod_status(None, events, ASKED)
    assert (seen.stage, seen.running, failure(seen)) == (ObservedState.ABSENT, False, (code, 0))


@pytest.mark.parametrize(
    ("message", "limit"),
    [
        ("Pod ephemeral local storage usage exceeds the total limit of containers 10Gi. ", "10 GiB"),
        ('Container notebook exceeded its local ephemeral storage limit "10Gi". ', "10 GiB"),
        ('Usage of EmptyDir volume "renku-shm" exceeds the limit "1Gi". ', "1 GiB"),
        ("Pod ephemeral local storage usage exceeds", "its share"),
    ],
)
def test_a_session_that_filled_its_nodes_disk_reads_how_much_it_may_write(message: str, limit: str) -> None:
    told = read_pod_status(pod(phase="Failed", reason="Evicted", message=message), [], ASKED).failure
    assert told is not None
    text, advice = format_reason(told.code, **told.values)
    assert text == f"The session wrote more than {limit} outside of its working directory."
    assert "keep large files, packages and caches in /work" in advice


@pytest.mark.parametrize(
    ("found", "events"),
    [
        (waits("CreateContainerConfigError", 'secret "renku-x" not found'), []),
        (waits("PodInitializing"), [event("FailedMount", 'secret "renku-x" not found')]),
    ],
)
def test_an_object_of_ours_that_is_still_made_is_no_failure(found: Any, events: list[Any]) -> None:
    ours = PodExpectations(**{**vars(ASKED), "ours": frozenset({"renku-x"})})
    making = PodExpectations(**{**vars(ours), "making": frozenset({"renku-x"})})
    assert read_pod_status(found, events, making).failure is None
    assert failure(read_pod_status(found, events, ours)) == ("config_error", 30)


def test_a_step_before_the_session_that_lacks_its_secret_is_no_broken_step() -> None:
    state = {"name": "clone", "state": {"waiting": {"reason": "CreateContainerConfigError", "message": "no key"}}}
    found = pod({"state": {"waiting": {"reason": "PodInitializing"}}}, initContainerStatuses=[state])
    assert failure(read_pod_status(found, [], ASKED)) == ("config_error", 3)


def test_a_session_that_was_restarted_for_memory_runs_and_says_so() -> None:
    state = {
        "state": {"running": {}}, "ready": True, "restartCount": 1,
        "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
    }  # fmt: skip
    seen = read_pod_status(
        pod(state, phase="Running", podIP="10.0.0.1"), [], PodExpectations(**{**vars(ASKED), "was_ready": True})
    )
    assert (seen.stage, seen.running, seen.failure, seen.restarts) == (ObservedState.WAITING, True, None, 1)
    (notice,) = seen.notices
    assert format_reason(notice.code, **notice.values)[0] == "Restarted: out of memory, limit 2 GiB."


def test_a_session_that_worked_fails_only_in_a_loop() -> None:
    ready = PodExpectations(**{**vars(ASKED), "was_ready": True})
    often = {"restartCount": 9, "lastState": {"terminated": {"exitCode": 1}}}
    loop = pod({"state": {"waiting": {"reason": "CrashLoopBackOff"}}, **often}, phase="Running")
    assert failure(read_pod_status(loop, [], ready)) == ("crash_exit", 0)
    assert failure(read_pod_status(ended(1, restartCount=9), [], ready)) == ("crash_exit", None)
    assert failure(read_pod_status(ended(0), [], ready)) == ("server_exited", 0)


def test_the_log_tells_more_than_the_exit_code() -> None:
    """A full disk among others."""
    found = read_pod_status(ended(1, restartCount=2), [], ASKED).failure
    assert found is not None
    assert refine_failure_with_log(found, "OSError: No space left on device", ASKED).code == "crash_disk_full"
    assert refine_failure_with_log(found, "PermissionError: Permission denied", ASKED).code == "crash_permission"
    assert refine_failure_with_log(found, "", ASKED) == found
    other = PodFailure(code="evicted")
    assert refine_failure_with_log(other, "No space left on device", ASKED) is other


@pytest.mark.parametrize(
    ("found", "events", "notice"),
    [
        (pod(spec={"nodeName": None}), [event("TriggeredScaleUp")], "scaling_up"),
        (
            pod(
                {"state": {"running": {}}, "ready": True}, phase="Running",
                conditions=[{"type": "Ready", "status": "False"}],
            ),
            [], "node_silent",
        ),
        (pod(metadata={"deletionTimestamp": "2026-11-24T11:59:29Z"}), [], "stuck_terminating"),
    ],
)  # fmt: skip
def test_what_changes_no_status_is_told_beside(found: Any, events: Any, notice: str) -> None:
    seen = read_pod_status(found, events, PodExpectations(**{**vars(ASKED), "now": NOON}))
    assert [told.code for told in seen.notices] == [notice]


def test_stopping_in_time_is_not_told_as_slow() -> None:
    found = pod(metadata={"deletionTimestamp": "2026-11-24T11:59:31Z"})
    assert read_pod_status(found, [], PodExpectations(**{**vars(ASKED), "now": NOON})).notices == ()


def test_a_download_is_told_with_its_image_and_when_it_began() -> None:
    pulling = event(
        "Pulling", lastTimestamp="2026-11-24T11:59:00Z", involvedObject={"fieldPath": "spec.containers{notebook}"}
    )
    seen = read_pod_status(waits("ContainerCreating"), [pulling], ASKED)
    assert seen.stage is ObservedState.PULLING
    (notice,) = seen.notices
    assert notice.values == {"image": ASKED.image, "since": NOON - timedelta(minutes=1)}
    pulled = event("Pulled", 'Successfully pulled image "x"', involvedObject={"fieldPath": "spec.containers{notebook}"})
    assert read_pod_status(waits("ContainerCreating"), [pulling, pulled], ASKED).stage is ObservedState.STARTING


def test_the_download_of_another_container_is_not_the_sessions() -> None:
    of_clone = event("Pulling", involvedObject={"fieldPath": "spec.initContainers{clone}"})
    assert read_pod_status(waits("PodInitializing"), [of_clone], ASKED).stage is ObservedState.STARTING


def test_words_about_a_session_come_from_its_specification() -> None:
    assert build_pod_expectations(made.spec(run=RunConfiguration(command=("rstudio", "x")))).program == "rstudio"
    about = build_pod_expectations(made.spec(), was_ready=True)
    assert (about.image, about.limit, about.gpu, about.was_ready) == (
        made.spec().image,
        "4 GiB",
        "nvidia.com/gpu",
        True,
    )


# ---- anything broken ----------------------------------------------------------------------------------------


def spots(found: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    return [spot for key, value in inner for spot in [(*path, key), *spots(value, (*path, key))]]


ODD = st.sampled_from([None, "", "x", 0, -1, [], {}, [None], [1], {"a": None}, True])


@given(st.sampled_from(STEPS), st.data())
def test_nothing_that_is_missing_or_odd_ever_raises(step: Any, data: st.DataObject) -> None:
    broken = copy.deepcopy(list(step))
    for _ in range(data.draw(st.integers(1, 6))):
        spot = data.draw(st.sampled_from(spots(broken) or [(0,)]))
        parent = broken
        for key in spot[:-1]:
            parent = parent[key]
        if isinstance(parent, dict) and data.draw(st.booleans()):
            del parent[spot[-1]]
        else:
            parent[spot[-1]] = copy.deepcopy(data.draw(ODD))
    events = broken[1] if isinstance(broken[1], list) else []
    seen = read_pod_status(broken[0], events, PodExpectations(**{**vars(ASKED), "now": NOON}))
    assert seen.failure is None or seen.failure.code in REASONS_BY_CODE


# ---- when it is final ---------------------------------------------------------------------------------------


def test_a_failure_is_final_once_it_has_lasted() -> None:
    found = PodFailure(code="config_error", after=3)
    first = assess_failure(found, FailureAssessment(), 10)
    assert (first.final, first.since) == (False, 10)
    assert not assess_failure(found, first, 12.9).final
    assert assess_failure(found, first, 13).final


def test_a_failure_that_goes_or_changes_begins_anew() -> None:
    found = PodFailure(code="config_error", after=3)
    first = assess_failure(found, FailureAssessment(), 10)
    assert assess_failure(None, first, 12) == FailureAssessment(since=12)
    assert not assess_failure(found, assess_failure(None, first, 12), 14).final
    assert not assess_failure(PodFailure(code="image_root", after=3), first, 14).final


def test_what_cannot_heal_is_final_at_once_and_what_is_seen_later_never_by_lasting() -> None:
    assert assess_failure(PodFailure(code="image_invalid"), FailureAssessment(), 0).final
    waiting = assess_failure(PodFailure(code="crash_exit", after=None), FailureAssessment(), 0)
    assert not assess_failure(PodFailure(code="crash_exit", after=None), waiting, 10_000).final


def test_recorded_verdicts_are_final_when_they_should() -> None:
    assert failure(last("image-invalid-name")) == ("image_invalid", 0)
    assert failure(last("oomkilled", was_ready=True)) == ("crash_oom", None)
    assert failure(last("exit-1-onfailure", was_ready=True)) == ("crash_exit", 0)


def test_a_pod_that_is_over_is_not_expected_to_start_its_container_again() -> None:
    steps = [copy.deepcopy(step["pod"]) for step in RECORDED["oomkilled"]["steps"]]
    pod = next(
        pod for pod in steps if "terminated" in pod["status"].get("containerStatuses", [{"state": {}}])[0]["state"]
    )
    about = PodExpectations(**{**vars(ASKED), "was_ready": True})
    assert failure(read_pod_status(pod, [], about)) == ("crash_oom", None)
    pod["status"]["phase"] = "Failed"
    assert failure(read_pod_status(pod, [], about)) == ("crash_oom", 0)


@pytest.mark.parametrize(("began", "final"), [("before", False), ("after", True)])
@pytest.mark.parametrize("was_ready", [True, False])
def test_a_program_that_began_while_there_was_no_hub_is_tried_again_before_it_has_failed(
    began: str, final: bool, was_ready: bool
) -> None:
    since = datetime(2026, 12, 1, 10, 0, tzinfo=UTC)
    started = since + timedelta(seconds=-60 if began == "before" else 60)
    end = {"terminated": {"exitCode": 1, "reason": "Error", "startedAt": started.isoformat()}}
    waits = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": end, "restartCount": 3}
    crashing = {
        "metadata": {"name": "x", "uid": "u"},
        "spec": {"nodeName": "n", "restartPolicy": "OnFailure"},
        "status": {"phase": "Running", "podIP": "10.1.1.1", "containerStatuses": [{"name": "notebook", **waits}]},
    }
    seen = read_pod_status(crashing, [], replace(ASKED, was_ready=was_ready, hub_since=since))
    assert seen.failure is not None
    assert assess_failure(seen.failure, FailureAssessment(), 0.0).final is final
    assert [notice.code for notice in seen.notices] == (["restarts_soon"] if was_ready else [])
