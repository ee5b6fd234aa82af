"""Whether the hub's own settings and Renku's go together."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from .app import Renku
from .gitlab_login import setup
from .local import RenkuLocalSpawner
from .session_spawner import SessionSpawner
from .settings import SettingError


def check(hub: Any, renku: Renku) -> None:
    """Raises SettingError: the hub does not start; the message says what to do."""
    _refuse_foreign_spawner(hub)
    _refuse_open_door(hub, renku)
    setup.check(hub, renku)


def _refuse_foreign_spawner(hub: Any) -> None:
    """Another spawner would start sessions without asking who may (design §6)."""
    if not issubclass(hub.spawner_class, SessionSpawner):
        raise SettingError(
            f"c.JupyterHub.spawner_class is {hub.spawner_class.__name__}, which cannot run sessions. "
            "Leave it out, or set it to 'renku-local' or a class derived from RenkuLocalSpawner."
        )


def _refuse_open_door(hub: Any, renku: Renku) -> None:
    """Sessions of the local spawner isolate nobody (decision 35)."""
    if renku.allow_unisolated or not issubclass(hub.spawner_class, RenkuLocalSpawner):
        return
    own = hub.hub_bind_url or f"http://{hub.hub_ip}"  # where the hub is reached past its proxy
    for setting, url, example in (("bind_url", hub.bind_url, 8000), ("hub_bind_url", own, 8081)):
        if not _is_loopback(url):
            where = urlsplit(url).hostname or "all addresses"
            raise SettingError(
                f"RenkuLocalSpawner isolates nobody, and this hub listens on {where}. "
                f"Set c.JupyterHub.{setting} = 'http://127.0.0.1:{example}', "
                "or c.Renku.allow_unisolated = True if you trust everybody who can reach it."
            )


def _is_loopback(url: str) -> bool:
    parts = urlsplit(url)
    if "unix" in parts.scheme or parts.hostname == "localhost":
        return True
    try:
        return ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False
