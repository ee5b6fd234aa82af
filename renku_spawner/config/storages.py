"""Settings of `c.Renku` about storages of projects and the volumes that an administrator declares."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Any, Self

from pydantic import Field, model_validator
from traitlets import Bool, Dict, List, Set, Unicode
from traitlets.config import LoggingConfigurable

from ..domain.errors import SettingError
from ..domain.ids import is_valid_id
from ..domain.projections import list_input_fields, to_domain_values, with_fields
from ..domain.storages import DEFAULT_STORAGE_KINDS, STORAGE_KINDS_BY_NAME, NfsExport, SharedVolume
from ..domain.text import clean_description
from ..integrations.net.egress_proxy import EgressProxyFactory
from ..integrations.net.guarded_http import EgressGuard
from ..usecases.storage_probes import DEFAULT_SFTP_PORT
from .parsing import (
    ProjectedSettingModel,
    SettingModel,
    convert_to_setting_error,
    parse_hosts_setting,
    require_unique_entries,
    validate_setting_entry,
)

# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-subdomain-names
_OBJECT_NAME_REGEX = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*"
_STORAGE_CLASS_PATTERN = re.compile(rf"({_OBJECT_NAME_REGEX})?")


class VolumeSettings(LoggingConfigurable):
    """Settings of `c.Renku` about mounting storages."""

    volumes = List(
        Dict(),
        config=True,
        help="""
        Existing volumes that projects may mount as a storage. Each has a `name` and one of: `claim`, a
        PersistentVolumeClaim in the namespace of the sessions; `nfs`, an NFS export; `directory`, a folder of this
        machine, for `RenkuLocalSpawner`. `users` and `groups` limit who may use it; without both, all users may.
        `projects`, a list of project ids, limits the projects in which it may be used. Both are checked when the volume
        is added to a project and at each start. `read_only` is true by default; set it to `False` to allow writing.

        For example::

            c.Renku.volumes = [
                {"name": "reference", "description": "Genomes, since 2019", "claim": "reference-data"},
                {"name": "scratch", "claim": "scratch", "groups": ["lab"], "read_only": False},
                {"name": "archive", "nfs": {"server": "nfs.example.org", "path": "/export/archive"}},
            ]

        The Pod Security Standard *restricted* refuses pods with an `nfs` volume. If the sessions' namespace enforces
        it, create a PersistentVolume for the export and declare its claim.
        """,
    )
    rclone_storage_class = Unicode(
        config=True,
        help="""
        StorageClass of the driver csi-rclone that reads a claim's Secret from its annotation, such as
        `csi-rclone-secret-annotation`. If empty, the default, storages on S3, WebDAV and the like are not available on
        this cluster.
        """,
    )


class NfsVolumeSetting(SettingModel):
    """Schema of `nfs` in an entry of `Renku.volumes`."""

    server: str = Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?$")
    path: str = Field(pattern=r"^/[^\x00\n]*$", max_length=4096)

    def to_value(self) -> NfsExport:
        return NfsExport(server=self.server, path=self.path)


@with_fields(list_input_fields(SharedVolume, {}))
class VolumeSetting(ProjectedSettingModel):
    """Schema of an entry in `Renku.volumes`."""

    name: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")
    claim: str = Field("", pattern=rf"^({_OBJECT_NAME_REGEX})?$", max_length=253)
    nfs: NfsVolumeSetting | None = None
    directory: str = Field("", pattern=r"^(/[^\x00\n]*)?$", max_length=4096)

    @model_validator(mode="after")
    def _check_volume(self) -> Self:
        if sum(map(bool, (self.claim, self.nfs, self.directory))) != 1:
            raise ValueError("a volume is one of claim, nfs and directory")
        for path in (self.directory, self.nfs.path if self.nfs else ""):
            if path and posixpath.normpath(path) != path:
                raise ValueError(f"{path} should be written as {posixpath.normpath(path)}")
        for project in self.projects or ():
            if not is_valid_id(project):
                raise ValueError(
                    f"{project} is not a project id. Use the id that the API shows, since paths can change"
                )
        return self


def parse_volumes_setting(entries: Sequence[Mapping[str, Any]]) -> tuple[SharedVolume, ...]:
    """Parse `Renku.volumes`. Raises SettingError."""
    read = [validate_setting_entry(VolumeSetting, "volumes", number, entry) for number, entry in enumerate(entries, 1)]
    require_unique_entries("volumes", [setting.name for setting in read])
    return tuple(_build_volume(setting) for setting in read)


def _build_volume(setting: VolumeSetting) -> SharedVolume:
    fields = to_domain_values(SharedVolume, setting)
    with convert_to_setting_error("volumes", setting.name):
        fields["description"] = clean_description(setting.description)
    return SharedVolume(**fields)


def parse_storage_class_setting(name: str) -> str:
    """Check `Renku.rclone_storage_class` and return it. Raises SettingError."""
    if not _STORAGE_CLASS_PATTERN.fullmatch(name):
        raise SettingError(f"Renku.rclone_storage_class: {name!r} is not a valid name of a StorageClass.")
    return name


class StorageSettings(VolumeSettings):
    """Settings of `c.Renku` about storages of projects."""

    storage_kinds = List(
        Unicode(),
        default_value=list(DEFAULT_STORAGE_KINDS),
        config=True,
        help=f"""
        Kinds of storages that editors may add to projects, in the order in which they are offered. Possible kinds are
        {", ".join(f"`{name}`" for name in STORAGE_KINDS_BY_NAME)}.
        Without `volume`, the volumes of `Renku.volumes` are not available.
        """,
    )
    storage_hosts = Set(
        Unicode(),
        config=True,
        help="""
        Hosts (`host` or `host:port`) of storages that are allowed although they are not public, have another port than
        443 (SFTP: 22) or no TLS, for example `{"minio.internal:9000"}`. Listing a host lets every editor make the hub
        and sessions connect to it.
        """,
    )
    storage_check = Bool(
        True,
        config=True,
        help="""
        Check storages before they are saved: the hub lists the folder with rclone, for at most ten seconds. Without
        this, or if rclone is not installed with the hub, storages are saved as *not checked*.
        """,
    )

    def build_egress_proxies(self) -> EgressProxyFactory:
        """Return the factory of egress proxies, through which storages are checked. Raises SettingError."""
        hosts = parse_hosts_setting(self.storage_hosts, name="storage_hosts")
        return EgressProxyFactory(EgressGuard(hosts=hosts, plain_http=hosts, ports=(DEFAULT_SFTP_PORT,)))

    def build_storage_policy(self) -> dict[str, Any]:
        """Return these settings as fields of `HubPolicy`. Raises SettingError."""
        return {
            "storage_kinds": parse_storage_kinds_setting(self.storage_kinds),
            "storage_check": self.storage_check,
            "volumes": parse_volumes_setting(self.volumes),
            "rclone_storage_class": parse_storage_class_setting(self.rclone_storage_class),
        }


def parse_storage_kinds_setting(names: Sequence[str]) -> tuple[str, ...]:
    """Parse `Renku.storage_kinds`. Raises SettingError."""
    for name in names:
        if name not in STORAGE_KINDS_BY_NAME:
            raise SettingError(
                f"Renku.storage_kinds: there is no kind {name!r}; known are {', '.join(STORAGE_KINDS_BY_NAME)}."
            )
    require_unique_entries("storage_kinds", names)
    return tuple(names)
