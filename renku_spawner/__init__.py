"""Projects with reproducible sessions, as a plugin for JupyterHub.

`install(c)` in `jupyterhub_config.py` is all that a hub needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = ["RenkuLocalSpawner", "RenkuSpawner", "install", "leave_sessions"]

# Handed on when asked for: whoever wants only a value of the domain need not load a hub.
_FROM = {"RenkuLocalSpawner": ".local", "RenkuSpawner": ".spawner", "install": ".hub", "leave_sessions": ".culling"}


def __getattr__(name: str) -> Any:
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_FROM[name], __name__), name)
