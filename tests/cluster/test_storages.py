"""Storages of sessions on a cluster: declared claims, and remotes through csi-rclone."""

import os
from pathlib import Path

import pytest
from traitlets.config import Config

from renku_spawner.domain.instances import InstanceStatus
from renku_spawner.domain.storages import NewStorage, StorageCredentials
from renku_spawner.spawners.kubernetes import diagnosis
from renku_spawner.usecases.storages import add_storage
from tests.cluster.test_operating import OLD, ORPHANS
from tests.cluster.test_rights import asked, become, refused, rights, with_the_role
from tests.fixtures.remotes import PASSWORD, USER, served
from tests.fixtures.renku import until, xsrf

SETTINGS = {
    "RenkuSpawner": {"hub_label": "one"},
    "Renku": {
        "storage_check": False,
        "storage_hosts": {"127.0.0.1"},
        "rclone_storage_class": "csi-rclone-secret-annotation",
        "volumes": [
            {"name": "genomes", "claim": "reference-data"},
            {"name": "secret", "claim": "secret-data", "users": ["bob"]},
        ],
    },
}


@pytest.fixture
async def it(on_cluster):
    keys = Config(keys=[os.urandom(32).hex()])
    it = await on_cluster(**SETTINGS, CryptKeeper=keys)
    with_the_role(it.cluster)
    return it


async def add(it, project, **said):
    return await add_storage(it.hub.parts, it.hub.person("alice"), project.id, NewStorage(**said))


def webdav(port: int, path: str = "") -> dict:
    url = f"http://127.0.0.1:{port}"
    opens = {"credentials": StorageCredentials.PROJECT, "secrets": {"user": USER, "pass": PASSWORD}}
    return {"kind": "webdav", "directory": "era5", "settings": {"url": url}, "path": path, **opens}


def genomes(name: str = "genomes") -> dict:
    return {"kind": "volume", "directory": name, "settings": {"volume": name}, "path": "2019"}


def of_storages(it, resource: str) -> list[str]:
    found = it.cluster.objects(resource, "sessions")
    return [each["metadata"]["name"] for each in found if "renku.io/storage" in each["metadata"].get("labels", {})]


def place(it, pod, directory: str) -> Path:
    """Where a container of this machine has what its pod mounts there."""
    machine, container = it.kubelet.pod(pod["metadata"]["name"]).machine, pod["spec"]["containers"][0]
    return machine.mounts(container)[f"/work/{directory}"]


async def test_a_pod_has_a_declared_claim_and_a_remote_which_go_with_it(it, tmp_path):
    it.cluster.add("persistentvolumeclaims", "sessions", "reference-data", spec={
        "storageClassName": "hostpath", "accessModes": ["ReadOnlyMany"], "resources": {"requests": {"storage": "1Gi"}},
    }, status={"phase": "Pending"})  # fmt: skip
    project = await it.hub.project()
    (tmp_path / "served" / "climate").mkdir(parents=True)
    (tmp_path / "served" / "climate" / "june.txt").write_text("19.2 C\n")
    with served("webdav", tmp_path / "served") as port:
        await add(it, project, **webdav(port, "climate"))
        await add(it, project, **genomes())
        session = await it.hub.session(project)
        running = await become(it, session, "start", InstanceStatus.RUNNING)
    (pod,) = it.pods()
    assert running.notices == ()
    assert (place(it, pod, "era5") / "june.txt").read_text() == "19.2 C\n"
    mounted = {mount["mountPath"]: mount for mount in pod["spec"]["containers"][0]["volumeMounts"]}
    assert (mounted["/work/genomes"]["subPath"], mounted["/work/genomes"]["readOnly"]) == ("2019", True)
    assert len(of_storages(it, "persistentvolumeclaims")) == len(of_storages(it, "secrets")) == 1
    assert PASSWORD not in str([it.cluster.objects(kind, "sessions") for kind in ("pods", "persistentvolumeclaims")])
    it.hub.curator("root")
    orphans = (await it.hub.client("root").get("api/renku/admin/orphans")).json()
    assert orphans["items"] == [], "what belongs to a pod is nobody's lost work"
    await become(it, session, "pause", InstanceStatus.PAUSED)
    await until(lambda: not of_storages(it, "persistentvolumeclaims") and not of_storages(it, "secrets"))
    assert it.cluster.find("persistentvolumeclaims", "reference-data") is not None
    assert refused(it.cluster) == set()
    given = {(verb, resource) for resource, verbs in rights().items() for verb in verbs}
    assert asked(it.cluster) - given == set()


def orphaned(it) -> None:
    """As `kubectl delete pod --cascade=orphan` does, two hours after the start."""
    (pod,) = it.pods()
    for kind in ("persistentvolumeclaims", "secrets"):
        for found in it.cluster.objects(kind, "sessions"):
            metadata = found["metadata"] | {"creationTimestamp": OLD}
            metadata.pop("ownerReferences", None)
            it.cluster.store.put(kind, found | {"metadata": metadata})
    it.cluster.api.delete("pods", pod, {"gracePeriodSeconds": 0})


async def test_what_opens_a_remote_is_found_and_removed_when_its_pod_went_without_it(it, tmp_path):
    it.hub.curator("root")
    root = it.hub.client("root")
    project = await it.hub.project()
    (tmp_path / "served").mkdir()
    with served("webdav", tmp_path / "served") as port:
        await add(it, project, **webdav(port))
        session = await it.hub.session(project)
        await become(it, session, "start", InstanceStatus.RUNNING)
    orphaned(it)
    await it.hub.becomes(session, InstanceStatus.FAILED)
    (left,) = of_storages(it, "secrets")
    (found,) = [each for each in (await root.get(ORPHANS)).json()["items"] if each["kind"] == "storage"]
    assert (found["name"], found["username"], found["hindrance"]) == (left, "alice", None)
    answer = await root.request("DELETE", ORPHANS, json={"kind": "storage", "names": [left]})
    assert answer.json() == {"removed": 1}
    await until(lambda: not of_storages(it, "persistentvolumeclaims") and not of_storages(it, "secrets"))
    assert len(it.cluster.objects("persistentvolumeclaims", "sessions")) == 1, "somebody's work is in it"
    assert refused(it.cluster) == set()


async def test_a_remote_that_cannot_be_mounted_is_named_and_left_out_of_the_next_start(it, tmp_path, monkeypatch):
    monkeypatch.setattr(diagnosis, "_STORAGE_MOUNT_SECONDS", 1.0)
    project = await it.hub.project()
    (tmp_path / "served").mkdir()
    with served("webdav", tmp_path / "served") as port:
        await add(it, project, **webdav(port, "vanished"))
        session = await it.hub.session(project)
        failed = await become(it, session, "start", InstanceStatus.FAILED)
    assert (failed.reason, failed.failed_storages) == ("data_mount_failed", ("era5",))
    assert "directory not found" in failed.message
    await until(lambda: not of_storages(it, "persistentvolumeclaims"))
    path = f"api/renku/projects/{project.id}/sessions/{session.id}/start"
    answer = await it.hub.client("alice").post(path, json={"without_storages": ["era5"]})
    assert answer.status_code in (200, 202), answer.text
    running = await it.hub.becomes(session, InstanceStatus.RUNNING)
    assert [notice["code"] for notice in running.notices] == ["storages_left_out"]
    assert of_storages(it, "secrets") == []


async def test_who_may_use_a_volume_is_asked_at_each_start(it, monkeypatch):
    project = await it.hub.project()
    await add_storage(it.hub.parts, it.hub.person("bob"), project.id, NewStorage(**genomes("secret")))
    session = await it.hub.session(project)
    path = f"api/renku/projects/{project.id}/sessions/{session.id}/start"
    answer = await it.hub.client("alice").post(path)
    assert (answer.status_code, answer.json()["code"], answer.json()["storages"]) == (
        409, "storage_unavailable", ["secret"]
    )  # fmt: skip
    assert it.pods() == []
    visitor = await it.hub.visitor("alice")
    page, token = f"renku/projects/{project.path}/-/sessions/{session.id}/start", {"_xsrf": xsrf(visitor)}
    shown = await visitor.post(page, data=token)
    assert shown.status_code == 409
    assert '<input type="hidden" name="without_storages" value="secret">' in shown.text
    assert "<span>Start without secret</span>" in shown.text
    await visitor.post(page, data=token | {"without_storages": "secret"})
    await it.hub.becomes(session, InstanceStatus.RUNNING)
