"""What the API answers about one's own instances."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from ..domain.instance import Status
from .answer_base import Answer, ListAnswer


class NoticeAnswer(Answer):
    code: str
    title: str
    text: str


class InstanceAnswer(Answer):
    """One's own instance; seconds, and null where unknown."""

    status: str = Field(examples=[str(status) for status in Status])
    stage: str | None = None
    stage_text: str | None = None
    queue_position: int | None = Field(default=None, description="In the line of starts that wait for room, from 1")
    progress: int | None = Field(default=None, description="Percent of the usual time, 0 to 95")
    elapsed: int | None = None
    usual: float | None = None
    reason: str | None = Field(default=None, description="Why it failed, or was paused")
    message: str | None = None
    advice: str | None = None
    url: str | None = None
    resource_class: str | None = None
    notices: list[NoticeAnswer] = []
    started_at: datetime | None = None
    last_activity: datetime | None = None
    last_seen: datetime | None = None
    paused_at: datetime | None = None
    deleted_on: datetime | None = Field(
        default=None, description="When its data go into the trash unless it runs again"
    )
    trashed_until: datetime | None = Field(default=None, description="Its data are in the trash until then")
    cost_per_month: float | None = Field(default=None, description="Of its data, in `currency`")
    currency: str | None = None
    pauses_at: datetime | None = Field(default=None, description="When it pauses if nothing happens")
    pauses_because: str | None = Field(default=None, description="Why, once its owner is warned of it")
    awake_until: datetime | None = Field(default=None, description="Kept awake until then")
    disk_used: int | None = Field(default=None, description="Bytes, as it last reported")
    disk_used_at: datetime | None = None
    without_storages: list[str] = Field(default=[], description="Directories of storages that the run leaves out")
    failed_storages: list[str] = Field(default=[], description="Those without which the next start might succeed")


class MyInstanceAnswer(Answer):
    """One's own instance; `project` is null where one may not see it (any more)."""

    session: str
    title: str
    project: str | None
    project_path: str | None
    instance: InstanceAnswer


class LogAnswer(Answer):
    lines: list[str]


class ProgressAnswer(Answer):
    """The data of one server-sent event."""

    session: str
    status: str
    stage: str | None
    stage_text: str | None
    queue_position: int | None
    progress: int | None
    elapsed: int | None
    usual: float | None
    pauses_at: datetime | None = None
    pauses_because: str | None = None


class InstanceList(ListAnswer):
    items: list[MyInstanceAnswer]
