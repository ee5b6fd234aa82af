"""What every answer of the API is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class ListAnswer(Answer):
    """A part of a list; `next` is where it goes on, null at its end."""

    next: str | None = None
