"""Request and response models of images, packages and CI images."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from ...domain.ci_images import CiState
from ...domain.environments import ChosenRevision, NewOwnImage
from ...domain.errors import InvalidInputError
from ...domain.ids import RecordId, RowVersion
from ...domain.image_checks import ImageWarning, InspectionResult
from ...domain.image_metadata import ImageKind, ImageMetadata
from ...domain.sessions import SessionChange
from ...domain.software import PackageKind, SoftwareOrigin, SoftwarePackage
from ...domain.text import LongText, ShortText
from ..schemas import BaseAnswer, BaseBody, BuiltBody, ProjectedAnswer, RunBody, answer_of


@answer_of(
    ImageMetadata,
    omit=["digest", "environment", "history"],
    platform="The variant that was looked into",
    size="Compressed bytes of that variant",
    sbom="Whether it brings a list of what is installed",
)
class FactsAnswer(ProjectedAnswer):
    """Metadata of an image from its registry; empty or null if there is none."""


@answer_of(ImageWarning)
class HintAnswer(ProjectedAnswer):
    severity: str = Field(examples=["warning"])


class SuggestedAnswer(BaseAnswer):
    """The default run configuration of an image."""

    default_url: str
    port: int
    command: list[str]
    working_directory: str


class CheckedAnswer(BaseAnswer):
    """The result of an image check."""

    image: str = Field(description="Canonical, in full")
    verdict: str = Field(examples=[str(verdict) for verdict in InspectionResult])
    usable: bool = Field(description="Whether a session can be made from it, checked or not")
    digest: str | None = Field(description="What it would be pinned to")
    code: str | None
    message: str = Field(description="The verdict in words; empty when all is well")
    likely: str | None = Field(description="What it seems to be", examples=[str(kind) for kind in ImageKind])
    facts: FactsAnswer | None
    hints: list[HintAnswer]
    suggested: SuggestedAnswer | None
    checked_at: datetime


@answer_of(SoftwarePackage)
class PackageAnswer(ProjectedAnswer):
    kind: str = Field(examples=[str(kind) for kind in PackageKind])


class SoftwareAnswer(BaseAnswer):
    """The packages installed in an image, and where the list comes from."""

    image: str
    digest: str | None
    origin: str = Field(examples=[str(origin) for origin in SoftwareOrigin])
    found_at: datetime
    complete: bool = Field(description="false: time was up before everything was looked at")
    interpreters: dict[str, str]
    cuda: str | None
    packages: list[PackageAnswer]
    more: int = Field(description="How many packages are beyond those listed")


class UpdateAnswer(BaseAnswer):
    """A newer image that waits to be accepted (`POST …/revision` with its number)."""

    revision: int
    image: str
    digest: str | None
    created_at: datetime = Field(description="When it was first seen")
    commits: int | None = Field(description="How many commits later CI has built it; null where that is unknown")
    commit: str | None = Field(description="That CI has built it for")


class BuiltAnswer(BaseAnswer):
    """The repository, commit and pipeline of an image that CI has built."""

    repository: str = Field(description="The address it is cloned from")
    branch: str
    commit: str
    pipeline: int


class PipelineAnswer(BaseAnswer):
    id: int
    status: str = Field(examples=["success"])
    url: str


class BuiltImageAnswer(BaseAnswer):
    """An image that the project's own CI has built for a commit of the branch."""

    image: str = Field(description="With its tag; what `built.image` of a new session names")
    commit: str
    title: str
    author: str
    committed_at: datetime | None
    url: str = Field(description="The commit's page in GitLab")
    pipeline: PipelineAnswer


class BranchAnswer(BaseAnswer):
    name: str
    default: bool
    protected: bool
    image: str | None = Field(description="The newest image; null: none among the last hundred commits")


class BuiltImageList(BaseAnswer):
    """The images that CI has built for a branch, the newest commit first."""

    repository: str = Field(description="Its directory")
    branch: str | None = Field(description="null: the repository has none")
    state: str = Field(description="What CI has made of the newest commit", examples=[str(state) for state in CiState])
    log: str | None = Field(description="The page of the job that failed")
    branches: list[BranchAnswer]
    items: list[BuiltImageAnswer]
    next: str | None = None


class CheckBody(BaseBody):
    """An image to check, as for `docker pull`."""

    image: LongText
    run: RunBody = RunBody()


class RevisionBody(BaseBody):
    """A replacement for what a session runs: a revision, environment, image, run configuration or commit."""

    revision: int | RecordId | None = Field(
        default=None,
        description="Number or id of the revision to pin the session to; with `environment` the number of that one's",
    )
    environment: RecordId | None = Field(
        default=None,
        description="Another ready-made environment, or any with which the session was started before; without "
        "`revision` its newest one",
    )
    image: LongText | None = Field(default=None, description="Another public image")
    built: BuiltBody | None = Field(default=None, description="Another image that CI has built")
    run: RunBody | None = Field(
        default=None, description="How `image` or `built` is run; without them, the image of one's own that is there"
    )
    digest: ShortText | None = Field(
        default=None, description="Of the image: the digest that was looked at; another one answers 409 `changed`"
    )
    version: RowVersion | None = Field(
        default=None, description="The session's version that was read; another one answers 409 `changed`"
    )

    def to_session_change(self, version: int) -> SessionChange | None:
        """Return the change of a session that has this *version*, or None for another revision of its environment.

        Raises InvalidInputError unless exactly one of the ways is given.
        """
        own = self.built is None and (self.image is not None or self.run is not None)
        if (self.image is not None and self.built is not None) or [
            own, self.built is not None, self.revision is not None or self.environment is not None
        ].count(True) != 1:  # fmt: skip
            sentence = "Exactly one of a revision, an environment, an image (or how it is run) and a commit, please."
            raise InvalidInputError(sentence, fields={"revision": sentence})
        run = (self.run or RunBody()).to_run_overrides()
        return (
            None
            if self.revision is not None and self.environment is None
            else SessionChange(
                version=self.version or version,
                environment=self._to_chosen_revision(),
                image=NewOwnImage(image=(self.image or "").strip(), run=run) if own else None,
                built=self.built.to_value(run=run) if self.built else None,
                digest=self.digest,
            )
        )

    def _to_chosen_revision(self) -> ChosenRevision | None:
        if self.environment is None:
            return None
        if isinstance(self.revision, str):
            sentence = "With an environment, please give the number of a revision."
            raise InvalidInputError(sentence, fields={"revision": sentence})
        return ChosenRevision(environment=self.environment, revision=self.revision)


class DismissalBody(BaseBody):
    """The newer image to dismiss."""

    digest: ShortText
