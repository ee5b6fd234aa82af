"""Jupyter Server extension of a Renku session: reports activity to the hub and shows in JupyterLab when it pauses."""

from __future__ import annotations

import os
from typing import Any

from .handler import Me
from .hub import Hub
from .watch import Watch

__version__ = "0.2.0"


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "renku-session"}]


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "renku_session"}]


def _load_jupyter_server_extension(app: Any) -> None:
    """Start reporting if a hub runs this server; the first report shows whether that hub has Renku."""
    hub = Hub.of(os.environ)
    if hub is None:
        return
    watch = Watch(app, hub, os.environ.get("RENKU_WORK_DIR"))
    app.web_app.add_handlers(".*$", [(f"{app.web_app.settings['base_url']}renku/me", Me, {"watch": watch})])
    app.io_loop.spawn_callback(watch.forever)
