"""Storages of real servers in a working directory of this machine, mounted with FUSE, and folders linked to."""

import asyncio
import os
import shutil
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from renku_spawner.domain.storages import HostKey, StorageProbeOutcome
from renku_spawner.integrations.rclone import find_rclone, obscure_secret
from renku_spawner.spawners.in_pod.contents import count_files, inspect_contents
from renku_spawner.spawners.local import mounts
from renku_spawner.spawners.local.folders import InstanceFolder, InstanceFolders, list_mount_points
from renku_spawner.spawners.local.mounts import (
    MountFailed,
    MountSpec,
    _list_mount_processes,
    link_folder,
    mount_remote,
    remove_mounts,
)
from renku_spawner.spawners.local.process import read_process_command
from tests.fixtures.remotes import PASSWORD, USER, s3, served, slow

CLAIM = "claimaaaaaaa"
HOST_KEY = (  # of no server
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBH+kGjiywkesphiTf8"
    "f5RFDg1u5zWLX6M4uS/yRackeL7sr1RLk2OCgNclUtM9SpWV6ilrDORJO0fkaybk83Kfw="
)
FIXED = {"env_auth": "false", "no_check_bucket": "true", "provider": "Other"}


@pytest.fixture(scope="module")
def remotes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, MountSpec]]:
    """What is mounted of each server, by kind; in each there is `june.txt`."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "era5").mkdir()
    (folder / "era5" / "june.txt").write_text("19.2 C\n")
    keys = {"user": USER, "pass": obscure_secret(PASSWORD)}
    with ExitStack() as servers:
        webdav, sftp = (servers.enter_context(served(kind, folder)) for kind in ("webdav", "sftp"))
        bucket = servers.enter_context(s3(tmp_path_factory.mktemp("s3")))
        found = {
            "webdav": {"type": "webdav", "url": f"http://127.0.0.1:{webdav}", **keys},
            "sftp": {"type": "sftp", "host": "127.0.0.1", "port": str(sftp), "shell_type": "none", **keys},
            "s3": {"type": "s3", **FIXED, **vars(bucket)},
        }
        paths = {"s3": "climate/era5"}
        yield {
            kind: MountSpec(key=kind, directory=kind, path=paths.get(kind, "era5"), options=o)
            for kind, o in found.items()
        }


@pytest.fixture
async def folder(tmp_path: Path) -> AsyncIterator[InstanceFolder]:
    found = InstanceFolders(tmp_path / "root").create_folder(CLAIM)
    yield found
    await remove_mounts(found)


def changed(wanted: MountSpec, **said: object) -> MountSpec:
    return MountSpec(**{**vars(wanted), **said})  # type: ignore[arg-type]


async def test_each_remote_is_read_and_nothing_can_be_written_to_it(
    remotes: dict[str, MountSpec], folder: InstanceFolder
) -> None:
    found = await asyncio.gather(*(mount_remote(folder, each) for each in remotes.values()))
    assert found == [StorageProbeOutcome.FINE] * 3
    for kind in remotes:
        assert (folder.work_dir / kind / "june.txt").read_text() == "19.2 C\n"
        with pytest.raises(OSError, match="Read-only file system"):
            (folder.work_dir / kind / "july.txt").write_text("no")
    (folder.work_dir / "mine.txt").write_text("own")
    seen = inspect_contents(folder.work_dir)
    assert (seen.total.files, seen.loose.files, seen.unsaved) == (1, 1, []), "a storage is not what would be lost"
    assert count_files(folder.path).complete
    await remove_mounts(folder)
    assert sorted(path.name for path in folder.work_dir.iterdir()) == ["mine.txt"]
    assert not _rclones(folder)


async def test_what_is_written_just_before_a_pause_is_there_afterwards(
    remotes: dict[str, MountSpec], folder: InstanceFolder
) -> None:
    wanted = [changed(remotes[kind], read_only=False) for kind in ("sftp", "s3")]
    await asyncio.gather(*(mount_remote(folder, each) for each in wanted))
    for each in wanted:
        (folder.work_dir / each.directory / f"{each.directory}.txt").write_text("mine")
    await remove_mounts(folder)
    shutil.rmtree(folder.path / "storages")  # what it may have kept on this machine
    await asyncio.gather(*(mount_remote(folder, each) for each in wanted))
    for each in wanted:
        assert (folder.work_dir / each.directory / f"{each.directory}.txt").read_text() == "mine"


async def test_a_remote_that_cannot_be_opened_says_why_and_leaves_nothing(
    remotes: dict[str, MountSpec], folder: InstanceFolder
) -> None:
    sftp, bucket, webdav = remotes["sftp"], remotes["s3"], remotes["webdav"]
    wrong = changed(sftp, options={**sftp.options, "pass": obscure_secret("guessed")})
    refused = changed(bucket, options={**bucket.options, "secret_access_key": "guessed"})
    strange = changed(sftp, known_hosts=HostKey.from_text(HOST_KEY).to_known_hosts_line(int(sftp.options["port"])))
    nowhere = changed(webdav, options={**webdav.options, "url": "http://127.0.0.1:1"})
    for wanted, said in (
        (wrong, StorageProbeOutcome.DENIED),
        (refused, StorageProbeOutcome.DENIED),
        (changed(bucket, path="vanished"), StorageProbeOutcome.NOT_FOUND),
        (changed(webdav, path="gone"), StorageProbeOutcome.NOT_FOUND),
        (strange, StorageProbeOutcome.HOST_KEY),
        (nowhere, StorageProbeOutcome.UNREACHABLE),
    ):
        with pytest.raises(MountFailed) as problem:
            await mount_remote(folder, wanted)
        assert str(problem.value) == said.description
    assert list(folder.work_dir.iterdir()) == []
    assert not _rclones(folder)


async def test_a_slow_remote_is_mounted_all_the_same(
    remotes: dict[str, MountSpec], folder: InstanceFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = remotes["webdav"].options
    monkeypatch.setattr(mounts, "MOUNT_PROBE_TIMEOUT_SECONDS", 0.3)
    with slow(int(options["url"].rsplit(":", 1)[1]), 1.0) as port:
        wanted = changed(remotes["webdav"], options={**options, "url": f"http://127.0.0.1:{port}"})
        assert await mount_remote(folder, wanted) is StorageProbeOutcome.SLOW
        text = await asyncio.to_thread((folder.work_dir / "webdav" / "june.txt").read_text)
        assert text == "19.2 C\n"
        await remove_mounts(folder)


async def test_a_folder_with_odd_owners_is_read_through_its_links_and_never_emptied(
    folder: InstanceFolder, tmp_path: Path
) -> None:
    """As an NFS export looks: nested, of people whom this machine does not know, with links that lead nowhere."""
    export = tmp_path / "export"
    (export / "a" / "b").mkdir(parents=True)
    (export / "a" / "b" / "deep.txt").write_text("deep")
    (export / "link.txt").symlink_to(export / "a" / "b" / "deep.txt")
    (export / "dangling").symlink_to("nowhere")
    os.chown(export / "a" / "b" / "deep.txt", 54321, 54321)
    (export / "a" / "b" / "deep.txt").chmod(0o444)
    options = {"type": "local", "copy_links": "true"}
    await mount_remote(folder, MountSpec(key="k", directory="read", path=str(export), options=options))
    link_folder(folder, "write", export)
    for name in ("read", "write"):
        assert (folder.work_dir / name / "link.txt").read_text() == "deep"
        assert (folder.work_dir / name / "a" / "b" / "deep.txt").read_text() == "deep"
    with pytest.raises(OSError, match="Read-only"):
        (folder.work_dir / "read" / "a" / "b" / "deep.txt").unlink()
    seen = inspect_contents(folder.work_dir)
    assert (seen.total.files, seen.total.complete) == (1, True), "the link itself, and nothing behind it"
    InstanceFolders(tmp_path / "root").delete_folder(CLAIM)
    assert not folder.path.exists()
    assert (export / "a" / "b" / "deep.txt").read_text() == "deep"


@pytest.mark.parametrize("name", ["..", ".", "", "../out", "/etc", "a/../../out", "a/b"])
async def test_a_hostile_name_of_a_directory_does_nothing(folder: InstanceFolder, name: str, tmp_path: Path) -> None:
    with pytest.raises(MountFailed):
        link_folder(folder, name, tmp_path)
    assert list(folder.work_dir.iterdir()) == []


@pytest.mark.parametrize("path", ["--config=/etc/passwd", "$(id)", "a\nb", "x,type=local:/etc", ":local:/etc"])
async def test_a_hostile_path_is_only_a_path_in_its_remote(
    remotes: dict[str, MountSpec], folder: InstanceFolder, path: str
) -> None:
    with pytest.raises(MountFailed) as problem:
        await mount_remote(folder, changed(remotes["webdav"], path=path))
    assert str(problem.value) == StorageProbeOutcome.NOT_FOUND.description


class SlowPath(type(Path())):  # type: ignore[misc]
    """A path on a disk that is slow to rename: each rename waits for a second one, if there is one within a second."""

    both = threading.Barrier(2)

    def replace(self, target: Path) -> Path:
        with suppress(threading.BrokenBarrierError):
            self.both.wait(timeout=1)
        return Path(super().replace(target))


async def test_two_storages_that_are_put_in_place_at_once_are_both_there_and_both_recorded(
    folder: InstanceFolder, tmp_path: Path
) -> None:
    targets = {name: tmp_path / name for name in ("shared", "scratch")}
    for target in targets.values():
        target.mkdir()
    slow = InstanceFolder(SlowPath(folder.path))
    await asyncio.gather(*(asyncio.to_thread(link_folder, slow, name, target) for name, target in targets.items()))
    assert {path.name: path.readlink() for path in folder.work_dir.iterdir()} == targets
    await remove_mounts(folder)
    assert list(folder.work_dir.iterdir()) == [], "a link that is not recorded would stay"


async def test_what_somebody_has_under_that_name_stays(folder: InstanceFolder, tmp_path: Path) -> None:
    (folder.work_dir / "data").mkdir()
    (folder.work_dir / "data" / "mine.txt").write_text("own")
    (folder.work_dir / "link").symlink_to(tmp_path)
    for name in ("data", "link"):
        with pytest.raises(MountFailed, match=f"something else called {name}"):
            link_folder(folder, name, tmp_path)
    await remove_mounts(folder)
    assert (folder.work_dir / "data" / "mine.txt").read_text() == "own"
    assert (folder.work_dir / "link").is_symlink()


async def test_a_mount_whose_server_has_died_is_taken_away(folder: InstanceFolder, tmp_path: Path) -> None:
    (tmp_path / "export").mkdir()
    await mount_remote(
        folder, MountSpec(key="k", directory="a", path=str(tmp_path / "export"), options={"type": "local"})
    )
    (child,) = _rclones(folder)
    os.kill(child, 9)
    await remove_mounts(folder)
    assert (list_mount_points(folder.work_dir), list(folder.work_dir.iterdir())) == ([], [])


_MAKER = """
import asyncio, os, sys
from renku_spawner.spawners.local import mounts
from renku_spawner.spawners.local.folders import InstanceFolders
folder = InstanceFolders(mounts.Path(sys.argv[1])).get_folder(sys.argv[2])
spec = mounts.MountSpec(key="k", directory="a", path=sys.argv[3], options={"type": "local"})
asyncio.run(mounts.mount_remote(folder, spec))
os.kill(os.getpid(), 9)
"""


async def test_a_mount_outlives_a_hub_that_is_killed_and_the_next_one_takes_it_away(
    folder: InstanceFolder, tmp_path: Path
) -> None:
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "a.txt").write_text("there")
    command = [sys.executable, "-c", _MAKER, str(folder.path.parent), CLAIM, str(tmp_path / "export")]
    killed = await asyncio.create_subprocess_exec(*command)
    assert await killed.wait() == -9
    assert (folder.work_dir / "a" / "a.txt").read_text() == "there"
    assert len(_rclones(folder)) == 1
    await remove_mounts(folder)
    assert (list_mount_points(folder.work_dir), list(folder.work_dir.iterdir()), _rclones(folder)) == ([], [], [])


_LATE = """#!/bin/sh
# Mount once the storage `first` is unmounted; the process that serves the mount is not known to the hub.
touch "{started}"
while grep -q " {first} " /proc/self/mountinfo; do sleep 0.02; done
shift
exec env -u RENKU_MOUNTS_OF "{rclone}" mount --daemon "$@"
"""


async def test_a_storage_that_is_mounted_while_its_session_ends_is_unmounted(
    remotes: dict[str, MountSpec], folder: InstanceFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, late, started = changed(remotes["webdav"], directory="first"), tmp_path / "late", tmp_path / "started"
    await mount_remote(folder, first)
    late.write_text(
        _LATE.format(started=started, first=os.path.realpath(folder.work_dir / "first"), rclone=find_rclone())
    )
    late.chmod(0o755)
    monkeypatch.setattr(mounts, "find_rclone", lambda: str(late))
    mounting = asyncio.create_task(mount_remote(folder, remotes["webdav"]))
    async with asyncio.timeout(30):
        while not started.exists():
            await asyncio.sleep(0.02)
    await remove_mounts(folder)
    await asyncio.gather(mounting, return_exceptions=True)
    assert list_mount_points(folder.work_dir) == []
    assert list(folder.work_dir.iterdir()) == []


def _rclones(folder: InstanceFolder) -> list[int]:
    """Not those by which they mount, which end at once."""
    found = (each.pid for each in _list_mount_processes(folder))
    return [pid for pid in found if read_process_command(pid)[:1] == [find_rclone()]]
