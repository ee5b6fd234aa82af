"""Cancel a launch when its owner stops the session, and cancel the hub's own wait for it."""

from __future__ import annotations

import asyncio
from typing import Any

from ..context.app_context import AppContext
from ..domain.errors import UnavailableError
from ..domain.instances import DesiredState, Instance
from .runs import load_instance


async def wait_for_launch_or_stop(context: AppContext, instance: Instance, launch: asyncio.Future[str]) -> str | None:
    """Return the URL that *launch* ends with, or None once its owner wants the session stopped, which cancels it.

    Raises:
        CancelledError: the hub ends. That says nothing about the session, which goes on with the next hub.
    """
    try:
        with context.event_bus.subscribe(instance.username) as news:
            while not launch.done():
                waiting = asyncio.ensure_future(news.wait_for_changes(timeout=1))
                both: set[asyncio.Future[Any]] = {launch, waiting}
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                if not launch.done() and not await is_launch_wanted(context, instance):
                    launch.cancel()
                    await asyncio.wait({launch}, timeout=5)
                    return None
        return await launch
    finally:
        launch.cancel()


async def is_launch_wanted(context: AppContext, instance: Instance) -> bool:
    """Return whether this very run shall go on; as long as the database is too busy to say, it shall."""
    try:
        now = await load_instance(context, instance.username, instance.session)
    except UnavailableError:
        return True
    return now is not None and now.desired is DesiredState.RUNNING and now.run == instance.run
