"""What the API answers about a document of a project's sessions."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .answer_base import Answer


class DifferenceAnswer(Answer):
    field: str = Field(examples=["memory", "variables.MODE"])
    old: str = Field(description="Empty for what is new")
    new: str = Field(description="Empty for what goes")


class StepAnswer(Answer):
    """What becomes of one session, or storage."""

    action: Literal["add", "change", "same", "remove", "leave"]
    of: Literal["session", "storage"]
    title: str = Field(description="Of a storage its directory")
    path: str | None = Field(description="In the document; null: it does not name the session", examples=["sessions.0"])
    session: str | None = Field(description="Its id; null before it is added")
    differences: list[DifferenceAnswer]
    notes: list[str] = Field(description="What to know of it, in sentences")


class PlanAnswer(Answer):
    """What a document changes."""

    project: str
    applied: bool = Field(description="Whether it was done; false for a look (`dry_run`)")
    changes: bool = Field(description="Whether there is, or was, anything to do")
    forbidden: str | None = Field(description="Why you may do nothing of it, in a sentence")
    refused: dict[str, str] = Field(description="What cannot be, by path of the document: then nothing is done")
    items: list[StepAnswer]
