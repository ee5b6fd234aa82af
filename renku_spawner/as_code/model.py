"""What may stand in such a file: nothing else is read; the schema that is published is made from this."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema

from ..domain import as_code
from ..domain.as_code import Described, DescribedStorage, Document, FromRepository, OwnImage, ReadyMade, Source
from ..domain.errors import Invalid
from ..domain.running import RunChoice
from ..domain.said import WORDS
from ..domain.storage import Credentials
from .reading import Read

SESSIONS_LIMIT = 500
_OWN_WORDS = {
    "extra_forbidden": "There is no such key.",
    "string_pattern_mismatch": "A digest is sha256: and 64 hexadecimal digits.",
    "literal_error": "This is not one of the words that can stand here.",
    "too_long": "This list is too long.",
}
_KINDS = {"literal['all']", "list[constrained-str]"}  # how pydantic calls the two kinds that these two may be
_ONE = "Exactly one of ready_made, image and repository, please."


def _text(value: Any) -> Any:
    """Who writes `cpu: 2` or `DEBUG: true` means a text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


Text = Annotated[str, Field(max_length=40_000)]
Word = Annotated[str, Field(max_length=300)]
Title = Annotated[Word, BeforeValidator(_text)]
_ANY_OF = [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]
Value = Annotated[Text, BeforeValidator(_text), WithJsonSchema({"anyOf": _ANY_OF})]
_QUANTITY = {"anyOf": _ANY_OF[:2], "description": "A Kubernetes quantity", "examples": ["500m", "2Gi"]}
Quantity = Annotated[str, Field(max_length=40), BeforeValidator(_text), WithJsonSchema(_QUANTITY)]
Digest = Annotated[
    str,
    Field(pattern="^sha256:[0-9a-f]{64}$", description="The content that is meant; left out: what the name means now"),
]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class RunPart(Part):
    """How the image is run; what is left out is taken from the image, or is the usual."""

    default_url: Word | None = None
    port: int | None = None
    command: list[Text] | None = None
    working_directory: Word | None = None
    uid: int | None = None
    gid: int | None = None
    image_user: bool | None = None

    def value(self) -> RunChoice:
        said = self.model_dump(exclude_none=True)
        command = said.pop("command", None)
        return RunChoice(**said, command=None if command is None else tuple(command))


class RepositoryPart(Part):
    """The project's repository whose CI has built the image."""

    directory: Word
    branch: Word | None = None


class EnvironmentPart(Part):
    """One of `ready_made`, `image` and `repository`."""

    ready_made: Title | None = Field(default=None, description="Its key in the hub's settings, its name or its id")
    image: Text | None = Field(
        default=None, description="A public image as for docker pull; with `repository` one that CI has built"
    )
    repository: RepositoryPart | None = None
    digest: Digest | None = None
    name: Title | None = Field(default=None, description="Of the environment that is made from an image")
    run: RunPart = RunPart()

    def value(self) -> Source:
        """Raises ValueError."""
        if self.ready_made is not None:
            if self.image is not None or self.repository is not None or self.name is not None or self.run != RunPart():
                raise ValueError("A ready-made environment has a digest at most.")
            return ReadyMade(name=self.ready_made, digest=self.digest)
        more: dict[str, Any] = {"digest": self.digest, "name": self.name, "run": self.run.value()}
        if self.repository is not None:
            return FromRepository(**vars(self.repository), image=self.image, **more)
        if self.image is None:
            raise ValueError(_ONE)
        return OwnImage(image=self.image, **more)


class ConfigurationPart(Part):
    """The least that the session needs, and what it gets; what is left out stays, and is the usual for a new one."""

    cpu: Quantity | None = None
    memory: Quantity | None = None
    gpu: int | None = None
    disk: Quantity | None = None
    repositories: Literal["all"] | list[Word] | None = Field(
        default=None, description="Directories, or all, also those added later"
    )
    storages: Literal["all"] | list[Word] | None = Field(
        default=None, description="Directories of storages, or all, also those added later"
    )
    variables: dict[Word, Value] | None = Field(
        default=None, description="All of them; everybody who reads the project reads them too"
    )

    def value(self) -> dict[str, Any]:
        said = dict(vars(self))
        for name in ("repositories", "storages"):
            said[name] = tuple(said[name]) if isinstance(said[name], list) else said[name]
        return said


class SessionPart(Part):
    title: Title = Field(description="By which it is known in the project")
    was: Title | None = Field(default=None, description="An earlier title: the session is renamed")
    description: Text | None = None
    default: bool = Field(default=False, description="Whether the project's one button starts it")
    environment: EnvironmentPart
    configuration: ConfigurationPart = ConfigurationPart()

    def value(self) -> Described:
        said = {name: getattr(self, name) for name in ("title", "was", "description", "default")}
        return Described(**said, environment=self.environment.value(), **self.configuration.value())


class StoragePart(Part):
    """A storage of the project; what is not said is the usual. Credentials are entered by people, never here."""

    directory: Word = Field(description="By which it is known in the project")
    kind: Word = Field(examples=["volume", "s3", "webdav", "sftp"])
    settings: dict[Word, Value] = Field(default={}, description="Of its kind, as the page of settings has them")
    path: Title = Field(default="", description="Inside the remote")
    credentials: Literal["none", "project", "user"] = Field(default="none", description="Whose open it")
    read_only: bool = True

    def value(self) -> DescribedStorage:
        return DescribedStorage(**{**vars(self), "credentials": Credentials(self.credentials)})


class DocumentPart(Part):
    """The sessions of a project, and its storages."""

    model_config = ConfigDict(title="Sessions of a Renku project")

    version: Literal[1]
    project: Word | None = Field(default=None, description="From which it was written; it can be applied to any other")
    storages: list[StoragePart] = Field(default=[], max_length=SESSIONS_LIMIT)
    sessions: list[SessionPart] = Field(default=[], max_length=SESSIONS_LIMIT)


def document(read: Read) -> Document:
    """What was read, as a document whose texts are clean.

    Raises:
        Invalid: with a sentence at each path that is wrong, and in which line that is, where it has lines.
    """
    try:
        part = DocumentPart.model_validate(read.value)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False, include_context=False)
        raise _wrong({_path(p["loc"]): _words(p["type"], p["msg"]) for p in problems}, read.lines) from None
    found, wrong = [], {}
    for number, each in enumerate(part.sessions):
        try:
            found.append(each.value())
        except ValueError as problem:
            wrong[f"sessions.{number}.environment"] = str(problem)
    if wrong:
        raise _wrong(wrong, read.lines)
    try:
        storages = tuple(each.value() for each in part.storages)
        return as_code.checked(Document(sessions=tuple(found), storages=storages, project=part.project))
    except Invalid as refused:
        raise _wrong(refused.fields, read.lines) from None


def _path(location: tuple[str | int, ...]) -> str:
    said = [str(part)[:64] for part in location if part not in _KINDS and part != "[key]"]
    return ".".join(said) or "document"


def _words(kind: str, message: str) -> str:
    return _OWN_WORDS.get(kind) or WORDS.get(kind) or f"{message}."


def _wrong(fields: Mapping[str, str], lines: Mapping[str, int]) -> Invalid:
    said = {path: located(sentence, path, lines) for path, sentence in fields.items()}
    return Invalid("The description of the sessions is not right.", fields=said)


def located(sentence: str, path: str, lines: Mapping[str, int]) -> str:
    """The sentence with the line of the nearest thing that is there: what is missing has none of its own."""
    while path and path not in lines:
        path = path.rpartition(".")[0]  # the whole document in the end
    line = lines.get(path)
    return f"{sentence} (line {line})" if line else sentence
