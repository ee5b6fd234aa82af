"""How a hub shows itself to who looks after it."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any

import jupyterhub
from tornado.log import access_log, app_log, gen_log

from . import __version__, metrics, neighbours
from .app import Renku

# `_xsrf=…` and `token=…` in addresses, also in those that are the argument of another one (%3D, %253D), and in what
# Tornado prints of arguments; one-time values of a log-in only where an address has them.
_SECRET = re.compile(
    r"(?i)((?:_xsrf|token|[?&](?:code|state))(?:=|%3D|%253D))(?:[^&\s\"'<>(),;%]|%(?!26|2526)){1,4096}"
)


def hide_tokens(record: logging.LogRecord) -> bool:
    """A filter that keeps values of tokens out of a log line: Tornado prints the whole address of a refused request."""
    try:
        message = record.getMessage()
    except (TypeError, ValueError):  # arguments that do not fit: logging itself complains of them
        return True
    if (hidden := _SECRET.sub(r"\1[hidden]", message)) != message:
        record.msg, record.args = hidden, ()
    return True


def keep_tokens_out_of_logs(hub: Any) -> None:
    """Let `hide_tokens` see each record of the hub and of Tornado, and whatever reaches the hub's handlers."""
    for place in (access_log, app_log, gen_log, hub.log, *hub.log.handlers):
        place.addFilter(hide_tokens)


def begin(hub: Any, renku: Renku) -> asyncio.Task[None]:
    """Show this hub from now on, in place of an earlier one of the same process; the task looks at its database."""
    parts = renku.parts
    keep_tokens_out_of_logs(hub)
    metrics.build.clear()
    where = "local" if parts.policy.local else "kubernetes"
    metrics.build.labels(__version__, jupyterhub.__version__, where).set(1)
    metrics.before_scrape("neighbours", lambda: neighbours.show(renku.parts, hub.spawner_class))
    return asyncio.ensure_future(parts.pulse.forever(parts.db, parts.now))
