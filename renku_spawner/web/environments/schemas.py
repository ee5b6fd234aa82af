"""Request and response models of managed environments."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from ...domain.administration import ImageNodeCoverage
from ...domain.environments import (
    ENVIRONMENT_ICONS,
    EnvironmentState,
    EnvironmentStateChange,
    EnvironmentUsage,
    ManagedEnvironmentChange,
    NewManagedEnvironment,
    RevisionNumber,
    RunConfiguration,
)
from ...domain.ids import RowVersion
from ..schemas import BaseBody, ProjectedAnswer, ProjectedBody, answer_of, body_of
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


@body_of(
    NewManagedEnvironment,
    image={"examples": ["quay.io/jupyter/scipy-notebook:2026-11-02"]},
    icon={"description": "Empty: that of its kind", "examples": list(ENVIRONMENT_ICONS)},
)
class EnvironmentBody(ProjectedBody[NewManagedEnvironment]):
    """A new ready-made environment; its image is checked with the hub's own credentials."""

    state: Literal["draft", "active"] = Field(default="draft", description="Only what is active is offered")


@body_of(ManagedEnvironmentChange, renew="Resolve the image's tag again")
class EnvironmentChangeBody(ProjectedBody[ManagedEnvironmentChange]):
    """Changes to an environment; absent fields stay. Another image or `run` makes a new revision."""


_STATE_DESCRIPTIONS = {
    "successor": "Id of an active environment, which is offered to editors of projects",
    "message": "Why, and what to do; shown to all users who see its sessions",
}


@body_of(EnvironmentStateChange, omit=["state"], **_STATE_DESCRIPTIONS)
class ArchiveBody(ProjectedBody[EnvironmentStateChange]):
    def to_value(self, **others: Any) -> EnvironmentStateChange:
        return super().to_value(state=EnvironmentState.ARCHIVED, **others)


@body_of(EnvironmentStateChange, **_STATE_DESCRIPTIONS)
class StateBody(ProjectedBody[EnvironmentStateChange]):
    """A state change of an environment; an active one has neither successor nor message."""

    state: Literal["active", "deprecated", "archived"]


class RollBackBody(BaseBody):
    version: RowVersion
    revision: RevisionNumber = Field(description="Number of an earlier revision, which the new one repeats")


class MoveBody(BaseBody):
    to: Literal["up", "down"]
