"""What ends a running session is told within ten seconds."""

import asyncio

from renku_spawner.context.app_context import write_transaction
from renku_spawner.domain.instances import InstanceStatus
from renku_spawner.domain.sessions import SessionChange, SessionConfiguration
from renku_spawner.lifecycle.runs import request_stop
from tests.cluster.lives import meets
from tests.fixtures.fair import Stopwatch
from tests.fixtures.renku import until

PROMPTLY = 10  # seconds
MANY = {"Renku": {"one_active_per_environment": False}}
# What the recorded pod met while it ran: the reason that its owner reads.
ENDS = {
    "evicted-by-api": "node_drained",
    "evicted-ephemeral-storage": "ephemeral_storage_full",
    "preempted": "preempted",
    "node-drain": "node_drained",
    "node-lost-taint-eviction": "node_lost",
    "taint-noexecute": "node_lost",
    "active-deadline": "deadline_exceeded",
}


# What somebody wrote into the pod's status: the reason that its owner reads.
LOST = [{"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager", "message": "taint"}]
SHUT = [{"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet", "message": "shutdown"}]
SAID = {
    "phase unknown": ({"phase": "Unknown"}, "node_lost"),
    "NodeLost": ({"phase": "Failed", "reason": "NodeLost", "message": "Node n is unresponsive"}, "node_lost"),
    "DeletionByTaintManager": ({"conditions": LOST}, "node_lost"),
    "NodeShutdown": ({"phase": "Failed", "reason": "NodeShutdown", "message": "shutting down"}, "node_shutdown"),
    "Terminated": ({"phase": "Failed", "reason": "Terminated", "message": "Pod was terminated"}, "node_shutdown"),
    "TerminationByKubelet": ({"phase": "Failed", "conditions": SHUT}, "node_shutdown"),
    "Preempting": ({"phase": "Failed", "reason": "Preempting", "message": "Preempted"}, "preempted"),
    "Evicted": ({"phase": "Failed", "reason": "Evicted", "message": "low on resource: memory."}, "evicted"),
    "DeadlineExceeded": ({"phase": "Failed", "reason": "DeadlineExceeded", "message": "too long"}, "deadline_exceeded"),
}


async def start(it, session):
    answer = await it.hub.client("alice").post(f"api/renku/projects/{session.project}/sessions/{session.id}/start")
    assert answer.status_code in (200, 202), answer.text


async def running(it, count, **configuration):
    project = await it.hub.project()
    sessions = [await it.hub.session(project, f"Session {n}", **configuration) for n in range(count)]
    for session in sessions:
        await start(it, session)
    for session in sessions:
        await it.hub.becomes(session, InstanceStatus.RUNNING)
    return sessions


def pod_of(it, session):
    return next(pod for pod in it.pods() if pod["metadata"]["labels"]["renku.io/session"] == session.id)


async def test_whatever_ends_a_running_session_is_its_reason_and_no_pod_is_left(on_cluster):
    it = await on_cluster(**MANY)
    sessions = dict(zip(ENDS, await running(it, len(ENDS)), strict=True))
    took = Stopwatch()
    for case, session in sessions.items():
        meets(it.cluster, pod_of(it, session), case)
    for case, session in sessions.items():
        failed = await it.hub.becomes(session, InstanceStatus.FAILED, seconds=PROMPTLY)
        assert (case, failed.reason) == (case, ENDS[case])
        assert failed.message, case
    assert took() < PROMPTLY
    await until(lambda: not it.pods())
    assert len(it.claims()) == len(ENDS)


async def test_what_the_machine_says_of_its_end_is_told_and_the_next_click_starts(on_cluster):
    it = await on_cluster(**MANY)
    sessions = dict(zip(SAID, await running(it, len(SAID)), strict=True))
    took = Stopwatch()
    for case, session in sessions.items():
        it.cluster.put_status(pod_of(it, session), **SAID[case][0])
    for case, session in sessions.items():
        failed = await it.hub.becomes(session, InstanceStatus.FAILED, seconds=PROMPTLY)
        assert (case, failed.reason) == (case, SAID[case][1])
        assert failed.advice.startswith(("Your files are kept", "Ask")), case
    assert took() < PROMPTLY
    await until(lambda: not it.pods())
    assert len(it.claims()) == len(SAID)
    again = [sessions["phase unknown"], sessions["NodeShutdown"], sessions["Preempting"]]
    for session in again:
        await start(it, session)
    for session in again:
        await it.hub.becomes(session, InstanceStatus.RUNNING)


async def test_a_pod_that_somebody_deletes_and_no_machine_ends_is_told_and_forced(on_cluster):
    it = await on_cluster(Renku={"stop_grace": 1})
    (session,) = await running(it, 1)
    it.cluster.node_lost = True
    it.cluster.api.delete_pod(pod_of(it, session), 30)
    failed = await it.hub.becomes(session, InstanceStatus.FAILED, seconds=PROMPTLY)
    assert failed.reason == "pod_removed"
    await until(lambda: not it.pods())
    await start(it, session)
    await it.hub.becomes(session, InstanceStatus.RUNNING)


async def test_restarted_in_place_after_running_out_of_memory_it_runs_and_says_so(on_cluster):
    it = await on_cluster()
    (session,) = await running(it, 1)
    it.kubelet.run_out_of_memory(pod_of(it, session)["metadata"]["name"])

    async def told():
        instance = await it.hub.instance(session)
        assert instance.status is InstanceStatus.RUNNING
        return instance.notices

    (notice,) = await until(told, seconds=PROMPTLY)
    assert (notice["code"], notice["title"]) == ("restarted_oom", "Restarted: out of memory, limit 2 GiB.")


async def test_variables_that_were_left_out_are_named_as_long_as_it_runs(on_cluster):
    it = await on_cluster()
    session = await it.hub.session(await it.hub.project())
    stored = SessionConfiguration(
        variables={"SEED": "1", "PROMPT_COMMAND": "id > pwned"}
    )  # as an older release accepted it
    change = SessionChange(version=session.version, configuration=stored)
    await write_transaction(it.hub.parts, lambda tx: tx.sessions.update(session, change, it.hub.parts.now()))
    await start(it, session)
    await it.hub.becomes(session, InstanceStatus.RUNNING)

    async def told():
        return [notice["code"] for notice in (await it.hub.instance(session)).notices]

    assert await told() == ["variables_left_out"]
    it.kubelet.run_out_of_memory(pod_of(it, session)["metadata"]["name"])

    async def told_both():
        return await told() == ["variables_left_out", "restarted_oom"]

    await until(told_both, seconds=PROMPTLY)


async def test_running_out_of_memory_again_and_again_ends_it_with_its_limit(on_cluster):
    it = await on_cluster()
    (session,) = await running(it, 1)
    name = pod_of(it, session)["metadata"]["name"]

    def state():
        return pod_of(it, session)["status"]["containerStatuses"][0]

    for restarts in range(3):
        await until(lambda n=restarts: state()["restartCount"] == n and "running" in state()["state"])
        it.kubelet.run_out_of_memory(name)
    failed = await it.hub.becomes(session, InstanceStatus.FAILED, seconds=PROMPTLY)
    assert (failed.reason, failed.message) == ("crash_oom", "The session ran out of memory; its limit is 2 GiB.")


async def test_a_shutdown_from_inside_is_a_pause_and_no_failure(on_cluster):
    it = await on_cluster()
    (session,) = await running(it, 1)
    pod = pod_of(it, session)
    ended = {"terminated": {"exitCode": 0, "reason": "Completed"}}
    one = pod["status"]["containerStatuses"][0] | {"ready": False, "state": ended}
    it.cluster.put_status(pod, phase="Succeeded", containerStatuses=[one])
    paused = await it.hub.becomes(session, InstanceStatus.PAUSED, seconds=PROMPTLY)
    assert (paused.reason, paused.ended_reason) == (None, "server_exited")
    await until(lambda: not it.pods())


async def test_what_ends_by_itself_just_when_it_is_paused_leaves_no_pod(on_cluster):
    it = await on_cluster()
    (session,) = await running(it, 1)
    pod = pod_of(it, session)
    await request_stop(it.hub.parts, "alice", session.id, ended_reason="stopped_by_user")
    ended = {"terminated": {"exitCode": 0, "reason": "Completed"}}
    one = pod["status"]["containerStatuses"][0] | {"ready": False, "state": ended}
    it.cluster.put_status(pod, phase="Succeeded", containerStatuses=[one])
    await it.hub.becomes(session, InstanceStatus.PAUSED, seconds=PROMPTLY)
    await until(lambda: not it.pods())


async def test_a_program_that_ends_again_and_again_ends_the_session(on_cluster):
    it = await on_cluster()
    (session,) = await running(it, 1, variables={"TINY_DIE": "1"})
    (it.kubelet.claim_of(pod_of(it, session)) / "die").touch()
    failed = await it.hub.becomes(session, InstanceStatus.FAILED)
    assert (failed.reason, failed.message) == ("crash_exit", "The program ended with code 3.")
    await until(lambda: not it.pods())


async def test_a_machine_that_does_not_answer_is_a_notice_and_no_end(on_cluster):
    it = await on_cluster()
    (session,) = await running(it, 1)
    pod = pod_of(it, session)
    silent = [c | ({"status": "False"} if c["type"] == "Ready" else {}) for c in pod["status"]["conditions"]]
    it.cluster.put_status(pod, conditions=silent)

    async def told():
        return [notice["code"] for notice in (await it.hub.instance(session)).notices]

    assert await until(told, seconds=PROMPTLY) == ["node_silent"]
    await asyncio.sleep(1)
    assert await it.hub.status(session) is InstanceStatus.RUNNING
