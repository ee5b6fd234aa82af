"""Waits for a start no longer than it is wanted, or can be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from .domain.errors import Unavailable
from .domain.instance import Desired, Instance
from .services import runs
from .services.parts import Parts


async def unless_stopped(parts: Parts, instance: Instance, launch: asyncio.Future[str]) -> str | None:
    """Return the URL that *launch* ends with, or None once its owner wants the session stopped, which cancels it.

    Raises:
        CancelledError: the hub ends. That says nothing about the session, which goes on with the next hub.
    """
    try:
        with parts.news.subscribe(instance.username) as news:
            while not launch.done():
                waiting = asyncio.ensure_future(news.get(timeout=1))
                both: set[asyncio.Future[Any]] = {launch, waiting}
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                if not launch.done() and not await is_wanted(parts, instance):
                    launch.cancel()
                    await asyncio.wait({launch}, timeout=5)
                    return None
        return await launch
    finally:
        launch.cancel()


async def is_wanted(parts: Parts, instance: Instance) -> bool:
    """Return whether this very run shall go on; as long as the database is too busy to say, it shall."""
    try:
        now = await runs.recorded(parts, instance.username, instance.session)
    except Unavailable:
        return True
    return now is not None and now.desired is Desired.RUNNING and now.run == instance.run


@asynccontextmanager
async def no_longer_awaited(spawner: Any) -> AsyncIterator[None]:
    """While the block records how the server has ended, the hub gives up what it still does for its start.

    Else it would ask for its `http_timeout` whether it answers and count a failure of its own, or take for
    running what ended before it listened to that, and the next start for this one.
    """
    start = spawner._spawn_future
    under_way = start is not None and not start.done()
    if under_way:
        start.cancel()
    yield
    if under_way:
        await spawner.user.settings["proxy"].delete_user(spawner.user, spawner.name)
        await spawner.user.stop(spawner.name)
