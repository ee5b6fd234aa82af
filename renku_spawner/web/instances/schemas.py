"""Answer models of the instance API."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from ...domain.instances import InstanceStatus
from ..schemas import BaseAnswer, BaseListAnswer


class WorkAnswer(BaseAnswer):
    """A repository in the files, and the work in it that exists nowhere else."""

    directory: str
    branch: str | None
    lost: bool = Field(description="Whether something would be lost; true also if that is unknown")
    changed: int | None = Field(description="Files that are not committed; null: it could not be read")
    unpushed: int | None = Field(description="Commits and stashes that are nowhere else; null: it could not be read")


class ContentsAnswer(BaseAnswer):
    """The contents of the user's own instance."""

    known: bool = Field(description="false: unknown now; the rest is empty then")
    under_way: bool = Field(description="Whether it is being looked at: ask again in some seconds")
    bytes: int | None
    complete: bool = Field(description="Whether all files were counted in the time that there was")
    repositories: list[WorkAnswer]
    more: int = Field(description="Repositories that were not looked at")
    loose: int = Field(description="Files outside of repositories, which are nowhere else")


class NoticeAnswer(BaseAnswer):
    code: str
    title: str
    text: str


class InstanceAnswer(BaseAnswer):
    """The user's own instance; durations are in seconds, unknown values are null."""

    status: str = Field(examples=[str(status) for status in InstanceStatus])
    stage: str | None = None
    stage_text: str | None = None
    queue_position: int | None = Field(default=None, description="Position in the start queue, from 1")
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
        default=None, description="When its data goes into the trash unless it runs again"
    )
    trashed_until: datetime | None = Field(default=None, description="Its data is in the trash until then")
    cost_per_month: float | None = Field(default=None, description="Of its data, in `currency`")
    currency: str | None = None
    pauses_at: datetime | None = Field(default=None, description="When it pauses if nothing happens")
    pauses_because: str | None = Field(default=None, description="Why, once its owner is warned of it")
    awake_until: datetime | None = Field(default=None, description="Kept awake until then")
    disk_used: int | None = Field(default=None, description="Bytes, as it last reported")
    disk_used_at: datetime | None = None
    without_storages: list[str] = Field(default=[], description="Directories of storages that the run leaves out")
    failed_storages: list[str] = Field(default=[], description="Those without which the next start might succeed")


class OwnInstanceReference(BaseAnswer):
    """The names of one of the user's own instances."""

    session: str
    title: str
    project: str | None = Field(description="null: one may not see it (any more)")
    project_path: str | None


class MyInstanceAnswer(OwnInstanceReference):
    """The user's own instance; `project` is null if the user may not see it (any more)."""

    instance: InstanceAnswer


class LogAnswer(BaseAnswer):
    lines: list[str]


class ProgressAnswer(BaseAnswer):
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


class InstanceList(BaseListAnswer):
    items: list[MyInstanceAnswer]


class OwnAnswer(OwnInstanceReference):
    status: str
    pauses_at: datetime | None
    pauses_in: int | None = Field(description="Seconds, by the hub's clock")
    pauses_because: str | None = Field(description="Why, once its owner is warned of it")
    awake_until: datetime | None
    keep_awake_max: int = Field(description="Seconds; 0 if that is disabled or would not help")
    ask_again: int = Field(description="In how many seconds to report again")
