"""Request and answer models of projects, sessions and session documents."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from ...domain.access import Role
from ...domain.configuration_fields import FieldKind
from ...domain.environments import EnvironmentState
from ...domain.errors import InvalidInputError
from ...domain.ids import RowVersion
from ...domain.projections import with_fields
from ...domain.projects import ProjectEntry, ProjectMember, Repository
from ...domain.session_files import SessionDifference
from ...domain.sessions import CONFIGURATION_FIELDS
from ...domain.text import LongText, ShortText
from ..images.schemas import BuiltAnswer, FactsAnswer, UpdateAnswer
from ..instances.schemas import InstanceAnswer, OwnInstanceReference
from ..schemas import BaseAnswer, BaseBody, BaseListAnswer, FormVersion, ProjectedAnswer, answer_of

RoleLabel = Annotated[str, BeforeValidator(lambda role: role.label if isinstance(role, Role) else role)]


class InTheWayAnswer(OwnInstanceReference):
    """One of the user's own instances that count towards a limit."""

    status: str


class ErrorAnswer(BaseAnswer):
    """The body of every error; `fields` only if fields are wrong."""

    status: int = Field(examples=[422])
    code: str = Field(examples=["invalid"])
    message: str = Field(description="A sentence for the person who asked")
    fields: dict[str, str] | None = None
    limit: int | None = Field(default=None, description="Of `limit_user` and `limit_kept`: what an admin allows")
    running: list[InTheWayAnswer] | None = Field(default=None, description="Of `limit_user`: what could be paused")
    kept: list[InTheWayAnswer] | None = Field(
        default=None, description="Of `limit_kept`: what has data that could be deleted"
    )


@answer_of(
    Repository,
    lfs="Whether the large files of git-lfs are fetched too",
    submodules="Whether the submodules are fetched too",
    fixed="Whether it is the project itself, in GitLab",
)
class RepositoryAnswer(ProjectedAnswer):
    pass


@answer_of(ProjectMember)
class MemberAnswer(ProjectedAnswer):
    role: RoleLabel


class ProjectAnswer(BaseAnswer):
    id: str
    path: str
    title: str
    description: str
    visibility: str
    listed: bool = Field(description="People who are not members find its sessions by a search")
    role: str = Field(description="One's own")
    default_session: str | None
    repositories: list[RepositoryAnswer]
    members: list[MemberAnswer]
    archived: bool = Field(description="Archived in GitLab, and therefore read-only")
    web: str | None = Field(description="Its page in GitLab; null: it lives here")
    stale: datetime | None = Field(description="GitLab does not answer, and this is as it was then")
    version: int
    created_by: str
    created_at: datetime


class EnvironmentAnswer(BaseAnswer):
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
    state: str = Field(examples=[str(state) for state in EnvironmentState])
    message: str = Field(description="Of a deprecated or archived one: what its admins say")
    successor: str | None = Field(description="The id of the one that comes in its place")
    created_by: str
    created_at: datetime


_DIRECTORIES_DESCRIPTION = "Directories; null is all of the project"
_CONFIGURATION_ANSWER_TYPES: dict[FieldKind, Any] = {
    FieldKind.QUANTITY: str,
    FieldKind.NUMBER: int,
    FieldKind.DIRECTORIES: Annotated[list[str] | None, Field(description=_DIRECTORIES_DESCRIPTION)],
    FieldKind.VARIABLES: dict[str, str],
}


@with_fields(
    {
        each.name: (
            _CONFIGURATION_ANSWER_TYPES[each.kind],
            Field(description=each.description) if each.description else ...,
        )
        for each in CONFIGURATION_FIELDS
    }
)
class ConfigurationAnswer(BaseAnswer):
    pass


class RevisionAnswer(BaseAnswer):
    id: str
    revision: int
    image: str
    digest: str | None
    facts: FactsAnswer | None
    built: BuiltAnswer | None
    created_by: str
    created_at: datetime


@answer_of(
    ProjectEntry,
    omit=["default_title"],
    archived="Archived in GitLab, and therefore read-only",
    stale="GitLab does not answer, and this is as it was then",
)
class ProjectEntryAnswer(ProjectedAnswer):
    """A project in a list; `instance` is the user's own of its default session."""

    role: RoleLabel
    instance: InstanceAnswer


class SuccessorAnswer(BaseAnswer):
    """An active environment to which an editor can change the session."""

    environment: str
    name: str
    revision: int


class SessionAnswer(BaseAnswer):
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


class ResourceClassAnswer(BaseAnswer):
    name: str
    cpu: str
    memory: str
    gpu: int
    disk: str
    description: str
    usable: bool = Field(description="Whether the caller may use it")


class ProjectList(BaseListAnswer):
    items: list[ProjectEntryAnswer]


class SessionList(BaseListAnswer):
    items: list[SessionAnswer]


class FoundSessionAnswer(BaseAnswer):
    """An image that a search has found, with the newest session that runs it in a project that you may see."""

    session: str
    project: str
    project_path: str
    project_title: str
    title: str
    description: str
    version: int = Field(description="Of the session, to be sent with a copy")
    environment: EnvironmentAnswer
    package: str | None = Field(description="The versions of the package that was searched for; null: none was")
    uses: int = Field(description="In how many projects that you may see the image is used")
    successful_launches: int = Field(description="Of the image in the last 30 days, in projects that you may see")
    failed_launches: int
    obstacle: str | None = Field(description="Why you cannot run it on this hub; null: nothing is known")


class FoundSessionListAnswer(BaseListAnswer):
    items: list[FoundSessionAnswer]


class RevisionList(BaseListAnswer):
    items: list[RevisionAnswer]


class EnvironmentList(BaseListAnswer):
    items: list[EnvironmentAnswer]


class ResourceClassList(BaseListAnswer):
    items: list[ResourceClassAnswer]


@answer_of(SessionDifference, old="Empty for what is new", new="Empty for what goes")
class DifferenceAnswer(ProjectedAnswer):
    field: str = Field(examples=["memory", "variables.MODE"])


class StepAnswer(BaseAnswer):
    """The planned change of one session or storage."""

    action: Literal["add", "change", "same", "remove", "leave"]
    of: Literal["session", "storage"]
    title: str = Field(description="Of a storage its directory")
    path: str | None = Field(description="In the document; null: it does not name the session", examples=["sessions.0"])
    session: str | None = Field(description="Its id; null before it is added")
    differences: list[DifferenceAnswer]
    notes: list[str] = Field(description="What to know of it, in sentences")


class PlanAnswer(BaseAnswer):
    """The changes that a session file makes."""

    project: str
    applied: bool = Field(description="Whether it was applied; false for a dry run (`dry_run`)")
    changes: bool = Field(description="Whether there is, or was, anything to do")
    forbidden: str | None = Field(description="Why you may do nothing of it, in a sentence")
    refused: dict[str, str] = Field(description="What cannot be, by path of the document: then nothing is done")
    items: list[StepAnswer]


class CopyBody(BaseBody):
    """The project that gets a copy of the session."""

    project: ShortText = Field(description="Id or path of a project that you may change; it may be the same one")
    title: LongText | None = Field(default=None, description="null: the same one, numbered if it is taken")
    default: bool = Field(default=False, description="Whether it becomes that project's default session")
    version: RowVersion | None = Field(
        default=None, description="The session's version that was read; another one answers 409 `changed`"
    )


class CopySessionForm(BaseBody):
    project: ShortText = ""
    title: LongText = ""
    version: FormVersion = 0

    def require_project(self) -> str:
        """Return the project. Raises InvalidInputError if none is chosen."""
        if not self.project:
            sentence = "Please choose a project."
            raise InvalidInputError(sentence, fields={"project": sentence})
        return self.project
