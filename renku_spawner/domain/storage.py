"""Storages of a project: data that sessions find in `/work` beside the code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from .host_keys import HostKey
from .storage_kinds import KINDS, Kind


class Credentials(StrEnum):
    """Whose credentials open a storage: nobody's, the project's (entered by an editor), or each user's own."""

    NONE = "none"
    PROJECT = "project"
    USER = "user"


class Outcome(StrEnum):
    """What came of listing a storage."""

    FINE = "fine"
    DENIED = "denied"
    NOT_FOUND = "not_found"
    NOT_ALLOWED = "not_allowed"
    UNKNOWN_HOST = "unknown_host"
    OTHER_PROTOCOL = "other_protocol"
    HOST_KEY = "host_key"
    UNREACHABLE = "unreachable"
    SLOW = "slow"
    NOT_CHECKED = "not_checked"

    @property
    def words(self) -> str:
        return _WORDS[self]

    @property
    def refuses(self) -> bool:
        """Whether it is certain that no session could open the storage."""
        return self in _REFUSING


_REFUSING = frozenset(
    {Outcome.DENIED, Outcome.NOT_FOUND, Outcome.NOT_ALLOWED, Outcome.UNKNOWN_HOST, Outcome.OTHER_PROTOCOL,
     Outcome.HOST_KEY}
)  # fmt: skip
_WORDS = {
    Outcome.FINE: "It can be opened.",
    Outcome.DENIED: "These credentials are refused.",
    Outcome.NOT_FOUND: "There is no such bucket or folder.",
    Outcome.NOT_ALLOWED: "The hub may not connect to this host.",
    Outcome.UNKNOWN_HOST: "There is no host of this name.",
    Outcome.OTHER_PROTOCOL: "The server answers, but not as a server of this kind does. Check its address.",
    Outcome.HOST_KEY: "The server shows another host key than the one that was confirmed.",
    Outcome.UNREACHABLE: "The server does not answer.",
    Outcome.SLOW: "The server is too slow: it did not list the folder in time.",
    Outcome.NOT_CHECKED: "Not checked.",
}


@dataclass(frozen=True, kw_only=True)
class Look:
    """What was found when somebody last looked into a storage."""

    outcome: Outcome
    at: datetime


@dataclass(frozen=True, kw_only=True)
class NewStorage:
    """What an editor says; `secrets` are credentials by the names of their options."""

    kind: str
    directory: str
    settings: Mapping[str, str] = field(default_factory=dict)
    path: str = ""
    credentials: Credentials = Credentials.NONE
    read_only: bool = True
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class StorageChange:
    """What an edit changes; None leaves a field as it is, also the directory: sessions know it by that.
    `version` is the one that the editor saw (decision 16)."""

    version: int
    settings: Mapping[str, str] | None = None
    path: str | None = None
    credentials: Credentials | None = None
    read_only: bool | None = None
    secrets: Mapping[str, str] | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Storage:
    """A storage as everybody in the project sees it: no credential is in it.

    `path` lies inside the remote, in S3 with the bucket as its first part; `kept` says
    whether the project's credentials are stored.
    """

    id: str
    project: str
    position: int
    directory: str
    kind: str
    settings: Mapping[str, str]
    path: str
    credentials: Credentials
    read_only: bool
    created_by: str
    created_at: datetime
    version: int = 1
    kept: bool = False
    checked: Look | None = None

    @property
    def of_kind(self) -> Kind:
        return KINDS[self.kind]

    @property
    def host_key(self) -> HostKey | None:
        """The key that an editor has confirmed for an SSH server; None of a storage from before keys were asked for."""
        text = self.settings.get("host_key")
        return HostKey.from_text(text) if text else None

    @property
    def known_hosts(self) -> str:
        """The content of the `known_hosts` file for its server; empty without a confirmed key."""
        return self.host_key.known_hosts(int(self.settings.get("port", 22))) if self.host_key else ""

    @property
    def words(self) -> str:
        """As in `S3, read only`."""
        return f"{self.of_kind.label}, {'read only' if self.read_only else 'read and write'}"


@dataclass(frozen=True, kw_only=True)
class OwnCredentials:
    """Credentials that a person typed for one version of a storage, and means for no other."""

    version: int
    secrets: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Mounted:
    """A storage that a start gets.

    `options` are those of an rclone remote, `type` among them, as its configuration has them: one line each,
    credentials in the clear but for those that rclone wants obscured. They are empty for a volume.
    """

    storage: Storage
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
