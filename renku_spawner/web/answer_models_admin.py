"""What the API answers to an operator."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from pydantic import Field

from .answer_base import Answer, ListAnswer


class AdminInstanceAnswer(Answer):
    """Somebody's instance; nothing of what it prints or holds."""

    username: str
    session: str
    title: str
    project: str
    project_path: str | None
    environment: str
    status: str
    stage: str | None
    reason: str | None = Field(description="Why it failed, or how its last run ended")
    message: str | None
    resource_class: str | None
    disk: str = Field(description="What the session asks for; what is there stands in the claims")
    started_at: datetime | None
    ready_at: datetime | None
    paused_at: datetime | None
    last_activity: datetime | None
    last_seen: datetime | None


class AdminInstanceList(ListAnswer):
    items: list[AdminInstanceAnswer]


class OrphanAnswer(Answer):
    kind: str = Field(
        description="pod, claim, folder, storage (of a pod that is gone), run (a record without a pod) or record (one "
        "without files)"
    )
    name: str
    username: str
    session: str
    title: str
    size: str | None
    since: datetime | None
    hindrance: str | None = Field(description="Why it is not removed; null: it can be")


class OrphansAnswer(Answer):
    """At most 200 of each kind; `counts` says how many there are."""

    items: list[OrphanAnswer]
    counts: dict[str, int]
    unknown: str | None = Field(description="Why nobody can tell now; then nothing is listed")
    warning: str | None


class NodeAnswer(Answer):
    """A node that sessions are on; an empty name: they are on none, or on one that is not known."""

    node: str
    sessions: int = Field(description="How many run or start there")
    stopping: int


class NodeList(Answer):
    """All nodes that sessions are on; `unknown` says why nobody can tell now which those are."""

    items: list[NodeAnswer]
    unknown: str | None


class PauseAllAnswer(Answer):
    sessions: int = Field(description="How many are being paused, or would be")


class RemovedAnswer(Answer):
    removed: int = Field(description="How many of those that were named; the others were not offered any more")


class ClaimAnswer(Answer):
    """A claim or folder that is there; `record`: whether an instance on record has it."""

    name: str
    username: str
    session: str
    title: str
    size: str | None
    made_at: datetime | None
    last_activity: datetime | None
    record: bool


class ClaimList(ListAnswer):
    items: list[ClaimAnswer]
    count: int
    size: str | None = Field(description="Bytes of all together, as far as known")
    unknown: str | None = Field(description="Why nobody can tell now")


class FailureAnswer(Answer):
    day: date = Field(description="On which it was started, in UTC")
    reason: str | None
    count: int


class FailureList(ListAnswer):
    items: list[FailureAnswer]


class SpreadAnswer(Answer):
    """Seconds of the latest good starts, 200 at most: half of them took at most the median, 19 of 20 the other."""

    count: int
    median: float
    p95: float


class EnvironmentStartsAnswer(Answer):
    environment: str
    name: str
    kind: str
    starts: int
    failed: int
    whole: SpreadAnswer | None
    stages: dict[str, SpreadAnswer]


class EnvironmentStartsList(ListAnswer):
    items: list[EnvironmentStartsAnswer]


class AuditAnswer(Answer):
    at: datetime
    actor: str
    username: str | None = Field(description="Whose thing it was, where it was a person's")
    action: str
    subject: str
    detail: dict[str, Any]


class AuditList(ListAnswer):
    items: list[AuditAnswer]
