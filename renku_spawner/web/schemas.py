"""Base classes and field types of request bodies and answers, and the bodies that several routes share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Literal, TypeVar, cast

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ..domain.access import Role
from ..domain.administration import DependencyStatus
from ..domain.configuration_fields import ConfigurationField, FieldKind
from ..domain.environments import NewCiImage, NewOwnImage, RunOverrides
from ..domain.errors import VALIDATION_MESSAGES, InvalidInputError
from ..domain.ids import PATH_PART_RULE, RecordId, RowVersion
from ..domain.projections import list_answer_fields, list_input_fields, to_domain_values, with_fields
from ..domain.projects import NewProject, NewRepository, ProjectChange, ProjectMember
from ..domain.session_files import RunPart
from ..domain.sessions import CONFIGURATION_FIELDS, NewSession, SessionChange, SessionConfiguration
from ..domain.storages import MAX_PROJECT_STORAGES
from ..domain.text import LongText, ShortText


class BaseAnswer(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class ProjectedAnswer(BaseAnswer):
    """An answer that has its fields from a class of the domain, by `answer_of`."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


Answer = TypeVar("Answer", bound=ProjectedAnswer)


def answer_of(
    value: type, *, omit: Collection[str] = (), **descriptions: str
) -> Callable[[type[Answer]], type[Answer]]:
    """Return a decorator that gives an answer the fields of the dataclass *value*, with *descriptions* for the API.

    `model_validate(value)` converts a value. A field with another type in the API is declared in the answer itself.
    """
    return with_fields(list_answer_fields(value, descriptions, omit=omit))


class BaseListAnswer(BaseAnswer):
    """A part of a list; `next` is the URL of the next part, null at its end."""

    next: str | None = None


QuantityText = Annotated[str, Field(max_length=40, description="A Kubernetes quantity", examples=["500m", "2Gi"])]


def parse_form_version(typed: Any) -> int:
    """Parse the version in a hidden field; 0, which nothing has, if it is missing or invalid."""
    text = str(typed)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


FormVersion = Annotated[int, BeforeValidator(parse_form_version)]


class BaseBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


Model = TypeVar("Model", bound=BaseModel)
Value = TypeVar("Value")

_REVISION_TYPE_NAMES = {"int", "constrained-str"}  # pydantic's names of the two types of `revision`


def validate_model(model: type[Model], values: dict[str, Any]) -> Model:
    """Validate *values* as a *model*.

    Raises:
        InvalidInputError: with a sentence for each field, which never repeats a value.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False, include_context=False)
    fields = {_format_field_path(p["loc"]): VALIDATION_MESSAGES.get(p["type"], f"{p['msg']}.") for p in problems}
    raise InvalidInputError("Some fields are not right.", fields=fields) from None


def _format_field_path(location: tuple[str | int, ...]) -> str:
    """Format a path like `repositories.0.url`; the fields of a configuration belong to its session."""
    names = [str(part)[:64] for place, part in enumerate(location) if place == 0 or part not in _REVISION_TYPE_NAMES]
    parts = [part for part in names if part != "configuration"] or names
    return parts[0] if parts[0] == "variables" else ".".join(parts)


class EmptyBody(BaseBody):
    """An empty body."""


class ProjectedBody(BaseBody, Generic[Value]):
    """A body that has its fields from a class of the domain, by `body_of`."""

    _value: ClassVar[type]

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def to_value(self, **others: Any) -> Value:
        """Return the value of the domain, with *others* for fields that the body does not have, or has otherwise."""
        return cast("Value", self._value(**to_domain_values(self._value, self, omit=others), **others))


Body = TypeVar("Body", bound=ProjectedBody[Any])
_MODELS_OF_VALUES: dict[type, type[BaseModel]] = {}


def body_of(
    value: type, *, omit: Collection[str] = (), **descriptions: str | Mapping[str, Any]
) -> Callable[[type[Body]], type[Body]]:
    """Return a decorator that gives a body the fields, limits and defaults of the dataclass *value*.

    `to_value()` returns the value. A description is a text for the API, or arguments of pydantic's `Field`. A field of
    another dataclass is a body too, declared before. A field with another type in the API is declared in
    the body itself.
    """

    def decorate(body: type[Body]) -> type[Body]:
        fields = list_input_fields(value, descriptions, omit=omit, models=_MODELS_OF_VALUES)
        model = with_fields(fields)(body)
        model._value = value
        _MODELS_OF_VALUES.setdefault(value, model)
        return model

    return decorate


@body_of(
    NewRepository,
    lfs="Fetch the large files of git-lfs too",
    submodules="Fetch the submodules too",
)
class RepositoryBody(ProjectedBody[NewRepository]):
    def to_value(self, **others: Any) -> NewRepository:
        return super().to_value(ref=self.ref or None, directory=self.directory or None, **others)


@body_of(ProjectMember)
class MemberBody(ProjectedBody[ProjectMember]):
    role: Literal["viewer", "editor", "owner"]
    kind: Literal["user", "group"] = "user"

    def to_value(self, **others: Any) -> ProjectMember:
        return super().to_value(role=Role.from_label(self.role), **others)


_PROJECT_PATH_DESCRIPTION = f"`namespace/slug`. Of each: {PATH_PART_RULE}"


@body_of(NewProject, path={"description": _PROJECT_PATH_DESCRIPTION, "examples": ["ada/climate"]})
class ProjectBody(ProjectedBody[NewProject]):
    """A new project, in the user's own namespace, or for admins in that of a group."""

    visibility: Literal["private", "public"] = "private"


@body_of(
    ProjectChange,
    omit=["moved_repository"],
    path=_PROJECT_PATH_DESCRIPTION,
    listed="Whether people who are not members find its sessions by a search",
    members="All of them; one whom the hub does not know is refused with 422 at its `name`",
    allow_unknown="Also add viewers and editors who have never logged in here, and groups that the hub does not have",
)
class ProjectChangeBody(ProjectedBody[ProjectChange]):
    """Changes to a project; absent fields stay, lists replace the existing ones."""

    visibility: Literal["private", "public"] | None = None


_DIRECTORIES_DESCRIPTION = "Directories; null is all, also those added later"
_CONFIGURATION_BODY_TYPES: dict[FieldKind, Any] = {
    FieldKind.QUANTITY: QuantityText,
    FieldKind.NUMBER: int,
    FieldKind.DIRECTORIES: Annotated[list[ShortText] | None, Field(description=_DIRECTORIES_DESCRIPTION)],
    FieldKind.VARIABLES: dict[str, LongText],
}


def _build_body_field(each: ConfigurationField) -> tuple[Any, Any]:
    kind = _CONFIGURATION_BODY_TYPES[each.kind]
    return kind, Field(default=each.default, description=each.description) if each.description else each.default


@with_fields({each.name: _build_body_field(each) for each in CONFIGURATION_FIELDS})
class ConfigurationBody(BaseBody):
    """The minimum that a session needs; in a change, absent fields stay."""

    def to_configuration(self, present: SessionConfiguration | None = None) -> SessionConfiguration:
        """Return the configuration, with the values of *present* for absent fields."""
        return (present or SessionConfiguration()).with_values(self.model_dump(exclude_unset=True))


class RunBody(RunPart):
    """The run configuration of a user's own image; absent fields are taken from the image, or are the defaults."""

    def to_value(self) -> RunOverrides:
        return self.to_run_overrides()


_MODELS_OF_VALUES[RunOverrides] = RunBody


@body_of(
    NewCiImage,
    omit=["name", "run"],
    repository="Its directory",
    branch="null: the default branch",
    image="As listed, with its tag; null: the newest of the branch",
)
class BuiltBody(ProjectedBody[NewCiImage]):
    """An image that the CI of one of the project's repositories in GitLab has built."""


_ALLOW_SECRET_DESCRIPTION = (
    "Also save new variables whose names look secret; without it they are refused with 422 `variable_secret`"
)


class SessionBody(BaseBody):
    """A ready-made environment, a user's own image or one built by CI, to add as a session."""

    environment: RecordId | None = None
    image: LongText | None = Field(default=None, description="Instead of an environment: a public image")
    built: BuiltBody | None = Field(default=None, description="Instead of both: an image that CI has built")
    name: LongText | None = Field(default=None, description="Of the environment that is made from the image")
    run: RunBody = RunBody()
    title: LongText | None = Field(default=None, description="null: the environment's name, numbered if it is taken")
    description: LongText = ""
    configuration: ConfigurationBody = ConfigurationBody()
    default: bool = False
    allow_secret: bool = Field(default=False, description=_ALLOW_SECRET_DESCRIPTION)

    def to_new_session(self) -> NewSession:
        if sum(each is not None for each in (self.environment, self.image, self.built)) != 1:
            sentence = "Either an environment or an image, please."
            raise InvalidInputError(sentence, fields={"environment": sentence})
        run = self.run.to_run_overrides()
        own = NewOwnImage(image=self.image, name=self.name, run=run) if self.image is not None else None
        return NewSession(
            environment=self.environment,
            image=own,
            built=self.built.to_value(name=self.name, run=run) if self.built else None,
            title=self.title,
            description=self.description,
            configuration=self.configuration.to_configuration(),
            default=self.default,
            allow_secret=self.allow_secret,
        )


@body_of(SessionChange, omit=["image"], allow_secret=_ALLOW_SECRET_DESCRIPTION)
class SessionChangeBody(ProjectedBody[SessionChange]):
    """Changes to a session; they take effect at its next start."""

    configuration: ConfigurationBody | None = None

    def to_session_change(self, present: SessionConfiguration) -> SessionChange:
        """Return the change, with the values of *present* for absent fields of the configuration."""
        return self.to_value(configuration=self.configuration.to_configuration(present) if self.configuration else None)


class RemovalBody(BaseBody):
    """Removal of a session; a default session is replaced by `new_default`, or else by the oldest other one."""

    new_default: RecordId | None = None


class AwakeBody(BaseBody):
    """The time until which an idle session is kept awake: `until`, or `seconds` from now on; 0: no longer."""

    seconds: int | None = Field(default=None, ge=0, le=31_622_400, description="null: an hour")
    until: Annotated[AwareDatetime, Field(strict=False)] | None = None


class StartBody(BaseBody):
    resource_class: ShortText | None = Field(default=None, description="null: the smallest class that fits")
    empty_disk: bool = Field(default=False, description="After `volume_lost`: start with a new, empty disk")
    without_storages: list[ShortText] = Field(
        default=[], max_length=MAX_PROJECT_STORAGES, description="Directories of storages that this start leaves out"
    )
    version: RowVersion | None = Field(
        default=None, description="The session's `version` that was read; another one answers 409 `changed`"
    )
    launch_version: ShortText = Field(
        default="",
        description="The session's `launch_version` that was read: what would start, with the project's repositories "
        "and storages; another one answers 409 `changed` with what changed",
    )


@answer_of(
    DependencyStatus,
    kind="`database`, `gitlab`, `registry` or `kubernetes`",
    name="Its host, where there may be several",
    away_since="null while it answers",
    reason="Why it cannot be asked, where that is known; null while it answers",
)
class NeighbourAnswer(ProjectedAnswer):
    pass


class HealthAnswer(BaseAnswer):
    status: str = Field(description="`ok`, or `degraded` while a neighbour does not answer")
    neighbours: list[NeighbourAnswer] | None = Field(description="null for all but admins")
    refused_settings: str | None = Field(
        description="Why changed settings are not used, null while there are none, and for all but admins"
    )
