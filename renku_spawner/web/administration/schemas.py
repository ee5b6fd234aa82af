"""Response models of the administration API.

They are built in `answers`; request bodies are in `forms`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BeforeValidator, Field

from ...domain.administration import (
    AuditEvent,
    DurationSummary,
    EnvironmentLaunchStatistics,
    FailureCount,
    NodeSessionCount,
    OrphanedResource,
)
from ..schemas import BaseAnswer, BaseListAnswer, ProjectedAnswer, answer_of

TextOrNull = Annotated[str | None, BeforeValidator(lambda text: text or None)]  # null for an empty text


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


@answer_of(
    OrphanedResource,
    omit=["uid"],
    kind="pod, claim, folder, storage (of a pod that is gone), run (a record without a pod) or record (one without "
    "files)",
    hindrance="Why it is not removed; null: it can be",
)
class OrphanAnswer(ProjectedAnswer):
    size: TextOrNull


class OrphansAnswer(BaseAnswer):
    """Orphans, at most 200 of each kind; `counts` has the totals."""

    items: list[OrphanAnswer]
    counts: dict[str, int]
    unknown: str | None = Field(description="Why this is unknown now; nothing is listed then")
    warning: str | None


@answer_of(NodeSessionCount, sessions="How many run or start there")
class NodeAnswer(ProjectedAnswer):
    """A node and its sessions; the name is empty for sessions on no node, or on an unknown one."""


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


@answer_of(FailureCount, day="On which it was started, in UTC")
class FailureAnswer(ProjectedAnswer):
    reason: TextOrNull


class FailureList(BaseListAnswer):
    items: list[FailureAnswer]


@answer_of(DurationSummary)
class SpreadAnswer(ProjectedAnswer):
    """Median and 95th percentile of the latest successful starts, at most 200, in seconds."""


@answer_of(EnvironmentLaunchStatistics)
class EnvironmentStartsAnswer(ProjectedAnswer):
    whole: SpreadAnswer | None
    stages: dict[str, SpreadAnswer]


class EnvironmentStartsList(BaseListAnswer):
    items: list[EnvironmentStartsAnswer]


@answer_of(AuditEvent, username="Owner of the subject, if it has one")
class AuditAnswer(ProjectedAnswer):
    pass


class AuditList(BaseListAnswer):
    items: list[AuditAnswer]
