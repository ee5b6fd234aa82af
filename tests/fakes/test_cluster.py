"""What the cluster does by itself: binding, growing and keeping claims, collecting orphans, evicting, logging."""

import asyncio

import pytest

from tests.fakes.conformance import claim, pod
from tests.fakes.kubelet import ScriptedKubelet
from tests.fakes.quantity import canonical

PLACE = "/api/v1/namespaces/sessions"
CLAIMS = f"{PLACE}/persistentvolumeclaims"
WORK = [{"name": "work", "persistentVolumeClaim": {"claimName": "claim-ada"}}]
MERGE, STRATEGIC, JSON = (f"application/{name}+json" for name in ("merge-patch", "strategic-merge-patch", "json-patch"))


@pytest.fixture
def kubelet(cluster):
    return ScriptedKubelet(cluster)


def phase(cluster, name: str = "jupyter-ada") -> str:
    return (cluster.find("pods", name) or {"status": {"phase": "gone"}})["status"]["phase"]


async def bound(cluster, client, **spec) -> dict:
    await client.send("POST", CLAIMS, claim("claim-ada", **spec))
    await cluster.until(lambda: cluster.find("persistentvolumeclaims", "claim-ada")["status"]["phase"] == "Bound")
    return cluster.find("persistentvolumeclaims", "claim-ada")


async def test_a_claim_is_bound_step_by_step(cluster, client):
    await bound(cluster, client)
    seen = [change.object["status"]["phase"] for change in cluster.store.history["persistentvolumeclaims"]]
    assert seen == ["Pending", "Pending", "Pending", "Bound"]
    assert [event["reason"] for event in cluster.objects("events")] == ["ProvisioningSucceeded"]


@pytest.mark.parametrize(
    ("name", "reason"), [("no-such-class", "ProvisioningFailed"), ("wait", "WaitForFirstConsumer")]
)
async def test_a_claim_waits_and_says_for_what(cluster, client, name, reason):
    await client.send("POST", CLAIMS, claim("claim-ada", storageClassName=name))
    await cluster.until(lambda: cluster.objects("events"))
    assert cluster.objects("events")[0]["reason"] == reason
    assert cluster.find("persistentvolumeclaims", "claim-ada")["status"] == {"phase": "Pending"}


async def test_the_first_consumer_lets_a_claim_be_bound(cluster, client, kubelet):
    await client.send("POST", CLAIMS, claim("claim-ada", storageClassName="wait"))
    await client.send("POST", f"{PLACE}/pods", pod("jupyter-ada", volumes=WORK))
    await cluster.until(lambda: phase(cluster) == "Running")
    annotations = cluster.find("persistentvolumeclaims", "claim-ada")["metadata"]["annotations"]
    assert annotations["volume.kubernetes.io/selected-node"] == "knode"


async def test_a_claim_grows_where_its_class_can(cluster, client):
    await bound(cluster, client, storageClassName="growing")
    wanted = {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
    answer = await client.send("PATCH", f"{CLAIMS}/claim-ada", wanted, kind=MERGE)
    assert answer["status"] == 200
    await cluster.until(
        lambda: cluster.find("persistentvolumeclaims", "claim-ada")["status"]["capacity"]["storage"] == "2Gi"
    )


async def test_a_claim_in_use_stays_until_its_pod_has_gone(cluster, client, kubelet):
    await bound(cluster, client)
    await client.send("POST", f"{PLACE}/pods", pod("jupyter-ada", volumes=WORK))
    await cluster.until(lambda: phase(cluster) == "Running")
    gone = await client.send("DELETE", f"{CLAIMS}/claim-ada")
    assert (gone["status"], gone["body"]["status"]["phase"]) == (200, "Bound")
    assert "deletionTimestamp" in cluster.find("persistentvolumeclaims", "claim-ada")["metadata"]
    await client.send("DELETE", f"{PLACE}/pods/jupyter-ada", {"gracePeriodSeconds": 1})
    await cluster.until(lambda: not cluster.find("persistentvolumeclaims", "claim-ada"))
    assert phase(cluster) == "gone"


async def test_a_pod_without_its_claim_is_not_scheduled_until_it_comes(cluster, client, kubelet):
    await client.send("POST", f"{PLACE}/pods", pod("jupyter-ada", volumes=WORK))
    told = await cluster.until(lambda: cluster.find("pods", "jupyter-ada")["status"].get("conditions"))
    assert 'persistentvolumeclaim "claim-ada" not found' in told[0]["message"]
    await bound(cluster, client)
    await cluster.until(lambda: phase(cluster) == "Running")


async def test_what_a_pod_owned_goes_with_it(cluster, client, kubelet):
    made = await client.send("POST", f"{PLACE}/pods", pod("jupyter-ada"))
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "jupyter-ada", "uid": made["body"]["metadata"]["uid"]}
    secret = {"metadata": {"name": "launch", "ownerReferences": [owner]}, "stringData": {"token": "x"}}
    answer = await client.send("POST", f"{PLACE}/secrets", secret)
    assert answer["body"]["data"] == {"token": "eA=="}
    await client.send("DELETE", f"{PLACE}/pods/jupyter-ada", {"gracePeriodSeconds": 0})
    await cluster.until(lambda: not cluster.find("secrets", "launch"))


async def test_what_never_had_an_owner_goes_too(cluster, client):
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "jupyter-ada", "uid": "gone"}
    await client.send("POST", f"{PLACE}/secrets", {"metadata": {"name": "launch", "ownerReferences": [owner]}})
    await cluster.until(lambda: not cluster.find("secrets", "launch"))


async def test_an_eviction_marks_and_deletes(cluster, client, kubelet):
    await client.send("POST", f"{PLACE}/pods", pod("jupyter-ada"))
    await cluster.until(lambda: phase(cluster) == "Running")
    wanted = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "jupyter-ada"}}
    answer = await client.send("POST", f"{PLACE}/pods/jupyter-ada/eviction", wanted)
    assert (answer["status"], answer["body"]["status"]) == (201, "Success")
    conditions = cluster.find("pods", "jupyter-ada")["status"]["conditions"]
    assert conditions[-1]["reason"] == "EvictionByEvictionAPI"
    await cluster.until(lambda: phase(cluster) == "gone")


@pytest.mark.parametrize("named", ["clone", "git"])
async def test_a_life_fits_itself_to_other_pods(cluster, client, kubelet, named):
    init = {"name": named, "image": "git:1", "resources": {}}
    kubelet.plan("oomkilled", "jupyter-ada", logs={"notebook": "Killed\n"})
    main = {"name": "notebook", "image": "lab:1", "resources": {"limits": {"memory": "1Gi", "cpu": "1"}}}
    await client.send("POST", f"{PLACE}/pods", pod("jupyter-ada", initContainers=[init], containers=[main]))
    status = await cluster.until(lambda: restarted(cluster))
    assert status["containerStatuses"][0]["lastState"]["terminated"]["reason"] == "OOMKilled"
    assert status["containerStatuses"][0]["allocatedResources"] == {"memory": "1Gi", "cpu": "1"}
    assert [one["name"] for one in status["initContainerStatuses"]] == [named]
    log = await client.send("GET", f"{PLACE}/pods/jupyter-ada/log?previous=true")
    assert log["body"] == "Killed\n"


def restarted(cluster) -> dict | None:
    status = cluster.find("pods", "jupyter-ada")["status"]
    shown = status.get("containerStatuses", [{}])[0]
    return status if shown.get("restartCount") and "initContainerStatuses" in status else None


async def test_a_log_is_followed_to_its_end(cluster, client, kubelet):
    await client.send("POST", f"{PLACE}/pods", pod("jupyter-ada"))
    await cluster.until(lambda: phase(cluster) == "Running")
    cluster.write_log("jupyter-ada", "one\n")
    task = asyncio.create_task(client.send("GET", f"{PLACE}/pods/jupyter-ada/log?follow=true"))
    await cluster.until(lambda: cluster.counts()["get pods/log"])
    cluster.write_log("jupyter-ada", "two\n")
    await client.send("DELETE", f"{PLACE}/pods/jupyter-ada", {"gracePeriodSeconds": 1})
    assert (await task)["body"] == "one\ntwo\n"


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        (MERGE, {"metadata": {"annotations": {"a": "b"}, "labels": {"app": None}}}),
        (STRATEGIC, {"metadata": {"annotations": {"a": "b"}, "labels": {"app": None}}}),
        (
            JSON,
            [
                {"op": "add", "path": "/metadata/annotations/a", "value": "b"},
                {"op": "remove", "path": "/metadata/labels/app"},
            ],
        ),
    ],
)
async def test_three_ways_to_patch_lead_to_the_same(cluster, client, kind, patch):
    await client.send("POST", f"{PLACE}/pods", pod("jupyter-ada"))
    answer = await client.send("PATCH", f"{PLACE}/pods/jupyter-ada", patch, kind=kind)
    assert answer["body"]["metadata"]["annotations"]["a"] == "b"
    assert "app" not in answer["body"]["metadata"]["labels"]


async def test_a_lost_node_lets_a_pod_only_go_by_force(cluster, client, kubelet):
    await client.send("POST", f"{PLACE}/pods", pod("jupyter-ada"))
    await cluster.until(lambda: phase(cluster) == "Running")
    cluster.node_lost = True
    await client.send("DELETE", f"{PLACE}/pods/jupyter-ada", {"gracePeriodSeconds": 1})
    log = await client.send("GET", f"{PLACE}/pods/jupyter-ada/log")
    assert "connection refused" in log["body"]["message"]
    assert phase(cluster) == "Running"
    await client.send("DELETE", f"{PLACE}/pods/jupyter-ada", {"gracePeriodSeconds": 0})
    assert phase(cluster) == "gone"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (1.0, "1"), (0.05, "50m"), (268435456, "268435456"), ("256Mi", "256Mi"), ("1024Mi", "1Gi"), ("0.5Gi", "512Mi"),
        ("1500m", "1500m"), ("2000m", "2"), ("1e3", "1k"), ("0", "0"), ("-1", "-1"),
    ],
)  # fmt: skip
def test_quantities_are_written_as_kubernetes_writes_them(given, wanted):
    assert canonical(given) == wanted
