"""Keep JupyterHub's idle culler away from sessions and their data.

Idle sessions are paused by `jobs.idle`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from ..domain.errors import SettingError
from ..domain.ids import is_valid_id

_REMOVE_SERVERS_OPTION_PATTERN = re.compile(
    r"--(IdleCuller\.)?remove[-_]named[-_]servers(=(true|yes|1))?", re.IGNORECASE
)


def leave_sessions(inactive: timedelta, inactive_limit: float, server: Mapping[str, Any]) -> bool:
    """Return True if the idle culler may stop *server*, for `c.IdleCuller.cull_arbiter_hook`.

    Sessions are never culled: Renku pauses them after a warning. Other servers are culled as without this hook, after
    *inactive_limit* seconds without activity.
    """
    return not is_valid_id(str(server["name"])) and inactive.total_seconds() >= inactive_limit


def refuse_removing_culler(services: Iterable[Mapping[str, Any]]) -> None:
    """Raise SettingError if an idle culler removes named servers, and with them the data of paused sessions."""
    for service in services:
        words = service.get("command") or ()
        if any(_REMOVE_SERVERS_OPTION_PATTERN.fullmatch(str(word)) for word in words):
            raise SettingError(
                f"c.JupyterHub.services: {service.get('name')!r} removes named servers. Sessions are named servers, "
                "and their files would be deleted. Remove --remove-named-servers from its command."
            )
