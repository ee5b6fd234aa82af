"""Response models of the administration API.

They are built in `answers`; request bodies are in `forms`.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from pydantic import Field

from ..schemas import BaseAnswer, BaseListAnswer


class AdminInstanceAnswer(BaseAnswer):
    """An instance of any user, without its log and files."""

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
    disk: str = Field(description="Size that the session requests; actual sizes are in the list of claims")
    started_at: datetime | None
    ready_at: datetime | None
    paused_at: datetime | None
    last_activity: datetime | None
    last_seen: datetime | None


class AdminInstanceList(BaseListAnswer):
    items: list[AdminInstanceAnswer]


class OrphanAnswer(BaseAnswer):
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


class OrphansAnswer(BaseAnswer):
    """Orphans, at most 200 of each kind; `counts` has the totals."""

    items: list[OrphanAnswer]
    counts: dict[str, int]
    unknown: str | None = Field(description="Why this is unknown now; nothing is listed then")
    warning: str | None


class NodeAnswer(BaseAnswer):
    """A node and its sessions; the name is empty for sessions on no node, or on an unknown one."""

    node: str
    sessions: int = Field(description="How many run or start there")
    stopping: int


class NodeList(BaseAnswer):
    """All nodes with sessions; `unknown` says why they cannot be listed."""

    items: list[NodeAnswer]
    unknown: str | None


class PauseAllAnswer(BaseAnswer):
    sessions: int = Field(description="How many are being paused, or would be")


class RemovedAnswer(BaseAnswer):
    removed: int = Field(description="How many of the given names; the others were no longer listed")


class ClaimAnswer(BaseAnswer):
    """An existing claim or folder; `record` is true if an instance in the database uses it."""

    name: str
    username: str
    session: str
    title: str
    size: str | None
    made_at: datetime | None
    last_activity: datetime | None
    record: bool


class ClaimList(BaseListAnswer):
    items: list[ClaimAnswer]
    count: int
    size: str | None = Field(description="Bytes of all together, as far as known")
    unknown: str | None = Field(description="Why this is unknown now")


class FailureAnswer(BaseAnswer):
    day: date = Field(description="On which it was started, in UTC")
    reason: str | None
    count: int


class FailureList(BaseListAnswer):
    items: list[FailureAnswer]


class SpreadAnswer(BaseAnswer):
    """Median and 95th percentile of the latest successful starts, at most 200, in seconds."""

    count: int
    median: float
    p95: float


class EnvironmentStartsAnswer(BaseAnswer):
    environment: str
    name: str
    kind: str
    starts: int
    failed: int
    whole: SpreadAnswer | None
    stages: dict[str, SpreadAnswer]


class EnvironmentStartsList(BaseListAnswer):
    items: list[EnvironmentStartsAnswer]


class AuditAnswer(BaseAnswer):
    at: datetime
    actor: str
    username: str | None = Field(description="Owner of the subject, if it has one")
    action: str
    subject: str
    detail: dict[str, Any]


class AuditList(BaseListAnswer):
    items: list[AuditAnswer]
