"""What the API says of the hub's health."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from .answer_base import Answer


class NeighbourAnswer(Answer):
    kind: str = Field(description="`database`, `gitlab`, `registry` or `kubernetes`")
    name: str = Field(description="Its host, where there may be several")
    away_since: datetime | None = Field(description="null while it answers")
    reason: str | None = Field(description="Why it cannot be asked, where that is known; null while it answers")


class HealthAnswer(Answer):
    status: str = Field(description="`ok`, or `degraded` while a neighbour does not answer")
    neighbours: list[NeighbourAnswer] | None = Field(description="null for all but admins")
    refused_settings: str | None = Field(
        description="Why changed settings are not used, null while there are none, and for all but admins"
    )
