"""Volumes that an admin declares: what they may say, and who may use one."""

from typing import Any

import pytest

from renku_spawner.config.storages import parse_storage_class_setting, parse_volumes_setting
from renku_spawner.domain.access import Person
from renku_spawner.domain.storages import NfsExport, SharedVolume
from tests.config.test_settings import said

VOLUME = {"name": "reference", "claim": "reference-data"}
WRONG_VOLUMES: list[tuple[dict[str, Any], str]] = [
    (
        {"clam": "a"},
        "entry 1: 'clam' is not known; known are name, description, claim, nfs, directory, users, groups, ",
    ),
    ({"name": ""}, "'name'"),
    ({"name": "Reference"}, "'name'"),
    ({"name": "a/b"}, "'name'"),
    ({"claim": "Reference"}, "'claim'"),
    ({"claim": "-a"}, "'claim'"),
    ({"claim": 3}, "'claim'"),
    ({"directory": "data"}, "'directory'"),
    ({"users": "alice"}, "'users'"),
    ({"read_only": "yes"}, "'read_only'"),
]
ALONE: list[tuple[dict[str, Any], str]] = [
    ({"claim": ""}, "a volume is one of claim, nfs and directory"),
    ({"directory": "/data"}, "a volume is one of claim, nfs and directory"),
    ({"claim": "", "directory": "/data/../etc"}, "/data/../etc should be written as /etc"),
    ({"claim": "", "directory": "/data/"}, "/data/ should be written as /data"),
    ({"claim": "", "nfs": {"server": "a b", "path": "/x"}}, "'nfs.server'"),
    ({"claim": "", "nfs": {"server": "nfs", "path": "x"}}, "'nfs.path'"),
    ({"claim": "", "nfs": {"server": "nfs", "path": "/x/.."}}, "/x/.. should be written as /"),
    ({"projects": ["ada/climate"]}, "ada/climate is not a project id"),
    ({"description": "x" * 2001}, "description of 'reference'"),
]


@pytest.mark.parametrize(("change", "sentence"), [*WRONG_VOLUMES, *ALONE])
def test_a_volume_that_cannot_be_is_named(change: dict[str, Any], sentence: str) -> None:
    text = said(parse_volumes_setting, [VOLUME | change])
    assert text.startswith("Renku.volumes")
    assert sentence in text


def test_what_is_right_becomes_a_volume_that_is_read_only_unless_somebody_says_otherwise() -> None:
    archive = {"name": "archive", "nfs": {"server": "nfs.example.org", "path": "/export"}, "read_only": False}
    assert parse_volumes_setting([VOLUME, archive]) == (
        SharedVolume(name="reference", claim="reference-data"),
        SharedVolume(name="archive", nfs=NfsExport(server="nfs.example.org", path="/export"), read_only=False),
    )
    assert said(parse_volumes_setting, [VOLUME, VOLUME]) == "Renku.volumes: 'reference' is listed twice."
    assert said(parse_storage_class_setting, "csi rclone").startswith("Renku.rclone_storage_class: 'csi rclone'")


ADA = Person(name="ada", groups=frozenset({"lab"}))
PROJECT, OTHER = "projectaaaaa", "projectbbbbb"


@pytest.mark.parametrize(
    ("limits", "project", "may"),
    [
        ({}, PROJECT, True),
        ({"users": {"ada"}}, PROJECT, True),
        ({"users": {"bob"}}, PROJECT, False),
        ({"users": set()}, PROJECT, False),
        ({"groups": {"lab"}}, PROJECT, True),
        ({"users": {"bob"}, "groups": {"lab"}}, PROJECT, True),
        ({"users": {"bob"}, "groups": {"staff"}}, PROJECT, False),
        ({"projects": {PROJECT}}, PROJECT, True),
        ({"projects": {PROJECT}}, OTHER, False),
        ({"projects": {PROJECT}, "users": {"ada"}}, OTHER, False),
        ({"projects": {PROJECT}, "users": {"bob"}}, PROJECT, False),
    ],
)
def test_who_may_use_a_volume_and_where(limits: dict[str, set[str]], project: str, may: bool) -> None:
    volume = SharedVolume(name="a", claim="a", **{key: frozenset(value) for key, value in limits.items()})
    assert volume.is_usable_by(ADA, project) is may


def test_a_folder_is_for_this_machine_and_the_others_are_for_a_cluster() -> None:
    folder, claim = SharedVolume(name="a", directory="/data"), SharedVolume(name="b", claim="b")
    assert (folder.is_available(local=True), folder.is_available(local=False)) == (True, False)
    assert (claim.is_available(local=True), claim.is_available(local=False)) == (False, True)
