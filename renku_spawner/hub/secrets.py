"""Encrypt stored user secrets with the hub's own keys (`JUPYTERHUB_CRYPT_KEY`)."""

from __future__ import annotations

from collections.abc import Mapping

from jupyterhub.crypto import CryptKeeper, InvalidToken

from ..context.secret_store import UnreadableSecret


class HubSecretStore:
    """Implement `context.secret_store.SecretStore` with the hub's `CryptKeeper`."""

    @property
    def is_available(self) -> bool:
        return CryptKeeper.instance().fernet is not None

    async def encrypt_secrets(self, owner: str, secrets: Mapping[str, str]) -> str:
        sealed: bytes = await CryptKeeper.instance().encrypt({"owner": owner, "secrets": dict(secrets)})
        return sealed.decode("ascii")

    async def decrypt_secrets(self, owner: str, sealed: str) -> dict[str, str]:
        if not self.is_available:
            raise UnreadableSecret
        try:
            found = await CryptKeeper.instance().decrypt(sealed.encode("ascii"))
        except (InvalidToken, ValueError):
            raise UnreadableSecret from None
        if found["owner"] != owner:  # the ciphertext was copied from another user's row
            raise UnreadableSecret
        return dict(found["secrets"])
