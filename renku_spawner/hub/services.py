"""The hub's part of the application context: groups, users, GitLab tokens, encryption and the event log."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from jupyterhub import orm
from jupyterhub.crypto import CryptKeeper, InvalidToken

from ..config.renku import HubServices
from ..context.secret_store import UnreadableSecret
from ..observability.events import create_event_emitter
from .gitlab_login import HubTokenProvider
from .jupyterhub import HubApp


def build_hub_services(hub: HubApp) -> HubServices:
    """Return what the application context needs of *hub*. Groups and users are read at each call, as they are then."""

    def list_groups() -> list[str]:
        return [name for (name,) in hub.db.query(orm.Group.name)]

    def get_user_groups(name: str) -> list[str]:
        user = orm.User.find(hub.db, name)
        return [group.name for group in user.groups] if user else []

    def find_missing_users(names: Collection[str]) -> set[str]:
        return set(names) - {name for (name,) in hub.db.query(orm.User.name)}

    return HubServices(
        tokens=HubTokenProvider(hub),
        list_groups=list_groups,
        get_user_groups=get_user_groups,
        find_missing_users=find_missing_users,
        secret_store=HubSecretStore(),
        emit_event=create_event_emitter(hub.eventlog),
    )


class HubSecretStore:
    """Implement `context.secret_store.SecretStore` with the hub's own keys (`JUPYTERHUB_CRYPT_KEY`)."""

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
