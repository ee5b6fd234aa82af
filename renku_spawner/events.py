"""What happens, told to the hub's event log (https://jupyter-events.readthedocs.io), for who listens there.

Nothing is written unless an admin sets `c.EventLogger.handlers`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

SCHEMAS = Path(__file__).with_name("event_schemas")
BASE = "https://renku.io/jupyterhub/events/"
log = logging.getLogger("renku_spawner")


def emitter(hub: Any) -> Callable[[str, Mapping[str, Any]], None]:
    """A function that tells an event of a kind (the name of a schema); what goes wrong with that is only logged.

    Our schemas are made known to the hub, which takes each only once (trap 22); where there is no hub nobody listens.
    """
    events = getattr(hub, "eventlog", None)
    if events is None:
        return lambda kind, said: None
    for file in sorted(SCHEMAS.glob("*.yaml")):
        if BASE + file.stem not in events.schemas:
            events.register_event_schema(file)

    def emit(kind: str, said: Mapping[str, Any]) -> None:
        try:
            events.emit(schema_id=BASE + kind, data=dict(said))
        except Exception:  # a full disk, or a handler's fault, ends nobody's start
            log.exception("The event %s was not told", kind)

    return emit
