"""What the API answers of storages: never what opens them."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from ..domain.storage import Credentials, Outcome
from .answer_base import Answer, ListAnswer


class LookAnswer(Answer):
    outcome: str = Field(examples=[str(outcome) for outcome in Outcome])
    message: str
    at: datetime


class StorageAnswer(Answer):
    id: str
    directory: str
    kind: str
    settings: dict[str, str]
    path: str
    credentials: str = Field(examples=[str(whose) for whose in Credentials])
    kept: bool = Field(description="Whether the project's credentials are kept")
    read_only: bool
    checked: LookAnswer | None = Field(description="What was found when somebody last looked into it")
    version: int
    created_by: str
    created_at: datetime


class StorageList(ListAnswer):
    items: list[StorageAnswer]


class AskedStorageAnswer(Answer):
    """A storage for which somebody's own credentials are needed, and whether there are any."""

    id: str
    directory: str
    kind: str
    version: int = Field(description="Credentials are entered for it, and for no other")
    options: list[str] = Field(description="Which credentials it takes", examples=[["user", "pass"]])
    missing: bool


class AskedStorageList(ListAnswer):
    items: list[AskedStorageAnswer]
