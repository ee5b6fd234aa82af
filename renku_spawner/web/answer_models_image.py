"""What the API answers of images, as models."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from ..domain.ci import CiState
from ..domain.likely import Likely
from ..domain.software import Kind, Origin
from ..domain.verdict import Verdict
from .answer_base import Answer


class FactsAnswer(Answer):
    """What a registry says of an image; empty or null where it is silent."""

    media_type: str
    platforms: list[str]
    platform: str | None = Field(description="The variant that was looked into")
    size: int | None = Field(description="Compressed bytes of that variant")
    created: datetime | None
    user: str
    working_directory: str
    ports: list[int]
    entrypoint: list[str]
    command: list[str]
    labels: dict[str, str]
    sbom: bool = Field(description="Whether it brings a list of what is installed")


class HintAnswer(Answer):
    code: str
    severity: str = Field(examples=["warning"])
    title: str
    text: str
    field: str


class SuggestedAnswer(Answer):
    """How it is run unless somebody says otherwise."""

    default_url: str
    port: int
    command: list[str]
    working_directory: str


class CheckedAnswer(Answer):
    """What a look at an image has come to."""

    image: str = Field(description="Canonical, in full")
    verdict: str = Field(examples=[str(verdict) for verdict in Verdict])
    usable: bool = Field(description="Whether a session can be made from it, checked or not")
    digest: str | None = Field(description="What it would be pinned to")
    code: str | None
    message: str = Field(description="The verdict in words; empty when all is well")
    likely: str | None = Field(description="What it seems to be", examples=[str(kind) for kind in Likely])
    facts: FactsAnswer | None
    hints: list[HintAnswer]
    suggested: SuggestedAnswer | None
    checked_at: datetime


class PackageAnswer(Answer):
    name: str
    version: str
    kind: str = Field(examples=[str(kind) for kind in Kind])


class SoftwareAnswer(Answer):
    """What is installed in an image, and who says so."""

    image: str
    digest: str | None
    origin: str = Field(examples=[str(origin) for origin in Origin])
    found_at: datetime
    complete: bool = Field(description="false: time was up before everything was looked at")
    interpreters: dict[str, str]
    cuda: str | None
    packages: list[PackageAnswer]
    more: int = Field(description="How many packages are beyond those listed")


class UpdateAnswer(Answer):
    """A newer image that waits to be accepted (`POST …/revision` with its number)."""

    revision: int
    image: str
    digest: str | None
    created_at: datetime = Field(description="When it was first seen")
    commits: int | None = Field(description="How many commits later CI has built it; null where that is unknown")
    commit: str | None = Field(description="That CI has built it for")


class BuiltAnswer(Answer):
    """Where an image comes from that CI has built."""

    repository: str = Field(description="The address it is cloned from")
    branch: str
    commit: str
    pipeline: int


class PipelineAnswer(Answer):
    id: int
    status: str = Field(examples=["success"])
    url: str


class BuiltImageAnswer(Answer):
    """An image that counts: its commit is one of the branch, and the project's own CI has run for it."""

    image: str = Field(description="With its tag; what `built.image` of a new session names")
    commit: str
    title: str
    author: str
    committed_at: datetime | None
    url: str = Field(description="The commit's page in GitLab")
    pipeline: PipelineAnswer


class BranchAnswer(Answer):
    name: str
    default: bool
    protected: bool
    image: str | None = Field(description="The newest image; null: none among the last hundred commits")


class BuiltImageList(Answer):
    """What CI has built of a branch, the newest commit first."""

    repository: str = Field(description="Its directory")
    branch: str | None = Field(description="null: the repository has none")
    state: str = Field(description="What CI has made of the newest commit", examples=[str(state) for state in CiState])
    log: str | None = Field(description="The page of the job that failed")
    branches: list[BranchAnswer]
    items: list[BuiltImageAnswer]
    next: str | None = None
