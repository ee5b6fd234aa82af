"""Check at startup that the hub's own settings and Renku's fit together."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from ..config.renku import Renku
from ..domain.errors import SettingError
from ..spawners.base import SessionSpawner
from ..spawners.local.spawner import RenkuLocalSpawner
from .gitlab_login import check_gitlab_authenticator
from .jupyterhub import HubApp


def check_hub_configuration(hub: HubApp, renku: Renku) -> None:
    """Raise SettingError if the hub cannot run with these settings; the message says what to change."""
    _require_session_spawner(hub)
    _require_loopback_for_local_spawner(hub, renku)
    check_gitlab_authenticator(hub, renku)


def _require_session_spawner(hub: HubApp) -> None:
    """Refuse other spawners: they would start sessions without any access check."""
    if not issubclass(hub.spawner_class, SessionSpawner):
        raise SettingError(
            f"c.JupyterHub.spawner_class is {hub.spawner_class.__name__}, which cannot run sessions. "
            "Leave it out, or set it to 'renku-local' or a class derived from RenkuLocalSpawner."
        )


def _require_loopback_for_local_spawner(hub: HubApp, renku: Renku) -> None:
    """Refuse public addresses with the local spawner: its sessions are not isolated from each other or the hub."""
    if renku.allow_unisolated or not issubclass(hub.spawner_class, RenkuLocalSpawner):
        return
    own = hub.hub_bind_url or f"http://{hub.hub_ip}"  # where the hub is reached past its proxy
    for setting, url, example in (("bind_url", hub.bind_url, 8000), ("hub_bind_url", own, 8081)):
        if not _is_loopback_url(url):
            where = urlsplit(url).hostname or "all addresses"
            raise SettingError(
                f"RenkuLocalSpawner does not isolate users from each other, and this hub listens on {where}. "
                f"Set c.JupyterHub.{setting} = 'http://127.0.0.1:{example}', "
                "or c.Renku.allow_unisolated = True if you trust all users who can reach it."
            )


def _is_loopback_url(url: str) -> bool:
    parts = urlsplit(url)
    if "unix" in parts.scheme or parts.hostname == "localhost":
        return True
    try:
        return ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False
