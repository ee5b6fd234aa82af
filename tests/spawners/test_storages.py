"""Storages in sessions of this machine: from real servers and folders, on a live hub."""

import json
import os
import sys
import threading
from pathlib import Path

import pytest
from traitlets.config import Config

from renku_spawner.domain.instances import InstanceStatus
from renku_spawner.domain.storages import NewStorage, SharedVolume, StorageCredentials
from renku_spawner.integrations import rclone
from renku_spawner.spawners.local import storages
from renku_spawner.spawners.local.folders import list_mount_points
from renku_spawner.spawners.local.mounts import MountFailed
from renku_spawner.spawners.local.storages import _find_volume_folder
from renku_spawner.usecases.storages import add_storage
from tests.fixtures.remotes import PASSWORD, USER, served
from tests.fixtures.renku import TINY, xsrf

# What the session itself can do with its storages, then the usual program of tests.
LOOK = """
import json, os, runpy, sys
said = {{}}
for name in ("era5", "shared", "scratch"):
    if os.path.isdir(name):
        said[name] = [sorted(os.listdir(name))]
        try:
            open(f"{{name}}/{{os.environ['RENKU_USERNAME']}}.txt", "w").write("mine")
            said[name].append("written")
        except OSError as error:
            said[name].append(error.strerror)
json.dump(said, open("seen.json", "w"))
sys.argv = [{tiny!r}]
runpy.run_path({tiny!r}, run_name="__main__")
"""


@pytest.fixture
async def hub(renku_hub, tmp_path):
    for name in ("shared", "scratch"):
        (tmp_path / name / "june").mkdir(parents=True)
        (tmp_path / name / "june" / "deep.txt").write_text("19.2")
    script = tmp_path / "look.py"
    script.write_text(LOOK.format(tiny=TINY[-1]))
    volumes = [
        {"name": "shared", "directory": str(tmp_path / "shared")},
        {"name": "scratch", "directory": str(tmp_path / "scratch"), "read_only": False, "users": ["alice"]},
    ]
    keys = Config(keys=[os.urandom(32).hex()])
    return await renku_hub(
        Renku={"volumes": volumes, "storage_hosts": {"127.0.0.1"}, "storage_check": False},
        RenkuLocalSpawner={"cmd": [sys.executable, "-I", str(script)]},
        CryptKeeper=keys,
    )


def volume(name: str, **more) -> NewStorage:
    return NewStorage(kind="volume", directory=name, settings={"volume": name}, **more)


def webdav(port: int, directory: str = "era5", **more) -> NewStorage:
    usual = {"settings": {"url": f"http://127.0.0.1:{port}"}, "credentials": StorageCredentials.PROJECT}
    return NewStorage(kind="webdav", directory=directory, **usual, secrets={"user": USER, "pass": PASSWORD}, **more)


async def act(hub, session, how="start", **body):
    path = f"api/renku/projects/{session.project}/sessions/{session.id}/{how}"
    answer = await hub.client("alice").post(path, json=body)
    assert answer.status_code in (200, 202), answer.text
    return answer.json()


def work(hub, instance) -> Path:
    return hub.parts.workspace / instance.claim / "work"


async def test_a_session_reads_its_storages_and_leaves_them_as_they_are(hub, tmp_path):
    project, alice = await hub.project(), hub.person("alice")
    with served("webdav", tmp_path / "shared") as port:
        for new in (webdav(port), volume("shared"), volume("scratch", read_only=False)):
            await add_storage(hub.parts, alice, project.id, new)
        session = await hub.session(project)
        await act(hub, session)
        instance = await hub.becomes(session, InstanceStatus.RUNNING)
        assert instance.notices == ()
        folder = work(hub, instance)
        assert json.loads((folder / "seen.json").read_text()) == {
            "era5": [["june"], "Read-only file system"],
            "shared": [["june"], "Read-only file system"],
            "scratch": [["june"], "written"],
        }
        assert len(list_mount_points(folder)) == 2
        await act(hub, session, "pause")
        await hub.becomes(session, InstanceStatus.PAUSED)
    assert (list_mount_points(folder), [path.name for path in folder.iterdir()]) == ([], ["seen.json"])
    assert (await hub.client("alice").delete(f"api/renku/sessions/{session.id}/instance")).status_code == 204
    await hub.becomes(session, InstanceStatus.INACTIVE)
    assert not folder.exists()
    assert sorted(path.name for path in (tmp_path / "scratch").iterdir()) == ["alice.txt", "june"]


async def test_a_start_fails_for_a_storage_by_name_and_goes_on_without_it(hub, tmp_path):
    project, alice = await hub.project(), hub.person("alice")
    with served("webdav", tmp_path / "shared") as port:
        await add_storage(hub.parts, alice, project.id, webdav(port, path="vanished"))
        wrong = webdav(port, "gauges")
        await add_storage(hub.parts, alice, project.id, volume("shared"))
        await add_storage(hub.parts, alice, project.id, wrong)
        session = await hub.session(project)
        await act(hub, session)
        failed = await hub.becomes(session, InstanceStatus.FAILED)
        assert (failed.reason, failed.failed_storages) == ("data_mount_failed", ("era5",))
        assert failed.message == "The storage era5 could not be mounted: There is no such bucket or folder."
        assert list_mount_points(work(hub, failed)) == []
        visitor = await hub.visitor("alice")
        page = (await visitor.get(f"renku/projects/{project.path}/-/sessions/{session.id}")).text
        assert 'name="without_storages" value="era5"' in page
        form = {"_xsrf": xsrf(visitor), "without_storages": "era5"}
        await visitor.post(f"renku/projects/{project.path}/-/sessions/{session.id}/start", data=form)
        running = await hub.becomes(session, InstanceStatus.RUNNING)
        assert running.without_storages == ("era5",)
        assert [notice["title"] for notice in running.notices] == ["Started without era5."]
        seen = json.loads((work(hub, running) / "seen.json").read_text())
        assert list(seen) == ["shared"]
        await act(hub, session, "pause")
        await hub.becomes(session, InstanceStatus.PAUSED)
        await act(hub, session)
        again = await hub.becomes(session, InstanceStatus.FAILED)
        assert again.failed_storages == ("era5",), "the next start has all storages again"
        said = await act(hub, session, without_storages=["era5", "nowhere", "gauges"])
        assert said["without_storages"] == ["era5", "gauges", "nowhere"]
        await hub.becomes(session, InstanceStatus.RUNNING)


async def test_where_nothing_can_be_mounted_a_session_starts_and_says_what_is_missing(hub, monkeypatch, tmp_path):
    monkeypatch.setattr(rclone, "_FUSE_DEVICE", tmp_path / "no-fuse")
    project, alice = await hub.project(), hub.person("alice")
    for new in (webdav(1), volume("shared")):
        await add_storage(hub.parts, alice, project.id, new)
    session = await hub.session(project)
    await act(hub, session)
    instance = await hub.becomes(session, InstanceStatus.RUNNING)
    assert [notice["code"] for notice in instance.notices] == ["storage_not_here", "storage_unprotected"]
    assert (work(hub, instance) / "shared" / "june" / "deep.txt").read_text() == "19.2"
    visitor = await hub.visitor("alice")
    page = (await visitor.get(f"renku/projects/{project.path}/-/settings")).text
    assert "Not available here: this machine lacks rclone or FUSE." in page
    assert page.count("Not available here") == 1


@pytest.mark.parametrize(
    ("path", "said"),
    [("out", "Its folder leads out of the volume."), ("gone", "There is no such folder."), ("slow", "does not answer")],
)
async def test_a_folder_of_a_volume_that_leads_out_is_gone_or_does_not_answer_is_told(
    tmp_path, monkeypatch, path, said
):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "out").symlink_to("/etc")
    declared = SharedVolume(name="shared", directory=str(tmp_path / "shared"))
    if path == "slow":
        asked = threading.Event()
        monkeypatch.setattr(storages, "_FOLDER_TIMEOUT_SECONDS", 0.05)
        monkeypatch.setattr(storages, "_resolve_volume_folder", lambda *_: asked.wait(5))
    with pytest.raises(MountFailed, match=said):
        await _find_volume_folder(declared, path)
    if path == "slow":
        asked.set()
