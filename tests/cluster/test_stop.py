"""Stopping, and what stays: files are lost only when somebody has said so."""

import asyncio
import re
from time import monotonic

from renku_spawner.client import Client
from renku_spawner.domain.instances import InstanceStatus
from renku_spawner.domain.resource_classes import ResourceRequirements
from tests.cluster.own import answering
from tests.fixtures.fair import Stopwatch
from tests.fixtures.renku import until, xsrf


async def start(it, session):
    answer = await it.hub.client("alice").post(f"api/renku/projects/{session.project}/sessions/{session.id}/start")
    assert answer.status_code in (200, 202), answer.text


async def pause(it, session):
    answer = await it.hub.client("alice").post(f"api/renku/sessions/{session.id}/pause")
    assert answer.status_code in (200, 202), answer.text


def deletions(it):
    return [r for r in it.cluster.requests if (r.verb, r.resource) == ("delete", "pods")]


async def test_pausing_a_start_is_answered_at_once_and_its_pod_goes_without_grace(on_cluster):
    it = await on_cluster()
    session = await it.hub.session(await it.hub.project())
    it.kubelet.plan("unschedulable-cpu")
    await start(it, session)
    await until(it.pods)
    took = Stopwatch()
    await pause(it, session)
    assert took() < 1
    await it.hub.becomes(session, InstanceStatus.PAUSED, seconds=5)
    assert it.pods() == []
    assert {r.query.get("gracePeriodSeconds") for r in deletions(it)} == {"0"}


async def test_a_pod_that_does_not_go_is_forced_after_its_grace(on_cluster):
    it = await on_cluster(Renku={"stop_grace": 1})
    session = await it.hub.session(await it.hub.project())
    await start(it, session)
    await it.hub.becomes(session, InstanceStatus.RUNNING)
    it.cluster.node_lost = True  # nobody ends the pod
    await pause(it, session)
    await it.hub.becomes(session, InstanceStatus.PAUSED)
    assert it.pods() == []
    assert [r.query.get("gracePeriodSeconds") for r in deletions(it)] == ["1", "0"]


async def test_a_pod_that_takes_its_whole_grace_is_stopping_until_it_has_gone_and_is_not_forced(on_cluster):
    it = await on_cluster(Renku={"stop_grace": 5})
    session = await it.hub.session(await it.hub.project())
    it.kubelet.plan("delete-ignores-sigterm-grace-5")
    await start(it, session)
    pod = await until(lambda: next((pod for pod in it.pods() if pod["status"].get("podIP")), None))
    async with answering(pod):
        await it.hub.becomes(session, InstanceStatus.RUNNING)
        it.cluster.speed = 1
        began = monotonic()
        await pause(it, session)
        assert await it.hub.status(session) is InstanceStatus.STOPPING
        await it.hub.becomes(session, InstanceStatus.PAUSED)
    assert monotonic() - began > 5
    assert it.pods() == []
    assert [r.query.get("gracePeriodSeconds") for r in deletions(it)] == ["5"]


async def test_deleting_the_data_of_one_whose_pod_takes_its_time_is_accepted_and_seen_through(on_cluster):
    it = await on_cluster(Renku={"stop_grace": 5})
    session = await it.hub.session(await it.hub.project())
    it.kubelet.plan("delete-ignores-sigterm-grace-5")
    await start(it, session)
    pod = await until(lambda: next((pod for pod in it.pods() if pod["status"].get("podIP")), None))
    async with answering(pod):
        await it.hub.becomes(session, InstanceStatus.RUNNING)
        visitor, page = await it.hub.visitor("alice"), f"renku/sessions/{session.id}/data"
        await visitor.get(page)
        it.cluster.speed = 1
        answer = await it.hub.client("alice").delete(f"api/renku/sessions/{session.id}/instance")
        assert answer.status_code == 202, answer.text
        assert (answer.json()["status"], [each["code"] for each in answer.json()["notices"]]) == (
            "stopping",
            ["deleting"],
        )
        assert len(it.claims()) == 1
        form = {"_xsrf": xsrf(visitor), "confirm": session.title}
        asked = await visitor.post(page, data=form, follow_redirects=True)
        assert "Your data is being deleted. That goes on by itself." in asked.text
        assert "Deleting your data." in asked.text
        with Client(it.hub.url, it.hub.client("alice").headers["Authorization"].removeprefix("token ")) as client:
            assert await asyncio.to_thread(client.delete_data, session.id) is True
    assert await it.hub.status(session) is InstanceStatus.INACTIVE
    assert (it.pods(), it.claims()) == ([], [])


async def test_a_pause_while_the_cluster_is_away_has_not_happened_before_the_pod_is_gone(on_cluster):
    it = await on_cluster()
    session = await it.hub.session(await it.hub.project())
    await start(it, session)
    await it.hub.becomes(session, InstanceStatus.RUNNING)
    spawner = it.hub.user("alice").spawners[session.id]
    async with it.cluster.outage():
        stopping = asyncio.ensure_future(spawner.user.stop(session.id))
        await it.hub.becomes(session, InstanceStatus.STOPPING)
        await asyncio.sleep(1)
        assert await it.hub.status(session) is InstanceStatus.STOPPING
    await stopping
    await it.hub.becomes(session, InstanceStatus.PAUSED, seconds=10)
    assert it.pods() == []


async def test_deleting_the_data_leaves_a_claim_that_is_labelled_for_another_session(on_cluster):
    it = await on_cluster()
    session = await it.hub.session(await it.hub.project())
    await start(it, session)
    await it.hub.becomes(session, InstanceStatus.RUNNING)
    await pause(it, session)
    await it.hub.becomes(session, InstanceStatus.PAUSED)
    (claim,) = it.claims()
    labels = claim["metadata"]["labels"] | {"renku.io/session": "another"}
    it.cluster.store.put("persistentvolumeclaims", claim | {"metadata": claim["metadata"] | {"labels": labels}})
    await it.hub.client("alice").delete(f"api/renku/sessions/{session.id}/instance")
    await it.hub.becomes(session, InstanceStatus.INACTIVE)
    assert len(it.claims()) == 1


async def without_its_disk(it):
    """A session that worked, was paused, lost its disk and was started again."""
    session = await it.hub.session(await it.hub.project())
    await start(it, session)
    await it.hub.becomes(session, InstanceStatus.RUNNING)
    await pause(it, session)
    await it.hub.becomes(session, InstanceStatus.PAUSED)
    it.cluster.api.delete("persistentvolumeclaims", it.claims()[0], {})
    await it.cluster.until(lambda: not it.claims())
    for _ in range(2):  # starting again is no consent
        await start(it, session)
        failed = await it.hub.becomes(session, InstanceStatus.FAILED)
        assert (failed.reason, it.pods(), it.claims()) == ("volume_lost", [], [])
    return session


async def test_a_disk_that_was_removed_is_made_anew_once_its_owner_says_so(on_cluster):
    it = await on_cluster()
    session = await without_its_disk(it)
    path = f"api/renku/projects/{session.project}/sessions/{session.id}/start"
    answer = await it.hub.client("alice").post(path, json={"empty_disk": True})
    assert answer.status_code in (200, 202), answer.text
    await it.hub.becomes(session, InstanceStatus.RUNNING)
    assert len(it.claims()) == 1


async def test_the_page_of_a_session_without_its_disk_has_a_button_that_says_what_it_does(on_cluster):
    it = await on_cluster()
    session = await without_its_disk(it)
    alice = await it.hub.visitor("alice")
    page = f"renku/projects/alice/climate/-/sessions/{session.id}"
    shown = (await alice.get(page)).text
    assert "The disk of this session is gone." in shown
    assert re.search(r'<button [^>]*name="empty_disk" value="yes"[^>]*>.*?<span>Start with an empty disk</span>', shown)
    answer = await alice.post(f"{page}/start", data={"_xsrf": xsrf(alice), "empty_disk": "yes"})
    assert answer.status_code == 303, answer.text
    await it.hub.becomes(session, InstanceStatus.RUNNING)
    assert len(it.claims()) == 1
    assert "empty disk" not in (await alice.get(page)).text


async def test_a_disk_that_is_back_is_used_and_not_made_anew(on_cluster):
    it = await on_cluster()
    session = await without_its_disk(it)
    name = f"work-{(await it.hub.instance(session)).claim}"
    metadata = {"name": name, "namespace": "sessions", "labels": {"renku.io/session": session.id}}
    spec = {
        "storageClassName": "standard",
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
    }
    back = {"metadata": metadata, "spec": spec, "status": {"phase": "Bound"}}
    it.cluster.store.create("persistentvolumeclaims", back)
    await start(it, session)
    await it.hub.becomes(session, InstanceStatus.RUNNING)
    assert len(it.claims()) == 1


async def test_a_claim_grows_with_the_configuration_and_never_shrinks(on_cluster):
    it = await on_cluster(RenkuSpawner={"storage_class": "growing"})
    session = await grown(it, "3Gi")
    await it.hub.becomes(session, InstanceStatus.RUNNING)
    assert sizes(it) == ["3Gi"]
    answer = await changed(it, session, "2Gi")
    told = "Your disk has 3 GiB, and a disk cannot be made smaller. Keep the size, or delete your data and start again."
    assert (answer.status_code, answer.json()["code"], answer.json()["fields"]) == (422, "disk_shrink", {"disk": told})
    alice = await it.hub.visitor("alice")
    page = f"renku/projects/alice/climate/-/sessions/{session.id}/edit"
    form = {"_xsrf": xsrf(alice), "version": "1", "title": "Explore", "cpu": "1", "memory": "1Gi", "disk": "2Gi"}
    shown = await alice.post(page, data=form)
    assert (shown.status_code, told in shown.text) == (422, True)
    with it.hub.parts.db.read() as tx:
        assert tx.sessions.get(session.id).configuration.needs.disk == "3Gi"
    assert (await changed(it, session, "3Gi")).status_code == 200


async def test_an_edit_does_not_wait_for_a_silent_cluster_to_tell_the_disks_size(on_cluster):
    it = await on_cluster()
    session = await it.hub.session(await it.hub.project(), needs=ResourceRequirements(disk="1Gi"))
    await start(it, session)
    await it.hub.becomes(session, InstanceStatus.RUNNING)
    async with it.cluster.outage():
        took = Stopwatch()
        assert (await changed(it, session, "500Mi")).status_code == 200
        assert took() < 3


def sizes(it):
    return [claim["spec"]["resources"]["requests"]["storage"] for claim in it.claims()]


async def changed(it, session, disk):
    """Alice, who may, asks for another size of the session's disk."""
    with it.hub.parts.db.read() as tx:
        version = tx.sessions.get(session.id).version
    path = f"api/renku/projects/{session.project}/sessions/{session.id}"
    return await it.hub.client("alice").patch(path, json={"version": version, "configuration": {"disk": disk}})


async def test_a_start_while_the_last_pod_does_not_go_waits_until_it_is_forced(on_cluster):
    it = await on_cluster(Renku={"stop_grace": 1})
    session = await it.hub.session(await it.hub.project())
    await start(it, session)
    await it.hub.becomes(session, InstanceStatus.RUNNING)
    (first,) = it.pods()
    it.cluster.node_lost = True  # nobody ends the pod
    await pause(it, session)
    assert await it.hub.status(session) is InstanceStatus.STOPPING
    path = f"api/renku/projects/{session.project}/sessions/{session.id}/start"

    async def accepted():
        answer = await it.hub.client("alice").post(path)
        return answer.status_code in (200, 202) or answer.json()["code"] != "stopping"

    await until(accepted)
    await it.hub.becomes(session, InstanceStatus.RUNNING)
    (second,) = it.pods()
    assert first["metadata"]["uid"] != second["metadata"]["uid"]


async def grown(it, disk):
    """A session that ran with 1 GiB and was started again after somebody asked for *disk*."""
    session = await it.hub.session(await it.hub.project(), needs=ResourceRequirements(disk="1Gi"))
    await start(it, session)
    await it.hub.becomes(session, InstanceStatus.RUNNING)
    await pause(it, session)
    await it.hub.becomes(session, InstanceStatus.PAUSED)
    assert (await changed(it, session, disk)).status_code == 200
    await start(it, session)
    return session


async def test_a_disk_that_cannot_grow_is_told_and_the_session_starts(on_cluster):
    it = await on_cluster()
    session = await grown(it, "3Gi")
    running = await it.hub.becomes(session, InstanceStatus.RUNNING)
    (told,) = running.notices
    assert (told["code"], "must support resize" in told["title"]) == ("volume_resize", True)


async def test_a_pod_of_that_name_that_is_not_the_sessions_is_neither_taken_nor_deleted(on_cluster):
    it = await on_cluster()
    session = await it.hub.session(await it.hub.project())
    it.kubelet.plan("unschedulable-cpu", times=1)
    await start(it, session)
    (pod,) = await until(it.pods)
    await pause(it, session)
    await it.hub.becomes(session, InstanceStatus.PAUSED)
    labels = {key: text for key, text in pod["metadata"]["labels"].items() if not key.startswith("renku.io/")}
    metadata = {"name": pod["metadata"]["name"], "namespace": "sessions", "labels": labels}
    it.cluster.store.create("pods", {"metadata": metadata, "spec": pod["spec"], "status": pod["status"]})
    await start(it, session)
    failed = await it.hub.becomes(session, InstanceStatus.FAILED)
    assert failed.reason == "in_the_way"
    assert [pod["metadata"]["labels"] for pod in it.pods()] == [labels]


async def test_a_deletion_that_takes_long_is_answered_in_time_and_goes_on(on_cluster):
    it = await on_cluster()
    session = await it.hub.session(await it.hub.project())
    await start(it, session)
    await it.hub.becomes(session, InstanceStatus.RUNNING)
    alice, path = it.hub.client("alice"), f"api/renku/projects/{session.project}/sessions/{session.id}"
    async with it.cluster.outage():
        for method, end in (("DELETE", "instance"), ("DELETE", "instance"), ("POST", "start")):
            took = Stopwatch()
            answer = await alice.request(method, f"{path}/{end}")
            assert took() < 3
            assert (answer.status_code, answer.json()["code"]) == (503, "cluster_unavailable")
    await it.hub.becomes(session, InstanceStatus.INACTIVE, seconds=60)
    await until(lambda: not it.claims())
    assert it.pods() == []
