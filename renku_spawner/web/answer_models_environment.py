"""What the API answers of ready-made environments, as models."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from .answer_base import Answer
from .answer_models import EnvironmentAnswer, RevisionAnswer


class RunAnswer(Answer):
    """How it is run."""

    default_url: str
    port: int
    command: list[str]
    arguments: list[str]
    working_directory: str
    uid: int | None
    gid: int | None
    image_user: bool


class UsageAnswer(Answer):
    """By how many living sessions of how many projects it is used."""

    projects: int
    sessions: int
    newest: int = Field(description="Sessions that run its newest revision")
    running: int = Field(description="People's instances at work")
    starts: int = Field(description="In the last 30 days")
    failed: int = Field(description="Of those")
    last_used: datetime | None


class NodesAnswer(Answer):
    """On which nodes of the cluster the image of the newest revision is."""

    here: list[str]
    coming: list[str] = Field(description="They download it, or it has not had its turn")
    failed: dict[str, str] = Field(description="Why it does not come, by node")


class ReadyMadeAnswer(EnvironmentAnswer):
    """A ready-made environment as its admins see it."""

    version: int
    configured: bool = Field(description="Whether the hub's configuration says what it is: read-only here")
    archived_at: datetime | None
    run: RunAnswer
    usage: UsageAnswer
    revisions: list[RevisionAnswer] = Field(description="Newest first")
    nodes: NodesAnswer | None = Field(
        description="null: it is not kept on the nodes, or the cluster has not said where"
    )
    nodes_problem: str = Field(description="Why that is not known, or why images are not kept there; else empty")
