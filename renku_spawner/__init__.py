"""Projects with reproducible sessions, as a plugin for JupyterHub.

`install(c)` in `jupyterhub_config.py` is all that a hub needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = ["RenkuGitLabOAuthenticator", "RenkuLocalSpawner", "RenkuSpawner", "install", "leave_sessions"]

# Imported on first access, so that code that needs only a domain value does not load JupyterHub.
_FROM = {
    "RenkuGitLabOAuthenticator": ".hub.gitlab_login",
    "RenkuLocalSpawner": ".spawners.local.spawner",
    "RenkuSpawner": ".spawners.kubernetes.spawner",
    "install": ".hub.install",
    "leave_sessions": ".hub.idle_culler",
}


def __getattr__(name: str) -> Any:
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_FROM[name], __name__), name)
