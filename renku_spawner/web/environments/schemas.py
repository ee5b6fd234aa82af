"""Request and response models of managed environments."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from ...domain.administration import ImageNodeCoverage
from ...domain.environments import (
    ENVIRONMENT_ICONS,
    EnvironmentState,
    EnvironmentStateChange,
    EnvironmentUsage,
    ManagedEnvironmentChange,
    NewManagedEnvironment,
    ReviewedReplacement,
    RunConfiguration,
)
from ..schemas import (
    BaseBody,
    LongText,
    ProjectedAnswer,
    RecordId,
    RowVersion,
    RunBody,
    ShortText,
    answer_of,
)
from ..sessions.schemas import EnvironmentAnswer, RevisionAnswer


@answer_of(RunConfiguration, omit=["group", "idle_pause"])
class RunAnswer(ProjectedAnswer):
    """The run configuration of an environment."""


@answer_of(
    EnvironmentUsage,
    newest="Sessions that run its newest revision",
    running="Instances that run now",
    starts="In the last 30 days",
    failed="Of those",
)
class UsageAnswer(ProjectedAnswer):
    """Use of an environment by the existing sessions of projects."""


@answer_of(
    ImageNodeCoverage,
    coming="Nodes that download the image, or wait to",
    failed="Why the download fails, by node",
)
class NodesAnswer(ProjectedAnswer):
    """Node coverage of the newest revision's image."""


class ReadyMadeAnswer(EnvironmentAnswer):
    """A ready-made environment as its admins see it."""

    version: int
    configured: bool = Field(description="Whether the hub's configuration defines it: read-only here")
    archived_at: datetime | None
    run: RunAnswer
    usage: UsageAnswer
    revisions: list[RevisionAnswer] = Field(description="Newest first")
    nodes: NodesAnswer | None = Field(description="null: the image is not pre-pulled, or its nodes are unknown")
    nodes_problem: str = Field(description="Why the nodes are unknown, or images are not pre-pulled; else empty")


_ICON_FIELD = Field(default="", description="Empty: that of its kind", examples=list(ENVIRONMENT_ICONS))


class EnvironmentBody(BaseBody):
    """A new ready-made environment; its image is checked with the hub's own credentials."""

    name: LongText
    image: LongText = Field(examples=["quay.io/jupyter/scipy-notebook:2026-11-02"])
    description: LongText = ""
    keywords: list[ShortText] = []
    icon: ShortText = _ICON_FIELD
    run: RunBody = RunBody()
    state: Literal["draft", "active"] = Field(default="draft", description="Only what is active is offered")

    def to_new_environment(self) -> NewManagedEnvironment:
        return NewManagedEnvironment(
            name=self.name,
            image=self.image,
            run=self.run.to_run_overrides(),
            description=self.description,
            keywords=tuple(self.keywords),
            icon=self.icon,
            state=EnvironmentState(self.state),
        )


class EnvironmentChangeBody(BaseBody):
    """Changes to an environment; absent fields stay. Another image or `run` makes a new revision."""

    version: RowVersion
    name: LongText | None = None
    description: LongText | None = None
    keywords: list[ShortText] | None = None
    icon: ShortText | None = None
    image: LongText | None = None
    run: RunBody | None = None
    renew: bool = Field(default=False, description="Resolve the image's tag again")

    def to_environment_change(self) -> ManagedEnvironmentChange:
        return ManagedEnvironmentChange(
            version=self.version,
            name=self.name,
            description=self.description,
            keywords=None if self.keywords is None else tuple(self.keywords),
            icon=self.icon,
            image=self.image,
            run=self.run.to_run_overrides() if self.run else None,
            renew=self.renew,
        )


class ArchiveBody(BaseBody):
    version: RowVersion
    successor: RecordId | None = Field(
        default=None, description="Id of an active environment, which is offered to editors of projects"
    )
    message: LongText = Field(default="", description="Why, and what to do; shown to all users who see its sessions")

    def to_state_change(self) -> EnvironmentStateChange:
        return EnvironmentStateChange(
            version=self.version, state=EnvironmentState.ARCHIVED, successor=self.successor, message=self.message
        )


class StateBody(ArchiveBody):
    """A state change of an environment; an active one has neither successor nor message."""

    state: Literal["active", "deprecated", "archived"]

    def to_state_change(self) -> EnvironmentStateChange:
        return EnvironmentStateChange(
            version=self.version, state=EnvironmentState(self.state), successor=self.successor, message=self.message
        )


class RollBackBody(BaseBody):
    version: RowVersion
    revision: int = Field(ge=1, lt=2**31, description="Number of an earlier revision, which the new one repeats")


class MoveBody(BaseBody):
    to: Literal["up", "down"]


class SuccessorBody(BaseBody):
    """The replacement that the editor has reviewed; a changed one answers 409 `changed`."""

    version: RowVersion
    environment: RecordId
    revision: int = Field(ge=1, lt=2**31)

    def to_reviewed_replacement(self) -> ReviewedReplacement:
        return ReviewedReplacement(environment=self.environment, revision=self.revision, version=self.version)
