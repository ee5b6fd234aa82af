"""What an operator sees of a cluster: pods, claims, and what of them has no counterpart."""

from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from renku_spawner.context.app_context import write_transaction
from renku_spawner.domain.instances import InstanceStatus, ObservedState
from tests.fixtures.renku import until

ORPHANS = "api/renku/admin/orphans"
OLD = (datetime.now(UTC) - timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%SZ")


def left(it, resource, found, name, *, made=OLD, owner="ghost", **labels):
    """Put something like *found* there, as an earlier hub may have left it behind."""
    other = deepcopy(found)
    notes = other["metadata"]["annotations"] | {"renku.io/username": owner}
    other["metadata"] = {
        "name": name, "namespace": "sessions", "annotations": notes, "creationTimestamp": made,
        "labels": other["metadata"]["labels"] | {"renku.io/session": "z2z2z2z2z2z2"} | labels,
    }  # fmt: skip
    made_now = it.cluster.store.create(resource, other)
    it.cluster.store.put(resource, made_now | {"metadata": made_now["metadata"] | {"creationTimestamp": made}})


def leave_behind(it, session, pod, claim):
    """What an earlier hub and another one may have left, and what may be somebody's."""
    left(it, "persistentvolumeclaims", claim, "work-old")
    left(it, "persistentvolumeclaims", claim, "work-new", made=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    left(it, "persistentvolumeclaims", claim, "work-foreign", **{"renku.io/hub": "two"})
    left(it, "persistentvolumeclaims", claim, "work-used", owner="alice", **{"renku.io/session": session.id})
    it.kubelet.plan("unschedulable-cpu", lambda found: found["metadata"]["name"].startswith("lost"))
    left(it, "pods", pod, "lost", owner="phantom", **{"renku.io/launch": "gone"})
    left(it, "pods", pod, "lost-foreign", **{"renku.io/launch": "gone", "renku.io/hub": "two"})


async def test_orphans_of_this_hub_are_found_and_nothing_that_may_be_somebodys_is_offered(on_cluster):
    it = await on_cluster(RenkuSpawner={"hub_label": "one"})
    it.hub.curator("root")
    root = it.hub.client("root")
    session = await it.hub.session(await it.hub.project())
    start = f"api/renku/projects/{session.project}/sessions/{session.id}/start"
    await it.hub.client("alice").post(start)
    await it.hub.becomes(session, InstanceStatus.RUNNING)
    (pod,), (claim,) = it.pods(), it.claims()
    assert (await root.get(ORPHANS)).json()["counts"] == {
        "pod": 0, "run": 0, "storage": 0, "claim": 0, "record": 0
    }  # fmt: skip

    leave_behind(it, session, pod, claim)

    async def seen():
        items = (await root.get(ORPHANS)).json()["items"]
        return {each["name"]: each["hindrance"] for each in items}

    await until(lambda: len(it.cluster.objects("pods", "sessions")) == 3)

    async def listed():
        return "lost" in await seen()

    await until(listed)
    found = await seen()
    assert set(found) == {"lost", "work-old", "work-new", "work-used"}
    assert (found["lost"], found["work-old"]) == (None, None)
    assert "Too young" in found["work-new"]
    assert found["work-used"] == "A pod of its session is there, which may use it."

    every = list(found)
    for kind in ("claim", "pod"):
        answer = await root.request("DELETE", ORPHANS, json={"kind": kind, "names": [*every, "work-foreign"]})
        assert answer.json() == {"removed": 1}
    names = {each["metadata"]["name"] for each in (*it.claims(), *it.cluster.objects("pods", "sessions"))}
    kept = {"work-new", "work-used", "work-foreign", "lost-foreign"}
    assert names == {claim["metadata"]["name"], pod["metadata"]["name"], *kept}
    assert await it.hub.status(session) is InstanceStatus.RUNNING


async def test_a_hub_without_a_label_removes_nothing_that_another_may_have_made(on_cluster):
    it = await on_cluster()
    it.hub.curator("root")
    root = it.hub.client("root")
    session = await it.hub.session(await it.hub.project())
    await it.hub.client("alice").post(f"api/renku/projects/{session.project}/sessions/{session.id}/start")
    await it.hub.becomes(session, InstanceStatus.RUNNING)
    (claim,) = it.claims()
    left(it, "persistentvolumeclaims", claim, "work-theirs", owner="gone", **{"renku.io/session": "gone"})
    told = (await root.get(ORPHANS)).json()
    (orphan,) = [o for o in told["items"] if o["kind"] == "claim"]
    assert (orphan["name"], orphan["hindrance"]) == ("work-theirs", "Another hub in this namespace may have made it.")
    assert "RenkuSpawner.hub_label" in told["warning"]
    asked = {"kind": "claim", "names": ["work-theirs"]}
    assert (await root.request("DELETE", ORPHANS, json=asked)).json() == {"removed": 0}
    assert len(it.claims()) == 2


async def test_while_nobody_knows_nothing_is_an_orphan(on_cluster):
    it = await on_cluster(RenkuSpawner={"hub_label": "one"})
    it.hub.curator("root")
    root = it.hub.client("root")
    session = await it.hub.session(await it.hub.project())
    await it.hub.client("alice").post(f"api/renku/projects/{session.project}/sessions/{session.id}/start")
    running = await it.hub.becomes(session, InstanceStatus.RUNNING)
    await it.hub.client("alice").post(f"api/renku/sessions/{session.id}/pause")
    paused = await it.hub.becomes(session, InstanceStatus.PAUSED)
    (claim,) = it.claims()
    left(it, "persistentvolumeclaims", claim, "work-other", owner="alice", **{"renku.io/session": session.id})
    unknown = replace(paused, observed=ObservedState.UNKNOWN, desired=running.desired)
    await write_transaction(it.hub.parts, lambda tx: tx.instances.save(paused, unknown))
    (orphan,) = [o for o in (await root.get(ORPHANS)).json()["items"] if o["kind"] == "claim"]
    assert (orphan["name"], orphan["hindrance"]) == ("work-other", "The status of its owner's session is unknown.")

    it.cluster.rules["hub"] = {"sessions": {"pods": {"get", "list", "watch"}, "events": {"list", "watch"}}}
    told = (await root.get(ORPHANS)).json()
    assert (told["items"], "lacks a right" in told["unknown"]) == ([], True)
    asked = {"kind": "claim", "names": ["work-other"]}
    assert (await root.request("DELETE", ORPHANS, json=asked)).status_code == 503
    it.cluster.rules.clear()
    it.cluster.fault(status=500, times=None)
    it.cluster.break_connections()
    told = (await root.get(ORPHANS)).json()
    assert (told["items"], told["counts"]) == ([], {})
    assert told["unknown"] == "The cluster does not answer. Nothing is lost; try again in a moment."
    it.cluster.faults.clear()
    assert len(it.claims()) == 2


async def test_an_admin_pauses_what_runs_on_one_node_and_owners_read_why(on_cluster):
    it = await on_cluster(Renku={"one_active_per_environment": False})
    it.hub.curator("root")
    root, project = it.hub.client("root"), await it.hub.project()
    here, there = [await it.hub.session(project, title) for title in ("Here", "There")]
    for session, node in ((here, "n1"), (there, "n2")):
        it.cluster.node = node
        await it.hub.client("alice").post(f"api/renku/projects/{project.id}/sessions/{session.id}/start")
        await it.hub.becomes(session, InstanceStatus.RUNNING)
    nodes = (await root.get("api/renku/admin/nodes")).json()
    assert nodes["items"] == [{"node": node, "sessions": 1, "stopping": 0} for node in ("n1", "n2")]
    answer = await root.post("api/renku/admin/pause-all", json={"node": "n1"})
    assert (answer.status_code, answer.json()) == (202, {"sessions": 1})
    paused = await it.hub.becomes(here, InstanceStatus.PAUSED)
    assert paused.ended_reason == "stopped_for_node"
    assert await it.hub.status(there) is InstanceStatus.RUNNING
    alice = await it.hub.visitor("alice")
    shown = (await alice.get(f"renku/projects/alice/climate/-/sessions/{here.id}")).text
    assert "Paused by an admin: the node is being maintained." in shown
    async with it.cluster.outage():
        await until(lambda: not it.hub.user("alice").spawners[there.id].reachable)
        assert (await root.get("api/renku/admin/nodes")).json()["unknown"] is not None
        answer = await root.post("api/renku/admin/pause-all", json={"node": "n2"})
        assert (answer.status_code, answer.json()["code"]) == (503, "cluster_unavailable")
    assert (await it.hub.status(there)) in (InstanceStatus.RUNNING, InstanceStatus.UNKNOWN)
