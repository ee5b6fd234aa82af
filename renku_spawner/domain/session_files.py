"""The sessions document of a project: its model, its strict YAML parser and its writer.

Applying a document belongs in `usecases.session_files`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any, Final, Literal, TypeVar, get_type_hints

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema

from .configuration_fields import ConfigurationField, FieldKind
from .environments import RunOverrides
from .errors import VALIDATION_MESSAGES, InvalidInputError, MalformedInputError
from .projections import list_input_fields, to_domain_values, with_fields
from .projects import Repository
from .sessions import CONFIGURATION_FIELDS, Session, SessionConfiguration, list_secret_variables
from .storages import DescribedStorage, Storage
from .text import LongText, ShortText, clean_description, clean_title, fold_title

MAX_DOCUMENT_SIZE_BYTES = 64 * 1024
_MAX_YAML_DEPTH = 12
_MAX_YAML_VALUES = 5000
_YAML_INTEGER_PATTERN = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_YAML_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}
# The base loader builds the tree and resolves no types: plain words are read in `_parse_scalar`.
_YamlLoader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class ParsedYaml:
    """A value with the line (from 1) in which each path such as `sessions.0.title` begins."""

    value: Any
    lines: Mapping[str, int] = field(default_factory=dict)


def parse_yaml(data: bytes) -> ParsedYaml:
    """Parse the one YAML document in *data*.

    Raises:
        MalformedInputError: too large, not UTF-8, not YAML, or YAML of more than plain values; the message
            names the line.
    """
    if len(data) > MAX_DOCUMENT_SIZE_BYTES:
        raise MalformedInputError(f"The file is larger than {MAX_DOCUMENT_SIZE_BYTES // 1024} kB.", code="too_large")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedInputError("The file is not valid UTF-8.") from None
    try:
        _check_yaml_events(text)
        root = yaml.compose(text, Loader=_YamlLoader)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        raise _build_yaml_error(mark.line if mark else None, "this is not valid YAML", problem.problem or "") from None
    except (yaml.YAMLError, ValueError):
        raise MalformedInputError("The file is not valid YAML: it has characters that are not allowed.") from None
    lines: dict[str, int] = {}
    return ParsedYaml(value=None if root is None else _convert_yaml_node(root, "", lines), lines=lines)


def _build_yaml_error(line: int | None, said: str, detail: str = "") -> MalformedInputError:
    where = f"Line {line + 1}" if line is not None else "The file"
    return MalformedInputError(f"{where}: {said}{f' ({detail[:100]})' if detail else ''}.")


def _check_yaml_events(text: str) -> None:
    """Refuse what would be expensive or is not plain, before `yaml.compose` builds the tree recursively.

    Raises:
        MalformedInputError: nested too deeply, too many values, anchors, aliases, tags or a second document.
        yaml.YAMLError: this is not YAML.
    """
    depth = values = documents = 0
    for event in yaml.parse(text, Loader=_YamlLoader):
        line = event.start_mark.line
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        values += isinstance(event, yaml.NodeEvent)
        documents += isinstance(event, yaml.DocumentStartEvent)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _build_yaml_error(line, "anchors (&) and aliases (*) are not supported; write the values out")
        if getattr(event, "tag", None) is not None:
            raise _build_yaml_error(line, "tags (!) are not supported")
        if depth > _MAX_YAML_DEPTH:
            raise _build_yaml_error(line, "the file is nested too deeply")
        if values > _MAX_YAML_VALUES:
            raise _build_yaml_error(line, f"there are more than {_MAX_YAML_VALUES} values")
        if documents > 1:
            raise _build_yaml_error(line, "a second document begins here")


def _convert_yaml_node(node: yaml.Node, path: str, lines: dict[str, int]) -> Any:
    """Return the value of *node*, and record the lines of its paths in *lines*.

    Raises:
        MalformedInputError: a key is not a plain word, or is listed twice.
    """
    lines.setdefault(path, node.start_mark.line + 1)
    prefix = f"{path}." if path else ""
    if isinstance(node, yaml.SequenceNode):
        return [_convert_yaml_node(item, f"{prefix}{number}", lines) for number, item in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        return _parse_scalar(node)
    value: dict[str, Any] = {}
    for key, item in node.value:
        line = key.start_mark.line
        if not isinstance(key, yaml.ScalarNode):
            raise _build_yaml_error(line, "a key is a plain word")
        if key.value in value:
            raise _build_yaml_error(line, f"the key {key.value[:64]!r} is listed twice")
        lines[f"{prefix}{key.value}"] = line + 1
        value[key.value] = _convert_yaml_node(item, f"{prefix}{key.value}", lines)
    return value


def _parse_scalar(node: yaml.Node) -> Any:
    """Return the value of a plain word as in JSON, stricter than YAML's `yes`, `0x1F` or dates; else the text."""
    if node.style:
        return node.value
    if node.value in _YAML_CONSTANTS:
        return _YAML_CONSTANTS[node.value]
    return int(node.value) if _YAML_INTEGER_PATTERN.fullmatch(node.value) else node.value


SESSIONS_DOCUMENT_VERSION = 1
ALL_DIRECTORIES: Final = "all"


@dataclass(frozen=True, kw_only=True)
class ManagedEnvironmentSource:
    """A managed environment by its key, its name or its id; with a *digest* the revision with this content."""

    name: str
    digest: str | None = None


@dataclass(frozen=True, kw_only=True)
class OwnImageSource:
    """An image as for `docker pull`; without a *digest* it is what the tag names when the session is added.

    `name` is that of the environment that is made from it.
    """

    image: str
    digest: str | None = None
    name: str | None = None
    run: RunOverrides = field(default_factory=RunOverrides)

    @property
    def image_text(self) -> str:
        return f"{self.image}@{self.digest}" if self.digest else self.image


@dataclass(frozen=True, kw_only=True)
class CiImageSource:
    """An image that CI has built from the repository in `directory`; without `image` the newest of the branch."""

    directory: str
    branch: str | None = None
    image: str | None = None
    digest: str | None = None
    name: str | None = None
    run: RunOverrides = field(default_factory=RunOverrides)


EnvironmentSource = ManagedEnvironmentSource | OwnImageSource | CiImageSource


@dataclass(frozen=True, kw_only=True)
class DescribedSession:
    """A session of a document; None keeps the present value, and is the default for a new session.

    `was` is an earlier title: a session that still has it gets the new one. `configuration` has the fields of
    `domain.sessions.CONFIGURATION_FIELDS` that the document sets; directories may be `all`, which includes those added
    later.
    """

    title: DocumentScalarShortText
    was: DocumentScalarShortText | None = None
    description: LongText | None = None
    default: bool = False
    environment: EnvironmentSource
    configuration: Mapping[str, Any] = field(default_factory=dict)

    def apply_to(self, present: SessionConfiguration) -> SessionConfiguration:
        """Return the described configuration, with *present* for everything that the document does not say.

        Variables that look secret are kept: an exported document never contains them.
        """
        values = dict(self.configuration)
        for each in CONFIGURATION_FIELDS:
            if each.kind is FieldKind.DIRECTORIES and values.get(each.name) == ALL_DIRECTORIES:
                values[each.name] = None
            if each.kind is FieldKind.VARIABLES and each.name in values:
                secret = {name: present.variables[name] for name in list_secret_variables(present.variables)}
                values[each.name] = {**secret, **values[each.name]}
        return present.with_values(values)


@dataclass(frozen=True, kw_only=True)
class SessionsDocument:
    """A project's sessions and storages in their order.

    `project` is the path of the project that was exported; `left_out` are the variables, by session title,
    that an export left out.
    """

    sessions: tuple[DescribedSession, ...] = ()
    storages: tuple[DescribedStorage, ...] = ()
    project: str | None = None
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SessionDifference:
    """A changed field of a session, in words; an empty `old` means that the session is new."""

    field: str
    old: str
    new: str


def check_sessions_document(document: SessionsDocument) -> SessionsDocument:
    """Return the document with cleaned texts, if titles and directories are unique.

    Raises:
        InvalidInputError: with a sentence at each path that is wrong, such as `sessions.1.title`.
    """
    wrong: dict[str, str] = {}
    sessions = [_clean_described_session(number, each, wrong) for number, each in enumerate(document.sessions)]
    titles = [fold_title(each.title) for each in sessions]
    wrong = _find_duplicates(titles, "sessions.{}.title", "Session {} of this document has this title already.") | wrong
    places = [each.directory.casefold() for each in document.storages]
    wrong |= _find_duplicates(
        places, "storages.{}.directory", "Storage {} of this document has this directory already."
    )
    defaults = [number for number, each in enumerate(sessions) if each.default]
    for number in defaults[1:]:
        wrong[f"sessions.{number}.default"] = f"Session {defaults[0] + 1} of this document is the default already."
    if wrong:
        raise InvalidInputError("These sessions are not valid.", fields=wrong)
    return replace(document, sessions=tuple(sessions))


def _find_duplicates(names: Sequence[str], path: str, sentence: str) -> dict[str, str]:
    """Return an error by path for each name that is listed earlier already."""
    firsts: dict[str, int] = {}
    places = [(number, firsts.setdefault(name, number)) for number, name in enumerate(names)]
    return {path.format(number): sentence.format(first + 1) for number, first in places if first != number}


def _clean_described_session(number: int, each: DescribedSession, wrong: dict[str, str]) -> DescribedSession:
    at = f"sessions.{number}"
    try:
        return replace(
            each,
            title=clean_title(each.title),
            was=None if each.was is None else clean_title(each.was, field="was"),
            description=None if each.description is None else clean_description(each.description),
        )
    except InvalidInputError as problem:
        wrong.update({f"{at}.{name}": sentence for name, sentence in problem.fields.items()})
        return each


def describe_session(session: Session, environment: EnvironmentSource, *, default: bool) -> DescribedSession:
    """Return *session* as a document describes it: complete, but without variables that look secret."""
    values, secret = session.configuration.values, list_secret_variables(session.configuration.variables)
    return DescribedSession(
        title=session.title,
        description=session.description,
        default=default,
        environment=environment,
        configuration={
            each.name: _describe_value(each.kind, values[each.name], secret) for each in CONFIGURATION_FIELDS
        },
    )


def _describe_value(kind: FieldKind, value: Any, secret: Sequence[str]) -> Any:
    if kind is FieldKind.DIRECTORIES:
        return ALL_DIRECTORIES if value is None else value
    if kind is FieldKind.VARIABLES:
        return {name: text for name, text in value.items() if name not in secret}
    return value


def find_repository_directory(url: str, repositories: tuple[Repository, ...]) -> str:
    """Return the directory of the project's repository at *url*; the URL itself if the project has no such one."""
    return next((each.directory for each in repositories if _normalize_url(each.url) == _normalize_url(url)), url)


def _normalize_url(url: str) -> str:
    return url.casefold().rstrip("/").removesuffix(".git")


def describe_storage(storage: Storage) -> DescribedStorage:
    return DescribedStorage(
        directory=storage.directory,
        kind=storage.kind,
        settings=storage.settings,
        path=storage.path,
        credentials=storage.credentials,
        read_only=storage.read_only,
    )


MAX_DOCUMENT_SESSIONS = 500
_DOCUMENT_VALIDATION_MESSAGES = {
    "extra_forbidden": "There is no such key.",
    "string_pattern_mismatch": "A digest is sha256: and 64 hexadecimal digits.",
    "literal_error": "This is not one of the allowed values.",
    "too_long": "This list is too long.",
}
_UNION_LOCATION_PARTS = {
    "literal['all']",
    "list[constrained-str]",
}  # pydantic's names for the members of a union in an error's location
_SOURCE_REQUIRED_MESSAGE = "Exactly one of ready_made, image and repository, please."


def _scalar_to_text(value: Any) -> Any:
    """Convert a number or a boolean such as `cpu: 2` or `DEBUG: true` to the text that its author means."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


DocumentScalarShortText = Annotated[ShortText, BeforeValidator(_scalar_to_text)]
_SCALAR_JSON_SCHEMAS = [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]
DocumentScalarText = Annotated[
    LongText, BeforeValidator(_scalar_to_text), WithJsonSchema({"anyOf": _SCALAR_JSON_SCHEMAS})
]
_QUANTITY_JSON_SCHEMA = {
    "anyOf": _SCALAR_JSON_SCHEMAS[:2],
    "description": "A Kubernetes quantity",
    "examples": ["500m", "2Gi"],
}
DocumentQuantity = Annotated[
    str, Field(max_length=40), BeforeValidator(_scalar_to_text), WithJsonSchema(_QUANTITY_JSON_SCHEMA)
]
DocumentDigest = Annotated[
    str,
    Field(pattern="^sha256:[0-9a-f]{64}$", description="Digest of the content; default: what the name means now"),
]


class StrictDocumentPart(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


_RUN_PART_TYPES: dict[Any, Any] = {
    str | None: ShortText | None,
    tuple[str, ...] | None: list[LongText] | None,
}


def _list_run_part_fields() -> Iterator[tuple[str, tuple[Any, Any]]]:
    types = get_type_hints(RunOverrides)
    for each in fields(RunOverrides):
        kind = types[each.name]
        described = Field(default=None, description=each.metadata.get("description"))
        yield each.name, (_RUN_PART_TYPES.get(kind, kind), described)


@with_fields(dict(_list_run_part_fields()))
class RunPart(StrictDocumentPart):
    """Overrides of how the image is run; a field that is left out uses the image's value, or the default."""

    def to_run_overrides(self) -> RunOverrides:
        values = self.model_dump(exclude_none=True)
        command = values.pop("command", None)
        return RunOverrides(**values, command=None if command is None else tuple(command))


class RepositoryPart(StrictDocumentPart):
    """The project's repository whose CI has built the image."""

    directory: ShortText
    branch: ShortText | None = None


class EnvironmentPart(StrictDocumentPart):
    """The source of the environment: one of `ready_made`, `image` and `repository`."""

    ready_made: DocumentScalarShortText | None = Field(
        default=None, description="Its key in the hub's settings, its name or its id"
    )
    image: LongText | None = Field(
        default=None, description="A public image as for docker pull; with `repository` one that CI has built"
    )
    repository: RepositoryPart | None = None
    digest: DocumentDigest | None = None
    name: DocumentScalarShortText | None = Field(
        default=None, description="Name of the environment that is made from an image"
    )
    run: RunPart = RunPart()

    def to_environment_source(self) -> EnvironmentSource:
        """Return the source. Raises ValueError with a sentence if it is not exactly one."""
        if self.ready_made is not None:
            if self.image is not None or self.repository is not None or self.name is not None or self.run != RunPart():
                raise ValueError("A ready-made environment can have a digest, but no other key.")
            return ManagedEnvironmentSource(name=self.ready_made, digest=self.digest)
        more: dict[str, Any] = {"digest": self.digest, "name": self.name, "run": self.run.to_run_overrides()}
        if self.repository is not None:
            return CiImageSource(**vars(self.repository), image=self.image, **more)
        if self.image is None:
            raise ValueError(_SOURCE_REQUIRED_MESSAGE)
        return OwnImageSource(image=self.image, **more)


_CONFIGURATION_PART_TYPES: dict[FieldKind, Any] = {
    FieldKind.QUANTITY: DocumentQuantity,
    FieldKind.NUMBER: int,
    FieldKind.DIRECTORIES: Literal["all"] | list[ShortText],
    FieldKind.VARIABLES: dict[ShortText, DocumentScalarText],
}
_CONFIGURATION_PART_DESCRIPTIONS = {
    FieldKind.DIRECTORIES: "Directories, or all, also those added later",
    FieldKind.VARIABLES: "All of them; everyone who can read the project can read them",
}


def _build_part_field(each: ConfigurationField) -> tuple[Any, Any]:
    description = each.description or _CONFIGURATION_PART_DESCRIPTIONS.get(each.kind)
    return _CONFIGURATION_PART_TYPES[each.kind] | None, Field(default=None, description=description)


@with_fields({each.name: _build_part_field(each) for each in CONFIGURATION_FIELDS})
class ConfigurationPart(StrictDocumentPart):
    """The minimum that the session needs, and what it gets.

    A field that is left out keeps its value; a new session gets the default.
    """

    def to_values(self) -> dict[str, Any]:
        """Return the values of the fields that the document sets."""
        values = {name: value for name, value in self.model_dump().items() if value is not None}
        return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


@with_fields(
    list_input_fields(
        DescribedSession,
        {
            "title": "Title that identifies the session in the project",
            "was": "An earlier title: the session is renamed",
            "default": "Whether the project's one button starts it",
        },
        omit=["environment", "configuration"],
    )
)
class SessionPart(StrictDocumentPart):
    environment: EnvironmentPart
    configuration: ConfigurationPart = ConfigurationPart()

    def to_described_session(self) -> DescribedSession:
        values = {name: getattr(self, name) for name in ("title", "was", "description", "default")}
        return DescribedSession(
            **values,
            environment=self.environment.to_environment_source(),
            configuration=self.configuration.to_values(),
        )


@with_fields(
    list_input_fields(
        DescribedStorage,
        {
            "directory": "Directory that identifies the storage in the project",
            "kind": {"examples": ["volume", "s3", "webdav", "sftp"]},
            "credentials": "Whose credentials open it",
        },
    )
)
class StoragePart(StrictDocumentPart):
    """A storage of the project. Fields that are left out have their default; users enter credentials on the hub."""

    settings: dict[ShortText, DocumentScalarText] = Field(
        default={}, description="Options of its kind, named as on the project's settings page"
    )
    path: DocumentScalarShortText = Field(default="", description="Path inside the remote")

    def to_described_storage(self) -> DescribedStorage:
        return DescribedStorage(**to_domain_values(DescribedStorage, self))


class DocumentPart(StrictDocumentPart):
    """The sessions of a project, and its storages."""

    model_config = ConfigDict(title="Sessions of a Renku project")

    version: Literal[1]
    project: ShortText | None = Field(
        default=None, description="Path of the project that was exported; the document can be applied to any project"
    )
    storages: list[StoragePart] = Field(default=[], max_length=MAX_DOCUMENT_SESSIONS)
    sessions: list[SessionPart] = Field(default=[], max_length=MAX_DOCUMENT_SESSIONS)


def build_sessions_document(read: ParsedYaml) -> SessionsDocument:
    """Build a document with cleaned texts from parsed YAML.

    Raises:
        InvalidInputError: with a sentence at each path that is wrong, and its line if *read* has lines.
    """
    try:
        part = DocumentPart.model_validate(read.value)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False, include_context=False)
        raise _build_document_error(
            {_format_location(p["loc"]): _format_validation_message(p["type"], p["msg"]) for p in problems}, read.lines
        ) from None
    sessions, wrong = [], {}
    for number, each in enumerate(part.sessions):
        try:
            sessions.append(each.to_described_session())
        except ValueError as problem:
            wrong[f"sessions.{number}.environment"] = str(problem)
    if wrong:
        raise _build_document_error(wrong, read.lines)
    try:
        storages = tuple(each.to_described_storage() for each in part.storages)
        return check_sessions_document(
            SessionsDocument(sessions=tuple(sessions), storages=storages, project=part.project)
        )
    except InvalidInputError as refused:
        raise _build_document_error(refused.fields, read.lines) from None


def _format_location(location: tuple[str | int, ...]) -> str:
    parts = [str(part)[:64] for part in location if part not in _UNION_LOCATION_PARTS and part != "[key]"]
    return ".".join(parts) or "document"


def _format_validation_message(kind: str, message: str) -> str:
    return _DOCUMENT_VALIDATION_MESSAGES.get(kind) or VALIDATION_MESSAGES.get(kind) or f"{message}."


def _build_document_error(fields: Mapping[str, str], lines: Mapping[str, int]) -> InvalidInputError:
    sentences = {path: add_line_number(sentence, path, lines) for path, sentence in fields.items()}
    return InvalidInputError("Please correct the description of the sessions.", fields=sentences)


def add_line_number(sentence: str, path: str, lines: Mapping[str, int]) -> str:
    """Append the line of *path*, or of its nearest ancestor in the file if a required value is missing."""
    while path and path not in lines:
        path = path.rpartition(".")[0]  # ends at the whole document
    line = lines.get(path)
    return f"{sentence} (line {line})" if line else sentence


_YamlDumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_YAML_HEADER = """\
# Sessions of a Renku project: renku-spawner apply, or .renku/sessions.yaml in one of its repositories.
# Everyone who can read the project can read this; put no secrets here.
"""
_OMITTED_VARIABLES_COMMENT = (
    "# Left out, since the name looks secret: {names} of session {number}. An apply keeps the present value.\n"
)


class _DocumentDumper(_YamlDumper):
    """A YAML dumper that writes multi-line texts as blocks, and no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(writer: Any, text: str) -> Any:
    return writer.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_DocumentDumper.add_representer(str, _represent_text)


def render_document_yaml(document: SessionsDocument) -> str:
    """Write the document as YAML; equal documents give equal texts."""
    body = yaml.dump(
        to_document_dict(document),
        Dumper=_DocumentDumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=2**16,
    )
    numbers = {each.title: number for number, each in enumerate(document.sessions, 1)}
    comments = (
        _OMITTED_VARIABLES_COMMENT.format(names=", ".join(sorted(names)), number=numbers[title])
        for title, names in document.left_out.items()
    )
    return f"{_YAML_HEADER}{''.join(comments)}{body}"


def render_document_json(document: SessionsDocument) -> str:
    """Write the document as JSON, without comments on left-out variables."""
    return json.dumps(to_document_dict(document), ensure_ascii=False, indent=2) + "\n"


def to_document_dict(document: SessionsDocument) -> dict[str, Any]:
    """Return the document as lists, objects, texts and numbers, in the order in which they are written."""
    sessions = [_to_session_dict(each) for each in document.sessions]
    storages = [_to_storage_dict(each) for each in document.storages] or None
    return _drop_none_values(
        version=SESSIONS_DOCUMENT_VERSION, project=document.project, storages=storages, sessions=sessions
    )


def _to_session_dict(each: DescribedSession) -> dict[str, Any]:
    return _drop_none_values(
        title=each.title,
        was=each.was,
        default=each.default or None,
        description=each.description,
        environment=_to_environment_dict(each.environment),
        configuration=_to_configuration_dict(each.configuration) or None,
    )


def _to_storage_dict(each: DescribedStorage) -> dict[str, Any]:
    return _drop_none_values(
        directory=each.directory,
        kind=each.kind,
        settings=_sort_by_name(each.settings) or None,
        path=each.path or None,
        credentials=str(each.credentials),
        read_only=each.read_only,
    )


def _to_environment_dict(source: EnvironmentSource) -> dict[str, Any]:
    if isinstance(source, ManagedEnvironmentSource):
        return _drop_none_values(ready_made=source.name, digest=source.digest)
    run = _to_run_dict(source.run) or None
    if isinstance(source, OwnImageSource):
        return _drop_none_values(image=source.image, digest=source.digest, name=source.name, run=run)
    repository = _drop_none_values(directory=source.directory, branch=source.branch)
    return _drop_none_values(repository=repository, image=source.image, digest=source.digest, name=source.name, run=run)


def _to_run_dict(run: RunOverrides) -> dict[str, Any]:
    values = {field.name: getattr(run, field.name) for field in fields(run)}
    return _drop_none_values(**values | {"command": None if run.command is None else list(run.command)})


def _to_configuration_dict(values: Mapping[str, Any]) -> dict[str, Any]:
    return {each.name: _to_plain_value(values[each.name]) for each in CONFIGURATION_FIELDS if each.name in values}


def _to_plain_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _sort_by_name(value)
    return list(value) if isinstance(value, tuple) else value


def _sort_by_name(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: variables[name] for name in sorted(variables)}


def _drop_none_values(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
