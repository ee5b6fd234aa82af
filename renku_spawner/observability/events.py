"""Emit audit and launch events through the hub's event log (https://jupyter-events.readthedocs.io).

Nothing is written unless an admin sets `c.EventLogger.handlers`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

EVENT_SCHEMAS_DIR = Path(__file__).with_name("event_schemas")
EVENT_SCHEMA_BASE_URL = "https://renku.io/jupyterhub/events/"
log = logging.getLogger("renku_spawner")


def create_event_emitter(events: Any) -> Callable[[str, Mapping[str, Any]], None]:
    """Return a function that emits an event of a kind (the name of a schema); failures are only logged.

    Schemas are registered once with the hub's event log *events*, since it refuses a second registration.
    """
    for file in sorted(EVENT_SCHEMAS_DIR.glob("*.yaml")):
        if EVENT_SCHEMA_BASE_URL + file.stem not in events.schemas:
            events.register_event_schema(file)

    def emit(kind: str, data: Mapping[str, Any]) -> None:
        try:
            events.emit(schema_id=EVENT_SCHEMA_BASE_URL + kind, data=dict(data))
        except Exception:  # a full disk or a broken handler must not fail a start
            log.exception("Failed to emit event %s", kind)

    return emit
