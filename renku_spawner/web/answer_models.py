"""What the API answers: the JSON of design §9 as models."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from ..domain.environment import State
from .answer_base import Answer, ListAnswer
from .answer_models_image import BuiltAnswer, FactsAnswer, UpdateAnswer
from .answer_models_instance import InstanceAnswer


class InTheWayAnswer(Answer):
    """One of one's own instances that count towards a limit."""

    session: str
    title: str
    project: str | None = Field(description="null: one may not see it (any more)")
    project_path: str | None
    status: str


class ErrorAnswer(Answer):
    """What every failure looks like; `fields` only where a field is wrong."""

    status: int = Field(examples=[422])
    code: str = Field(examples=["invalid"])
    message: str = Field(description="A sentence for the person who asked")
    fields: dict[str, str] | None = None
    limit: int | None = Field(default=None, description="Of `limit_user` and `limit_kept`: what an admin allows")
    running: list[InTheWayAnswer] | None = Field(default=None, description="Of `limit_user`: what could be paused")
    kept: list[InTheWayAnswer] | None = Field(
        default=None, description="Of `limit_kept`: what has data that could be deleted"
    )


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
    storages: list[str] | None = Field(description="Directories; null is all of the project")
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
    launch_version: str = Field(description="Of what a start would run now; it changes with all that a start gets")
    created_by: str
    created_at: datetime


class ResourceClassAnswer(Answer):
    name: str
    cpu: str
    memory: str
    gpu: int
    disk: str
    description: str
    usable: bool = Field(description="Whether the caller may use it")


class ProjectList(ListAnswer):
    items: list[ProjectEntryAnswer]


class SessionList(ListAnswer):
    items: list[SessionAnswer]


class RevisionList(ListAnswer):
    items: list[RevisionAnswer]


class EnvironmentList(ListAnswer):
    items: list[EnvironmentAnswer]


class ResourceClassList(ListAnswer):
    items: list[ResourceClassAnswer]
