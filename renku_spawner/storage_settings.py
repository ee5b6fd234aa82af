"""The settings about storages that projects have: which kinds, from where, and whether the hub looks into them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from traitlets import Bool, List, Set, Unicode

from . import settings, volume_settings
from .domain.storage_kinds import KINDS, USUAL
from .registry.guard import Guard
from .registry.relay import Relay
from .services.storage_looks import SFTP_PORT
from .settings import SettingError, once
from .volume_settings import VolumeSettings


class StorageSettings(VolumeSettings):
    """Those of the settings of `c.Renku` that are about storages."""

    storage_kinds = List(
        Unicode(),
        default_value=list(USUAL),
        config=True,
        help=f"""
        Kinds of storages that editors may add to projects, in the order in which they are offered: of
        {", ".join(f"`{name}`" for name in KINDS)}. Without `volume` nobody gets what `Renku.volumes` declares.
        """,
    )
    storage_hosts = Set(
        Unicode(),
        config=True,
        help="""
        Hosts (`host` or `host:port`) of storages that are no public hosts, have another port than 443 (SFTP: 22) or
        no TLS, for example `{"minio.internal:9000"}`. Listing a host lets every editor make the hub, and sessions,
        connect to it.
        """,
    )
    storage_check = Bool(
        True,
        config=True,
        help="""
        Whether the hub itself looks into a storage before it is saved: it lists the folder with rclone, if that is
        installed beside the hub, for at most ten seconds. Otherwise storages are saved as *not checked*.
        """,
    )

    def relay(self) -> Relay:
        """How storages are asked. Raises SettingError."""
        hosts = settings.hosts(self.storage_hosts, name="storage_hosts")
        return Relay(Guard(hosts=hosts, plain_http=hosts, ports=(SFTP_PORT,)))

    def storage_policy(self) -> dict[str, Any]:
        """What they settle, as fields of the policy. Raises SettingError."""
        return {
            "storage_kinds": storage_kinds(self.storage_kinds),
            "storage_check": self.storage_check,
            "volumes": volume_settings.volumes(self.volumes),
            "rclone_storage_class": volume_settings.storage_class(self.rclone_storage_class),
        }


def storage_kinds(names: Sequence[str]) -> tuple[str, ...]:
    """The value of `Renku.storage_kinds`. Raises SettingError."""
    for name in names:
        if name not in KINDS:
            raise SettingError(f"Renku.storage_kinds: there is no kind {name!r}; known are {', '.join(KINDS)}.")
    once("storage_kinds", names)
    return tuple(names)
