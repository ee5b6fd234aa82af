"""How secrets are kept: encrypted in the database, or for one start in memory."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import Protocol

from ..domain.storage import Storage
from ..remote.cache import Cache

ONCE_SECONDS = 3600.0  # a start may wait in a queue
_ONCE_MOST = 10_000


class Unreadable(Exception):
    """What was kept was encrypted with a key that the hub has no more, or for somebody else."""


class Keeper(Protocol):
    """Encrypts for one owner, which is named again when it is read."""

    @property
    def available(self) -> bool:
        """Whether the hub has a key."""

    async def seal(self, owner: str, secrets: Mapping[str, str]) -> str:
        """*secrets* encrypted, to be kept as a text."""

    async def open(self, owner: str, sealed: str) -> dict[str, str]:
        """What was sealed for *owner*. Raises Unreadable."""


class NoKeeper:
    """Where there is no hub, there is no key."""

    available = False

    async def seal(self, owner: str, secrets: Mapping[str, str]) -> str:
        raise Unreadable

    async def open(self, owner: str, sealed: str) -> dict[str, str]:
        raise Unreadable


class Once:
    """What people have entered and do not want to be kept: for an hour, in the memory of the hub alone."""

    def __init__(self) -> None:
        self._held: Cache[Mapping[str, str]] = Cache(_ONCE_MOST, monotonic)

    def hold(self, username: str, storage: Storage, secrets: Mapping[str, str]) -> None:
        self._held.put(_key(username, storage), dict(secrets), seconds=ONCE_SECONDS)

    def get(self, username: str, storage: Storage) -> Mapping[str, str] | None:
        return self._held.get(_key(username, storage))

    def forget(self, username: str, storage: Storage) -> None:
        self._held.forget(_key(username, storage))


def _key(username: str, storage: Storage) -> tuple[str, str, int]:
    """What was entered for one address is for no other: an edit makes another version."""
    return username, storage.id, storage.version
