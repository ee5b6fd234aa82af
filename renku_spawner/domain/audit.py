"""What admins can look up later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Event:
    """*actor* did *action* to *subject*; `username` is whose thing it was, where it was a person's."""

    at: datetime
    actor: str
    username: str | None
    action: str
    subject: str
    detail: Mapping[str, Any] = field(default_factory=dict)
