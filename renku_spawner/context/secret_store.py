"""The interface that encrypts secrets, and a store of one-time secrets that are kept in memory only.

The implementation with the hub's key is in `hub.services`.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import Protocol

from ..domain.storages import Storage
from ..integrations.net.cache import TTLCache

ONE_TIME_SECRET_TTL_SECONDS = 3600.0  # the start may have to wait in the queue
_MAX_ONE_TIME_SECRETS = 10_000


class UnreadableSecret(Exception):
    """A secret was encrypted for another owner, or with a key that the hub no longer has."""


class SecretStore(Protocol):
    """Encrypt secrets for one owner, who must be named again to decrypt them."""

    @property
    def is_available(self) -> bool:
        """True if the hub has an encryption key."""

    async def encrypt_secrets(self, owner: str, secrets: Mapping[str, str]) -> str:
        """Return *secrets*, encrypted, as text to store."""

    async def decrypt_secrets(self, owner: str, sealed: str) -> dict[str, str]:
        """Return the secrets that were encrypted for *owner*. Raises UnreadableSecret."""


class NoSecretStore:
    """The secret store without a hub: there is no key."""

    is_available = False

    async def encrypt_secrets(self, owner: str, secrets: Mapping[str, str]) -> str:
        raise UnreadableSecret

    async def decrypt_secrets(self, owner: str, sealed: str) -> dict[str, str]:
        raise UnreadableSecret


class OneTimeSecrets:
    """Credentials that users entered without storing them, kept for one hour in the hub's memory only."""

    def __init__(self) -> None:
        self._held: TTLCache[Mapping[str, str]] = TTLCache(_MAX_ONE_TIME_SECRETS, monotonic)

    def put(self, username: str, storage: Storage, secrets: Mapping[str, str]) -> None:
        self._held.put(_build_one_time_cache_key(username, storage), dict(secrets), seconds=ONE_TIME_SECRET_TTL_SECONDS)

    def get(self, username: str, storage: Storage) -> Mapping[str, str] | None:
        return self._held.get(_build_one_time_cache_key(username, storage))

    def delete(self, username: str, storage: Storage) -> None:
        self._held.delete(_build_one_time_cache_key(username, storage))


def _build_one_time_cache_key(username: str, storage: Storage) -> tuple[str, str, int]:
    """Include the version of the storage: credentials entered for one address are not used for another."""
    return username, storage.id, storage.version
