"""What our extension counts, in the server of a session."""

import os
from pathlib import Path

from renku_session import size
from renku_session.hub import Hub

from renku_spawner.spawners.in_pod.contents import inspect_contents
from renku_spawner.spawners.local.folders import InstanceFolders, build_folder_inventory


def test_a_size_counts_each_file_once_and_follows_no_link(tmp_path: Path) -> None:
    work, elsewhere = tmp_path / "work", tmp_path / "elsewhere"
    (work / "deep").mkdir(parents=True)
    elsewhere.write_bytes(b"x" * 10**7)
    (work / "link").symlink_to(elsewhere)
    empty = size.of(str(work))
    (work / "deep" / "data").write_bytes(b"x" * 10**6)
    full = size.of(str(work))
    os.link(work / "deep" / "data", work / "again")
    assert empty is not None and full is not None
    assert 10**6 <= full - empty < 10**6 + 8192
    assert size.of(str(work)) == full


def test_one_folder_has_one_size_whoever_counts_it(tmp_path: Path) -> None:
    folders = InstanceFolders(tmp_path)
    folder = folders.create_folder("abcdefghijkl")
    for name in ("a/b/c", ".local/lib", "lost+found"):
        (folder.work_dir / name).mkdir(parents=True)
    for name in ("a/b/c/data", ".local/lib/package", "lost+found/rest"):
        (folder.work_dir / name).write_bytes(b"x" * 10**6)
    os.link(folder.work_dir / "a/b/c/data", folder.work_dir / "again")
    folder.log_file.write_bytes(b"x" * 10**6)
    reported = size.of(str(folder.work_dir))
    (thing,) = build_folder_inventory(folders).things
    assert inspect_contents(folder.work_dir).total.bytes == reported
    assert int(thing.size) == reported
    assert folders.measure_usage("abcdefghijkl").bytes == reported
    assert 2 * 10**6 <= (reported or 0) < 2 * 10**6 + 16_384


def test_what_is_too_much_to_count_has_no_size(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(size, "_MOST", 2)
    for name in "abc":
        (tmp_path / name).touch()
    assert size.of(str(tmp_path)) is None


def test_without_a_hub_or_a_session_nobody_is_told() -> None:
    hub = {"JUPYTERHUB_API_URL": "http://hub/api", "JUPYTERHUB_API_TOKEN": "secret"}
    assert Hub.of({}) is None
    assert Hub.of(hub) is None
    assert Hub.of({**hub, "RENKU_SESSION_ID": "abc"})
