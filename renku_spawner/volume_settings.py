"""The settings about how storages get into sessions: volumes that an admin declares, and how remotes are mounted."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Any, Self

from pydantic import Field, model_validator
from traitlets import Dict, List, Unicode
from traitlets.config import LoggingConfigurable

from .domain import text
from .domain.names import is_id
from .domain.volume import Nfs, Volume
from .settings import Setting, SettingError, once, said_of, validated

# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-subdomain-names
_OBJECT = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*"
_CLASS = re.compile(rf"({_OBJECT})?")


class VolumeSettings(LoggingConfigurable):
    """Those of the settings of `c.Renku` that are about how storages are mounted."""

    volumes = List(
        Dict(),
        config=True,
        help="""
        What was there before Renku and projects may have as a storage. Each has a `name` and one of: `claim`, a
        PersistentVolumeClaim in the namespace of the sessions; `nfs`, what a server exports; `directory`, a folder of
        this machine for `RenkuLocalSpawner`. `users` and `groups` say who may use it, everybody if both are left out,
        and `projects`, a list of their ids, in which, all if left out; both are looked at when it is added to a project
        and at each start. `read_only` is true if left out, and then nobody can write to it.

        For example::

            c.Renku.volumes = [
                {"name": "reference", "description": "Genomes, since 2019", "claim": "reference-data"},
                {"name": "scratch", "claim": "scratch", "groups": ["lab"], "read_only": False},
                {"name": "archive", "nfs": {"server": "nfs.example.org", "path": "/export/archive"}},
            ]

        The Pod Security Standard *restricted* refuses pods with an `nfs` volume: where the sessions' namespace enforces
        it, make a PersistentVolume of the export and declare its claim.
        """,
    )
    rclone_storage_class = Unicode(
        config=True,
        help="""
        StorageClass of the driver csi-rclone that takes a claim's Secret from its annotation, such as
        `csi-rclone-secret-annotation`. Empty: storages on S3, WebDAV and the like cannot be had on this cluster.
        """,
    )


class NfsSetting(Setting):
    """`nfs` of a volume."""

    server: str = Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?$")
    path: str = Field(pattern=r"^/[^\x00\n]*$", max_length=4096)


class VolumeSetting(Setting):
    """One entry of `Renku.volumes`."""

    name: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")
    description: str = ""
    claim: str = Field("", pattern=rf"^({_OBJECT})?$", max_length=253)
    nfs: NfsSetting | None = None
    directory: str = Field("", pattern=r"^(/[^\x00\n]*)?$", max_length=4096)
    users: list[str] | None = None
    groups: list[str] | None = None
    projects: list[str] | None = None
    read_only: bool = True

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if sum(map(bool, (self.claim, self.nfs, self.directory))) != 1:
            raise ValueError("a volume is one of claim, nfs and directory")
        for path in (self.directory, self.nfs.path if self.nfs else ""):
            if path and posixpath.normpath(path) != path:
                raise ValueError(f"{path} should be written as {posixpath.normpath(path)}")
        for project in self.projects or ():
            if not is_id(project):
                raise ValueError(
                    f"{project} is no project's id, which its API shows: a path may be another one's tomorrow"
                )
        return self


def volumes(entries: Sequence[Mapping[str, Any]]) -> tuple[Volume, ...]:
    """The volumes of `Renku.volumes`. Raises SettingError."""
    read = [validated(VolumeSetting, "volumes", number, entry) for number, entry in enumerate(entries, 1)]
    once("volumes", [setting.name for setting in read])
    return tuple(_volume(setting) for setting in read)


def _volume(setting: VolumeSetting) -> Volume:
    said = setting.model_dump()
    for key in ("users", "groups", "projects"):
        said[key] = None if said[key] is None else frozenset(said[key])
    said["nfs"] = Nfs(**said["nfs"]) if said["nfs"] else None
    with said_of("volumes", setting.name):
        said["description"] = text.description(setting.description)
    return Volume(**said)


def storage_class(name: str) -> str:
    """The value of `Renku.rclone_storage_class`. Raises SettingError."""
    if not _CLASS.fullmatch(name):
        raise SettingError(f"Renku.rclone_storage_class: {name!r} is no name of a StorageClass.")
    return name
