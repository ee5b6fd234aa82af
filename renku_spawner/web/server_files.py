"""The door to the files of the hub's servers."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, cast

from ..domain.instance import Instance
from ..runtime.contents import Look


async def contents(user: Any, instance: Instance) -> Look:
    """What is in the files of one's own *instance*, as far as that can be said within seconds."""
    spawner = user.get_or_create_spawner(instance.session, instance.session)
    return cast(Look, await spawner.contents(instance))


def files(user: Any, instance: Instance) -> AsyncGenerator[bytes, None]:
    """All that is in the files of one's own *instance*, in pieces; see `Runner.files`."""
    spawner = user.get_or_create_spawner(instance.session, instance.session)
    return cast(AsyncGenerator[bytes, None], spawner.files(instance))
