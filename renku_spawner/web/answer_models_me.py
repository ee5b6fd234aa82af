"""What the API tells a session of itself, as a model."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from .answer_base import Answer


class OwnAnswer(Answer):
    session: str
    title: str
    project: str | None
    project_path: str | None
    status: str
    pauses_at: datetime | None
    pauses_in: int | None = Field(description="Seconds, by the hub's clock")
    pauses_because: str | None = Field(description="Why, once its owner is warned of it")
    awake_until: datetime | None
    keep_awake_max: int = Field(description="Seconds; 0 where nobody may, or where it would not help")
    ask_again: int = Field(description="In how many seconds to report again")
