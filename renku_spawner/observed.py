"""How a hub shows itself to who looks after it."""

from __future__ import annotations

import asyncio
from typing import Any

import jupyterhub

from . import __version__, metrics, neighbours
from .app import Renku


def begin(hub: Any, renku: Renku) -> asyncio.Task[None]:
    """Show this hub from now on, in place of an earlier one of the same process; the task looks at its database."""
    parts = renku.parts
    metrics.build.clear()
    where = "local" if parts.policy.local else "kubernetes"
    metrics.build.labels(__version__, jupyterhub.__version__, where).set(1)
    metrics.before_scrape("neighbours", lambda: neighbours.show(renku.parts, hub.spawner_class))
    return asyncio.ensure_future(parts.pulse.forever(parts.db, parts.now))
