"""What may stand in the body of a request: nothing else is read (T17)."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ..domain import names
from ..domain.access import Role, Visibility
from ..domain.errors import Invalid
from ..domain.project import Member, NewProject, ProjectChange
from ..domain.repository import NewRepository
from ..domain.running import NewBuilt, NewImage, RunChoice
from ..domain.said import WORDS
from ..domain.session import Configuration, NewSession, SessionChange
from ..domain.storage_checks import STORAGES_LIMIT

Text = Annotated[str, Field(max_length=40_000)]
Word = Annotated[str, Field(max_length=300)]
Id = Annotated[str, Field(pattern="^[a-z][a-z2-7]{11}$")]
Quantity = Annotated[str, Field(max_length=40, description="A Kubernetes quantity", examples=["500m", "2Gi"])]
Version = Annotated[
    int, Field(ge=0, lt=2**31, description="The version that was read; another one answers 409 `changed`")
]


def parse_version(typed: Any) -> int:
    """A version as a hidden field of a form has it; 0, which nothing has, if the field is missing or something else."""
    text = str(typed)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


FormVersion = Annotated[int, BeforeValidator(parse_version)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


Model = TypeVar("Model", bound=BaseModel)

_KINDS = {"int", "constrained-str"}  # how pydantic calls the two kinds that `revision` may be


def check(model: type[Model], values: dict[str, Any]) -> Model:
    """*values* as a *model*.

    Raises:
        Invalid: with a sentence for each field; values are never repeated (trap 88).
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False, include_context=False)
    fields = {_name(p["loc"]): WORDS.get(p["type"], f"{p['msg']}.") for p in problems}
    raise Invalid("Some fields are not right.", fields=fields) from None


def _name(location: tuple[str | int, ...]) -> str:
    """`repositories.0.url`; a session's configuration is one with its session."""
    said = [str(part)[:64] for place, part in enumerate(location) if place == 0 or part not in _KINDS]
    parts = [part for part in said if part != "configuration"] or said
    return parts[0] if parts[0] == "variables" else ".".join(parts)


class Nothing(Body):
    """An empty body."""


class RepositoryBody(Body):
    url: Text
    ref: Word | None = None
    directory: Word | None = None

    lfs: bool = Field(default=False, description="Fetch the large files of git-lfs too")
    submodules: bool = Field(default=False, description="Fetch the submodules too")

    def value(self) -> NewRepository:
        return NewRepository(**vars(self) | {"ref": self.ref or None, "directory": self.directory or None})


class MemberBody(Body):
    name: Word
    role: Literal["viewer", "editor", "owner"]
    kind: Literal["user", "group"] = "user"

    def value(self) -> Member:
        return Member(kind=self.kind, name=self.name, role=Role.of(self.role))


class ProjectBody(Body):
    """A new project; it lies below one's own name, or as an admin below a group's."""

    path: Word = Field(description=f"`namespace/slug`. Of each: {names.PART_RULE}", examples=["ada/climate"])
    title: Text
    description: Text = ""
    visibility: Literal["private", "public"] = "private"
    repositories: list[RepositoryBody] = []

    def value(self) -> NewProject:
        return NewProject(
            path=self.path,
            title=self.title,
            description=self.description,
            visibility=Visibility(self.visibility),
            repositories=tuple(each.value() for each in self.repositories),
        )


class ProjectChangeBody(Body):
    """What changes of a project; what is absent stays. Lists replace what is there."""

    version: Version
    path: Word | None = Field(default=None, description=f"`namespace/slug`. Of each: {names.PART_RULE}")
    title: Text | None = None
    description: Text | None = None
    visibility: Literal["private", "public"] | None = None
    default_session: Id | None = None
    repositories: list[RepositoryBody] | None = None
    members: list[MemberBody] | None = Field(
        default=None, description="All of them; one whom the hub does not know is refused with 422 at its `name`"
    )
    allow_unknown: bool = Field(
        default=False,
        description="Also add viewers and editors who have never logged in here, and groups that the hub does not have",
    )

    def value(self) -> ProjectChange:
        return ProjectChange(
            version=self.version,
            path=self.path,
            title=self.title,
            description=self.description,
            visibility=Visibility(self.visibility) if self.visibility else None,
            default_session=self.default_session,
            repositories=None if self.repositories is None else tuple(each.value() for each in self.repositories),
            members=None if self.members is None else tuple(each.value() for each in self.members),
            allow_unknown=self.allow_unknown,
        )


class ConfigurationBody(Body):
    """The least that a session needs; in a change, what is absent stays."""

    cpu: Quantity = "500m"
    memory: Quantity = "1Gi"
    gpu: int = 0
    disk: Quantity = "1Gi"
    repositories: list[Word] | None = Field(
        default=None, description="Directories; null is all, also those added later"
    )
    storages: list[Word] | None = Field(default=None, description="Directories; null is all, also those added later")
    variables: dict[str, Text] = {}

    def value(self, present: Configuration | None = None) -> Configuration:
        """The configuration, with *present* for what was not said."""
        present = present or Configuration()
        said = self.model_dump(exclude_unset=True)
        needs = {key: said.pop(key) for key in ("cpu", "memory", "gpu", "disk") if key in said}
        for name in ("repositories", "storages"):
            chosen = said.pop(name, getattr(present, name))
            said[name] = None if chosen is None else tuple(chosen)
        return replace(present, needs=replace(present.needs, **needs), **said)


class RunBody(Body):
    """How somebody's own image is run; what is left out is taken from the image, or is the usual."""

    default_url: Word | None = None
    port: int | None = None
    command: list[Text] | None = None
    working_directory: Word | None = None
    uid: int | None = None
    gid: int | None = None
    image_user: bool | None = Field(
        default=None, description="As the user that the image names, by its number and never root; without `uid`"
    )

    def value(self) -> RunChoice:
        said = self.model_dump(exclude_none=True)
        command = said.pop("command", None)
        return RunChoice(**said, command=None if command is None else tuple(command))


class BuiltBody(Body):
    """An image that the CI of one of the project's repositories in GitLab has built."""

    repository: Word = Field(description="Its directory")
    branch: Word | None = Field(default=None, description="null: the default branch")
    image: Text | None = Field(default=None, description="As listed, with its tag; null: the newest of the branch")

    def value(self, name: str | None, run: RunChoice) -> NewBuilt:
        return NewBuilt(repository=self.repository, branch=self.branch, image=self.image, name=name, run=run)


class SessionBody(Body):
    """A ready-made environment, somebody's own image, or one that CI has built: it becomes a session of the project."""

    environment: Id | None = None
    image: Text | None = Field(default=None, description="Instead of an environment: a public image")
    built: BuiltBody | None = Field(default=None, description="Instead of both: an image that CI has built")
    name: Text | None = Field(default=None, description="Of the environment that is made from the image")
    run: RunBody = RunBody()
    title: Text | None = Field(default=None, description="null: the environment's name, numbered if it is taken")
    description: Text = ""
    configuration: ConfigurationBody = ConfigurationBody()
    default: bool = False

    def value(self) -> NewSession:
        if sum(each is not None for each in (self.environment, self.image, self.built)) != 1:
            sentence = "Either an environment or an image, please."
            raise Invalid(sentence, fields={"environment": sentence})
        run = self.run.value()
        own = NewImage(image=self.image, name=self.name, run=run) if self.image is not None else None
        return NewSession(
            environment=self.environment,
            image=own,
            built=self.built.value(self.name, run) if self.built else None,
            title=self.title,
            description=self.description,
            configuration=self.configuration.value(),
            default=self.default,
        )


class SessionChangeBody(Body):
    """What changes of a session; it takes effect at the next start."""

    version: Version
    title: Text | None = None
    description: Text | None = None
    configuration: ConfigurationBody | None = None

    def value(self, present: Configuration) -> SessionChange:
        return SessionChange(
            version=self.version,
            title=self.title,
            description=self.description,
            configuration=self.configuration.value(present) if self.configuration else None,
        )


class RemovalBody(Body):
    """Removing the default session may name its successor; else it is the oldest that remains."""

    new_default: Id | None = None


class AwakeBody(Body):
    """Until when a session that nobody uses is kept awake: `until`, or so many `seconds` from now on; 0: no longer."""

    seconds: int | None = Field(default=None, ge=0, le=31_622_400, description="null: an hour")
    until: Annotated[AwareDatetime, Field(strict=False)] | None = None


class StartBody(Body):
    resource_class: Word | None = Field(default=None, description="null: the smallest class that fits")
    empty_disk: bool = Field(default=False, description="After `volume_lost`: start with a new, empty disk")
    without_storages: list[Word] = Field(
        default=[], max_length=STORAGES_LIMIT, description="Directories of storages that this start leaves out"
    )
    version: Version | None = Field(
        default=None, description="The session's `version` that was read; another one answers 409 `changed`"
    )
    launch_version: Word = Field(
        default="",
        description="The session's `launch_version` that was read: what would start, with the project's repositories "
        "and storages; another one answers 409 `changed` with what changed",
    )
