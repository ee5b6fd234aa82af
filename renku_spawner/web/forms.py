"""Forms of sessions and of how an image runs, and the field values that fill them.

Forms of other nouns are in their own packages.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, Literal, get_type_hints

from ..domain.configuration_fields import ConfigurationField, FieldKind
from ..domain.environments import RunOverrides, check_run_overrides
from ..domain.errors import ConflictError, InvalidInputError
from ..domain.projections import with_fields
from ..domain.sessions import CONFIGURATION_FIELDS, NewSession, Session, SessionChange, SessionConfiguration
from ..domain.storages import MAX_PROJECT_STORAGES
from ..domain.text import LongText, ShortText
from .schemas import BaseBody, FormVersion, QuantityText


def build_field_error(field: str, sentence: str) -> InvalidInputError:
    return InvalidInputError(sentence, fields={field: sentence})


class SessionActionForm(BaseBody):
    """The form of a session card; each button sends all fields, and its action uses those it needs."""

    back: LongText = ""
    resource_class: ShortText | None = None
    empty_disk: Literal["", "yes"] = ""
    without_storages: LongText = ""  # directories, separated by commas
    path: LongText = ""
    pause: ShortText = ""  # the session of the same environment to pause for this start
    then: ShortText = ""  # the session to start after another one was paused
    awake: ShortText = ""
    version: ShortText = ""  # the launch version that the page showed

    def parse_awake_seconds(self) -> int | None:
        """Return the seconds to stay awake, None for the usual time. Raises InvalidInputError."""
        if not self.awake:
            return None
        if not (self.awake.isascii() and self.awake.isdigit()) or len(self.awake) > 8:
            raise build_field_error("awake", "Choose for how long.")
        return int(self.awake)

    @property
    def start_options(self) -> dict[str, Any]:
        """Options of `start_owned_instance`."""
        without = [name for name in self.without_storages.split(",") if name]
        return {
            "empty_disk": bool(self.empty_disk),
            "without": without[:MAX_PROJECT_STORAGES],
            "seen": self.version,
            "pause": self.pause,
        }


class ConfirmDeletionForm(BaseBody):
    confirm: LongText = ""
    new_default: ShortText | None = None

    def require_title(self, title: str) -> None:
        """Raise InvalidInputError unless the title was typed; additional spaces do not matter."""
        if " ".join(self.confirm.split()) != " ".join(title.split()):
            raise build_field_error("confirm", "This is not the title. Nothing was deleted.")


class PinSessionRevisionForm(BaseBody):
    revision: ShortText
    digest: ShortText | None = None
    version: FormVersion = 0


class DismissSessionUpdateForm(BaseBody):
    digest: ShortText


_CHOICE_FIELDS = {"repositories": "which", "storages": "which_storages"}  # whether all or some are chosen
_CONFIGURATION_FORM_FIELDS: dict[FieldKind, tuple[Any, Any]] = {
    FieldKind.QUANTITY: (QuantityText, None),
    FieldKind.NUMBER: (QuantityText, "0"),
    FieldKind.DIRECTORIES: (list[ShortText], []),
    FieldKind.VARIABLES: (LongText, ""),
}


def _list_configuration_form_fields() -> Iterator[tuple[str, tuple[Any, Any]]]:
    for each in CONFIGURATION_FIELDS:
        kind, default = _CONFIGURATION_FORM_FIELDS[each.kind]
        yield each.name, (kind, each.default if default is None else default)
        if each.kind is FieldKind.DIRECTORIES:
            yield _CHOICE_FIELDS[each.name], (Literal["all", "some"], "all")


@with_fields(dict(_list_configuration_form_fields()))
class SessionForm(BaseBody):
    environment: ShortText = ""
    title: LongText = ""
    description: LongText = ""
    default: Literal["yes"] | None = None
    allow_secret: Literal["", "yes"] = ""
    version: ShortText = "0"

    def to_configuration(self) -> SessionConfiguration:
        """Parse the fields. Raises InvalidInputError."""
        return SessionConfiguration().with_values(
            {each.name: self._parse_configuration_value(each) for each in CONFIGURATION_FIELDS}
        )

    def _parse_configuration_value(self, each: ConfigurationField) -> Any:
        typed = getattr(self, each.name)
        if each.kind is FieldKind.DIRECTORIES:
            return typed if getattr(self, _CHOICE_FIELDS[each.name]) == "some" else None
        if each.kind is FieldKind.VARIABLES:
            return parse_variables(typed)
        text: str = typed.strip()
        if each.kind is FieldKind.QUANTITY:
            return text
        number = text or "0"
        if not (number.isascii() and number.isdigit() and len(number) < 6):
            raise build_field_error(each.name, f"{each.subject} a whole number.")
        return int(number)

    def to_new_session(self) -> NewSession:
        if not self.environment:
            raise build_field_error("environment", "Please choose an environment.")
        return NewSession(
            environment=self.environment,
            title=self.title or None,
            description=self.description,
            configuration=self.to_configuration(),
            default=self.default == "yes",
            allow_secret=self.allow_secret == "yes",
        )

    def find_problems(self) -> dict[str, str]:
        """Return problems of the environment by field, without asking a registry."""
        return {}

    def to_session_change(self) -> SessionChange:
        if not (self.version.isascii() and self.version.isdigit() and len(self.version) < 10):
            raise ConflictError("Please load this page again.", code="changed")
        return SessionChange(
            version=int(self.version),
            title=self.title,
            description=self.description,
            configuration=self.to_configuration(),
            allow_secret=self.allow_secret == "yes",
        )


def parse_variables(text: str) -> dict[str, str]:
    """Parse `NAME=value`, one per line; empty lines are ignored. Raises InvalidInputError."""
    variables: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if not line.strip():
            continue
        if not equals:
            raise build_field_error("variables", "One NAME=value a line, please.")
        if name.strip() in variables:
            raise build_field_error("variables", f"{name.strip()[:64]} is given twice.")
        variables[name.strip()] = value
    return variables


def build_session_fields(session: Session) -> dict[str, Any]:
    """Return the field values to edit *session*."""
    return {
        "title": session.title,
        "description": session.description,
        **_build_configuration_fields(session.configuration),
    }


def _build_configuration_fields(configuration: SessionConfiguration) -> dict[str, Any]:
    values = configuration.values
    shown = {each.name: _format_configuration_value(each, values[each.name]) for each in CONFIGURATION_FIELDS}
    return shown | {field: "all" if values[name] is None else "some" for name, field in _CHOICE_FIELDS.items()}


def _format_configuration_value(each: ConfigurationField, value: Any) -> Any:
    if each.kind is FieldKind.DIRECTORIES:
        return list(value or ())
    if each.kind is FieldKind.VARIABLES:
        return "\n".join(f"{name}={text}" for name, text in value.items())
    return str(value or "")


def build_blank_session_fields(environment: str) -> dict[str, Any]:
    """Return the field values to add a session; *environment* is the chosen one, or empty."""
    return {
        "title": "",
        "description": "",
        **_build_configuration_fields(SessionConfiguration()),
        "environment": environment,
        "default": "",
    }


def get_typed_fields(fields: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return what was typed into the fields *names*, to show it again."""
    return {name: fields.get(name, "") for name in names}


_RUN_TYPES = get_type_hints(RunOverrides)
_RUN_NAMES = tuple(each.name for each in fields(RunOverrides))
_RUN_FORM_TYPES: dict[Any, Any] = {bool | None: Literal["", "yes"], tuple[str, ...] | None: LongText}
RUN_FORM_FIELDS = ("name", *_RUN_NAMES)


@with_fields({name: (_RUN_FORM_TYPES.get(_RUN_TYPES[name], ShortText), "") for name in _RUN_NAMES})
class RunFormFields(BaseBody):
    def find_problems(self) -> dict[str, str]:
        return collect_field_problems(lambda: check_run_overrides(self.to_run_overrides()))

    def to_run_overrides(self) -> RunOverrides:
        """Parse the fields. Raises InvalidInputError."""
        return RunOverrides(**{name: self._parse_run_value(name) for name in _RUN_NAMES})

    def _parse_run_value(self, name: str) -> Any:
        kind, typed = _RUN_TYPES[name], getattr(self, name)
        if kind == int | None:
            return _parse_whole_number(name, typed)
        if kind == tuple[str, ...] | None:
            return _parse_command(typed)
        return typed == "yes" or None if kind == bool | None else typed.strip() or None


class ImageSessionForm(RunFormFields, SessionForm):
    name: LongText = ""


def collect_field_problems(look: Callable[[], object]) -> dict[str, str]:
    """Call *look* and return the problems by field that it raises."""
    try:
        look()
    except InvalidInputError as problem:
        return problem.fields
    return {}


def _parse_whole_number(field: str, text: str) -> int | None:
    number = text.strip()
    if not number:
        return None
    if not (number.isascii() and number.isdigit() and len(number) < 11):
        raise build_field_error(field, "A whole number, please.")
    return int(number)


def _parse_command(text: str) -> tuple[str, ...] | None:
    """Split a command as a shell does, without expansion. Raises InvalidInputError."""
    try:
        return tuple(shlex.split(text)) or None
    except ValueError:
        raise build_field_error("command", "A quotation mark in this command has no partner.") from None
