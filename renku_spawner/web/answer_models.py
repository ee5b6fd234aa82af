"""What the API answers: the JSON of design §9 as models."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from ..domain.environment import State
from ..domain.instance import Status
from .answer_base import Answer
from .answer_models_image import BuiltAnswer, FactsAnswer, UpdateAnswer


class ErrorAnswer(Answer):
    """What every failure looks like; `fields` only where a field is wrong."""

    status: int = Field(examples=[422])
    code: str = Field(examples=["invalid"])
    message: str = Field(description="A sentence for the person who asked")
    fields: dict[str, str] | None = None


class RepositoryAnswer(Answer):
    directory: str
    url: str
    ref: str | None
    lfs: bool = Field(description="Whether the large files of git-lfs are fetched too")
    submodules: bool = Field(description="Whether the submodules are fetched too")
    fixed: bool = Field(description="Whether it is the project itself, in GitLab")


class MemberAnswer(Answer):
    kind: str
    name: str
    role: str


class ProjectAnswer(Answer):
    id: str
    path: str
    title: str
    description: str
    visibility: str
    role: str = Field(description="One's own")
    default_session: str | None
    repositories: list[RepositoryAnswer]
    members: list[MemberAnswer]
    archived: bool = Field(description="In GitLab: nobody changes it")
    web: str | None = Field(description="Its page in GitLab; null: it lives here")
    stale: datetime | None = Field(description="GitLab does not answer, and this is as it was then")
    version: int
    created_by: str
    created_at: datetime


class EnvironmentAnswer(Answer):
    id: str
    kind: str
    name: str
    description: str
    keywords: list[str]
    image: str
    digest: str | None = Field(description="null: not checked yet")
    revision: int
    built: BuiltAnswer | None = Field(description="null: CI has not built it")
    icon: str
    state: str = Field(examples=[str(state) for state in State])
    message: str = Field(description="Of a deprecated or archived one: what its admins say")
    successor: str | None = Field(description="The id of the one that comes in its place")
    created_by: str
    created_at: datetime


class ConfigurationAnswer(Answer):
    cpu: str
    memory: str
    gpu: int
    disk: str
    repositories: list[str] | None = Field(description="Directories; null is all of the project")
    variables: dict[str, str]


class RevisionAnswer(Answer):
    id: str
    revision: int
    image: str
    digest: str | None
    facts: FactsAnswer | None
    built: BuiltAnswer | None
    created_by: str
    created_at: datetime


class NoticeAnswer(Answer):
    code: str
    title: str
    text: str


class InstanceAnswer(Answer):
    """One's own instance; seconds, and null where unknown."""

    status: str = Field(examples=[str(status) for status in Status])
    stage: str | None = None
    stage_text: str | None = None
    progress: int | None = Field(default=None, description="Percent of the usual time, 0 to 95")
    elapsed: int | None = None
    usual: float | None = None
    reason: str | None = None
    message: str | None = None
    advice: str | None = None
    url: str | None = None
    resource_class: str | None = None
    notices: list[NoticeAnswer] = []
    started_at: datetime | None = None
    last_activity: datetime | None = None
    last_seen: datetime | None = None
    paused_at: datetime | None = None
    deleted_on: datetime | None = None
    disk_used: int | None = None


class ProjectEntryAnswer(Answer):
    """A project in a list; `instance` is one's own of its default session."""

    id: str
    path: str
    title: str
    description: str
    visibility: str
    role: str
    default_session: str | None
    sessions: int
    archived: bool = Field(description="In GitLab: nobody changes it")
    stale: datetime | None = Field(description="GitLab does not answer, and this is as it was then")
    instance: InstanceAnswer


class SuccessorAnswer(Answer):
    """An active environment to which an editor can change the session."""

    environment: str
    name: str
    revision: int


class SessionAnswer(Answer):
    id: str
    project: str
    title: str
    description: str
    is_default: bool
    environment: EnvironmentAnswer
    configuration: ConfigurationAnswer
    update: UpdateAnswer | None = Field(description="A newer image that waits to be accepted")
    successor: SuccessorAnswer | None = Field(description="What is offered in place of its environment")
    instance: InstanceAnswer
    version: int
    created_by: str
    created_at: datetime


class MyInstanceAnswer(Answer):
    """One's own instance; `project` is null where one may not see it (any more)."""

    session: str
    title: str
    project: str | None
    project_path: str | None
    instance: InstanceAnswer


class ResourceClassAnswer(Answer):
    name: str
    cpu: str
    memory: str
    gpu: int
    disk: str
    description: str
    usable: bool = Field(description="Whether the caller may use it")


class LogAnswer(Answer):
    lines: list[str]


class ProgressAnswer(Answer):
    """The data of one server-sent event."""

    session: str
    status: str
    stage: str | None
    stage_text: str | None
    progress: int | None
    elapsed: int | None
    usual: float | None


class ListAnswer(Answer):
    """A part of a list; `next` is where it goes on, null at its end."""

    next: str | None = None


class ProjectList(ListAnswer):
    items: list[ProjectEntryAnswer]


class SessionList(ListAnswer):
    items: list[SessionAnswer]


class RevisionList(ListAnswer):
    items: list[RevisionAnswer]


class InstanceList(ListAnswer):
    items: list[MyInstanceAnswer]


class EnvironmentList(ListAnswer):
    items: list[EnvironmentAnswer]


class ResourceClassList(ListAnswer):
    items: list[ResourceClassAnswer]
