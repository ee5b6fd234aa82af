"""Encrypts what people entrust to the hub, with the hub's own keys (`JUPYTERHUB_CRYPT_KEY`)."""

from __future__ import annotations

from collections.abc import Mapping

from jupyterhub.crypto import CryptKeeper, InvalidToken

from .services.keeping import Unreadable


class HubKeeper:
    """`services.keeping.Keeper` by the hub's crypt keeper."""

    @property
    def available(self) -> bool:
        return CryptKeeper.instance().fernet is not None

    async def seal(self, owner: str, secrets: Mapping[str, str]) -> str:
        sealed: bytes = await CryptKeeper.instance().encrypt({"owner": owner, "secrets": dict(secrets)})
        return sealed.decode("ascii")

    async def open(self, owner: str, sealed: str) -> dict[str, str]:
        if not self.available:
            raise Unreadable
        try:
            found = await CryptKeeper.instance().decrypt(sealed.encode("ascii"))
        except (InvalidToken, ValueError):
            raise Unreadable from None
        if found["owner"] != owner:  # somebody has moved it to another row
            raise Unreadable
        return dict(found["secrets"])
