"""The idle culler, where a hub runs it beside us (decision 34): sessions are not its business, data even less."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from .domain.names import is_id
from .settings import SettingError

_REMOVES = re.compile(r"--(IdleCuller\.)?remove[-_]named[-_]servers(=(true|yes|1))?", re.IGNORECASE)


def leave_sessions(inactive: timedelta, inactive_limit: float, server: Mapping[str, Any]) -> bool:
    """For `c.IdleCuller.cull_arbiter_hook`: whether the culler stops that server. Never a session, which pauses
    itself after fair warning; others as without this, when they were *inactive* for *inactive_limit* seconds."""
    return not is_id(str(server["name"])) and inactive.total_seconds() >= inactive_limit


def refuse_removal(services: Iterable[Mapping[str, Any]]) -> None:
    """A culler that removes named servers would take people's paused data (trap 45). Raises SettingError."""
    for service in services:
        words = service.get("command") or ()
        if any(_REMOVES.fullmatch(str(word)) for word in words):
            raise SettingError(
                f"c.JupyterHub.services: {service.get('name')!r} removes named servers: people's sessions, and "
                "with them what they have paused. Take --remove-named-servers out of its command."
            )
