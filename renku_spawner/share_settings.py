"""The settings about fair shares: what one may have, and how many may wait for it."""

from __future__ import annotations

from traitlets import Integer
from traitlets.config import LoggingConfigurable


class ShareSettings(LoggingConfigurable):
    """Those of the settings of `c.Renku` that are about what is shared."""

    queue_limit = Integer(
        1000,
        min=0,
        config=True,
        help="""
        How many starts may wait in line when the hub starts as many at a time as `JupyterHub.concurrent_spawn_limit`
        allows, or runs as many as `active_server_limit` does. They begin by themselves, fairly between people; further
        ones are refused and told to come back. 0: nobody waits.
        """,
    )
