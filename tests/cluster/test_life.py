"""A session on Kubernetes from its first start to the end of its data."""

from renku_spawner.domain.instances import InstanceStatus


async def test_a_session_runs_as_a_pod_is_paused_and_finds_its_files_again(on_cluster):
    it = await on_cluster()
    session = await it.hub.session(await it.hub.project())
    alice = it.hub.client("alice")
    start = f"api/renku/projects/{session.project}/sessions/{session.id}/start"
    assert (await alice.post(start)).status_code in (200, 202)
    first = await it.hub.becomes(session, InstanceStatus.RUNNING)
    (pod,) = it.pods()
    (it.kubelet.claim_of(pod) / "note.txt").write_text("kept")
    await alice.post(f"api/renku/sessions/{session.id}/pause")
    await it.hub.becomes(session, InstanceStatus.PAUSED)
    assert it.pods() == []
    await alice.post(start)
    second = await it.hub.becomes(session, InstanceStatus.RUNNING)
    (pod,) = it.pods()
    assert (it.kubelet.claim_of(pod) / "note.txt").read_text() == "kept"
    assert (second.claim, len(it.claims())) == (first.claim, 1)


async def test_what_cannot_heal_ends_the_start_with_its_reason_and_leaves_no_pod(on_cluster):
    it = await on_cluster()
    session = await it.hub.session(await it.hub.project(), variables={"TINY_EXIT": "3"})
    start = f"api/renku/projects/{session.project}/sessions/{session.id}/start"
    await it.hub.client("alice").post(start)
    failed = await it.hub.becomes(session, InstanceStatus.FAILED)
    assert (failed.reason, failed.message) == ("crash_exit", "The program ended with code 3.")
    assert it.pods() == []
    assert len(it.claims()) == 1
    logs = await it.hub.client("alice").get(f"api/renku/sessions/{session.id}/logs")
    assert "a last word" in logs.text
    assert "[hidden]" in logs.text


async def test_a_session_that_ends_while_it_runs_is_failed_within_ten_seconds(on_cluster):
    it = await on_cluster()
    session = await it.hub.session(await it.hub.project(), variables={})
    start = f"api/renku/projects/{session.project}/sessions/{session.id}/start"
    await it.hub.client("alice").post(start)
    await it.hub.becomes(session, InstanceStatus.RUNNING)
    it.cluster.api.delete_pod(it.pods()[0], 0)
    failed = await it.hub.becomes(session, InstanceStatus.FAILED, seconds=10)
    assert failed.reason == "pod_removed"


async def test_no_secret_stands_in_the_pod_itself(on_cluster):
    it = await on_cluster()
    session = await it.hub.session(await it.hub.project())
    await it.hub.client("alice").post(f"api/renku/projects/{session.project}/sessions/{session.id}/start")
    await it.hub.becomes(session, InstanceStatus.RUNNING)
    token = it.hub.user("alice").spawners[session.id].api_token
    assert token
    assert token not in str(it.pods())


async def test_deleting_the_data_removes_the_claim(on_cluster):
    it = await on_cluster()
    session = await it.hub.session(await it.hub.project())
    alice = it.hub.client("alice")
    await alice.post(f"api/renku/projects/{session.project}/sessions/{session.id}/start")
    await it.hub.becomes(session, InstanceStatus.RUNNING)
    answer = await alice.delete(f"api/renku/sessions/{session.id}/instance")
    assert answer.status_code in (200, 202, 204), answer.text
    await it.hub.becomes(session, InstanceStatus.INACTIVE)
    assert (it.pods(), it.claims()) == ([], [])
