"""The record of one start of an instance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Launch:
    """The record of one start: what ran, when, how it ended and why.

    `outcome` is `launching`, `running`, `failed`, `cancelled` or `ended`; `log` is
    the end of the program's output, redacted; `stages` are the seconds spent in each
    stage that it came to, None where that was not written down.
    """

    id: str
    session: str
    project: str
    username: str
    revision: str
    resource_class: str
    requested_at: datetime
    outcome: str = "launching"
    reason: str | None = None
    message: str | None = None
    log: str = ""
    ready_at: datetime | None = None
    ended_at: datetime | None = None
    stages: Mapping[str, float] | None = None
