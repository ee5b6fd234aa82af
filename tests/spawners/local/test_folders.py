"""Folders of instances: made for one's eyes only, measured, and removed whole without touching anything else."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from renku_spawner.spawners.in_pod.contents import count_files
from renku_spawner.spawners.local.folders import InstanceFolders
from tests.fixtures.fair import Stopwatch

CLAIM = "abcdefghijkl"


@pytest.fixture
def folders(tmp_path):
    return InstanceFolders(tmp_path / "instances")


def test_a_folder_is_made_for_its_owner_only(folders):
    folder = folders.create_folder(CLAIM)
    assert folder.path == folders.root / CLAIM
    assert {path.stat().st_mode & 0o777 for path in (folder.path, folder.work_dir)} == {0o700}
    assert folders.has_folder(CLAIM)


def test_making_it_again_keeps_what_is_in_it(folders):
    folder = folders.create_folder(CLAIM)
    (folder.work_dir / "a").write_text("mine")
    folder.work_dir.chmod(0o755)
    folders.create_folder(CLAIM)
    assert (folder.work_dir / "a").read_text() == "mine"
    assert folder.work_dir.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "claim",
    ["", ".", "..", "../abcdefghi", "abcdefghijk", "abcdefghijklm", "ABCDEFGHIJKL", "1bcdefghijkl", "abcdefghijkl\n"],
)
def test_what_is_no_id_names_no_folder(folders, claim):
    for act in (
        folders.create_folder,
        folders.has_folder,
        folders.measure_usage,
        folders.delete_folder,
        folders.get_folder,
    ):
        with pytest.raises(ValueError):
            act(claim)


@pytest.mark.parametrize("part", [CLAIM, f"{CLAIM}/work"])
def test_a_link_in_place_of_a_folder_is_refused(folders, tmp_path, part):
    outside = tmp_path / "outside"
    (outside / "work").mkdir(parents=True, mode=0o755)
    place = folders.root / part
    place.parent.mkdir(parents=True)
    place.symlink_to(outside)
    with pytest.raises(FileExistsError):
        folders.create_folder(CLAIM)
    assert not folders.has_folder(CLAIM)
    assert outside.stat().st_mode & 0o777 == 0o755


def test_removing_takes_everything(folders):
    folder = folders.create_folder(CLAIM)
    (folder.work_dir / "a" / "b").mkdir(parents=True)
    (folder.work_dir / "a" / "b" / "c").write_text("x")
    (folder.work_dir / "dead").symlink_to("nowhere")
    os.mkfifo(folder.work_dir / "fifo")
    folder.log_file.write_text("x")
    folders.delete_folder(CLAIM)
    assert not folders.has_folder(CLAIM)
    assert list(folders.root.iterdir()) == []


def test_removing_what_is_not_there_is_no_error(folders):
    folders.delete_folder(CLAIM)


def test_removing_follows_no_link(folders, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o500)
    (tmp_path / "file").write_text("precious")
    folder = folders.create_folder(CLAIM)
    (folder.work_dir / "folder").symlink_to(outside)
    (folder.work_dir / "file").symlink_to(tmp_path / "file")
    os.link(tmp_path / "file", folder.work_dir / "hard")
    folders.delete_folder(CLAIM)
    assert outside.stat().st_mode & 0o777 == 0o500
    assert (tmp_path / "file").read_text() == "precious"


def test_an_instance_that_is_a_link_is_not_removed(folders, tmp_path):
    (tmp_path / "outside").mkdir()
    folders.root.mkdir()
    (folders.root / CLAIM).symlink_to(tmp_path / "outside")
    with pytest.raises(NotADirectoryError):
        folders.delete_folder(CLAIM)
    assert (tmp_path / "outside").is_dir()


def test_what_a_killed_removal_left_over_goes_with_the_next(folders):
    (folders.root / ".removing-abcdefghijkl-0000" / "work").mkdir(parents=True)
    folders.delete_folder("zzzzzzzzzzzz")
    assert list(folders.root.iterdir()) == []


def test_neighbours_stay(folders):
    folders.create_folder(CLAIM)
    folders.create_folder("bbbbbbbbbbbb")
    folders.delete_folder(CLAIM)
    assert folders.has_folder("bbbbbbbbbbbb")


READ_ONLY = """
import os, sys
from pathlib import Path
from renku_spawner.spawners.local.folders import InstanceFolders
if os.getuid() == 0:  # root may do everything
    os.setgid(65534), os.setuid(65534)
folders = InstanceFolders(Path(sys.argv[1]))
work = folders.create_folder("abcdefghijkl").work_dir
(work / "closed" / "inner" / "deep").mkdir(parents=True)
(work / "closed" / "inner" / "file").write_text("x")
for path, mode in (("closed/inner/deep", 0), ("closed/inner", 0o500), ("closed", 0o100)):
    (work / path).chmod(mode)
work.chmod(0o500)
folders.delete_folder("abcdefghijkl")
print(os.getuid(), os.listdir(sys.argv[1]))
"""


def test_read_only_folders_are_no_obstacle():
    with tempfile.TemporaryDirectory() as top:  # not below tmp_path, where only its owner may go
        root = Path(top) / "instances"
        root.mkdir()
        for path in (top, root):
            os.chmod(path, 0o777)
        done = subprocess.run([sys.executable, "-c", READ_ONLY, root], check=False, capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.split(maxsplit=1)[1] == "[]\n"


def test_no_depth_is_too_deep(folders):
    folder = folders.create_folder(CLAIM)
    descriptor = os.open(folder.work_dir, os.O_RDONLY)
    name = "d" * 200
    for _ in range(1200):
        os.mkdir(name, dir_fd=descriptor)
        deeper = os.open(name, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = deeper
    os.close(descriptor)
    assert not folders.measure_usage(CLAIM).complete  # longer than a path may be
    folders.delete_folder(CLAIM)
    assert list(folders.root.iterdir()) == []


def test_used_counts_what_the_disk_holds(folders):
    work = folders.create_folder(CLAIM).work_dir
    (work / "a").mkdir()
    (work / "a" / "full").write_bytes(os.urandom(10_000))
    os.link(work / "a" / "full", work / "second-name")
    (work / "link").symlink_to("/")
    used = folders.measure_usage(CLAIM)
    assert (used.files, used.complete) == (3, True)
    assert 10_000 <= used.bytes < 20_000


def test_what_is_skipped_is_not_counted_and_only_at_the_top(tmp_path):
    for path in ("code", "other/code"):
        (tmp_path / path).mkdir(parents=True)
        (tmp_path / path / "file").write_text("x")
    assert count_files(tmp_path, skip=["code"]).files == 1


def test_counting_ends(tmp_path):
    for number in range(50):
        (tmp_path / f"{number}").write_text("x")
    counted = count_files(tmp_path, entries=10)
    assert (counted.files, counted.complete) == (10, False)
    took = Stopwatch()
    assert not count_files(tmp_path, seconds=0).complete
    assert took() < 1


def test_what_is_not_there_is_not_complete(tmp_path):
    assert count_files(tmp_path / "nowhere") == count_files(tmp_path / "nowhere", seconds=9)
    assert not count_files(tmp_path / "nowhere").complete
