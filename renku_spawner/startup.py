"""What Renku does when the hub starts.

JupyterHub has no hook for that. Its template environment is made after its database
is open and before it checks its servers and serves: an extension of Jinja stands there.
"""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from functools import cache
from typing import Any

from jinja2 import Environment
from jinja2.ext import Extension
from jupyterhub.app import JupyterHub
from traitlets import TraitError

from . import after_start, cli_cluster, fitness, in_line, left_proxy, metrics, mounted, neighbours, observed
from .app import Renku
from .spawner import RenkuSpawner
from .store.migrate import OutOfDate


class Startup(Extension):
    """Puts Renku together when the hub makes its templates; twice, since there are two environments."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        if JupyterHub.initialized():
            _begin_or_end(JupyterHub.instance())


def _begin_or_end(hub: Any) -> None:
    """A hub that cannot have Renku ends with a sentence; a traceback would hide it."""
    try:
        begin(hub)
    except (OutOfDate, TraitError, OSError, ValueError) as problem:
        hub.log.critical("Renku cannot start: %s", problem)
        hub.exit(1)


def begin(hub: Any) -> None:
    """Make the parts, check the settings against the hub, and begin what goes on beside it.

    Raises:
        SettingError, OutOfDate, TraitError: the hub does not start; the message says what to do.
    """
    if Renku.initialized():
        if Renku.instance().parent is hub:
            return
        Renku.clear_instance()
    renku = Renku.instance(parent=hub)
    fitness.check(hub, renku)
    renku.tasks = [asyncio.ensure_future(left_proxy.end(hub)), asyncio.ensure_future(after_start.go_on(hub, renku))]
    metrics.before_scrape("line", lambda: metrics.queue_length.set(renku.parts.line.length))
    renku.parts.line.room = in_line.room(hub, renku.queue_limit)
    renku.tasks.append(asyncio.ensure_future(in_line.forever(hub, renku.parts)))
    renku.tasks.append(observed.begin(hub, renku))
    renku.tasks.append(asyncio.ensure_future(_check_cluster(hub, renku)))
    if renku.restart_on_change:
        renku.tasks.append(asyncio.ensure_future(mounted.reload_when_changed(hub, renku.parts)))
    _spare_what_is_loaded()


async def _check_cluster(hub: Any, renku: Renku) -> None:
    if issubclass(hub.spawner_class, RenkuSpawner):
        with suppress(ValueError):  # no cluster is known here, as each start says
            client = cli_cluster.spawner_of(hub.spawner_class, hub.config).api.api_client
            await neighbours.check_certificate(renku.parts, client)


@cache
def _spare_what_is_loaded() -> None:
    """A full collection of garbage stops the loop for as long as it looks at everything, 0.1 s and more, and hardly
    any of what is loaded by now will ever be garbage: it need not be looked at."""
    gc.freeze()
