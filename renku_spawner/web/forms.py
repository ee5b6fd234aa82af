"""Forms of sessions and of how an image runs, and the field values that fill them.

Forms of other nouns are in their own packages.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from ..domain.environments import RunOverrides, check_run_overrides
from ..domain.errors import ConflictError, InvalidInputError
from ..domain.resource_classes import ResourceRequirements
from ..domain.sessions import NewSession, Session, SessionChange, SessionConfiguration
from ..domain.storages import MAX_PROJECT_STORAGES
from .schemas import BaseBody, FormVersion, LongText, QuantityText, ShortText

_DEFAULT_REQUIREMENTS = ResourceRequirements()


def build_field_error(field: str, sentence: str) -> InvalidInputError:
    return InvalidInputError(sentence, fields={field: sentence})


class SessionActionForm(BaseBody):
    """The form of a session card; each button sends all fields, and its action uses those it needs."""

    back: LongText = ""
    resource_class: ShortText | None = None
    empty_disk: Literal["", "yes"] = ""
    without_storages: LongText = ""  # directories, separated by commas
    path: LongText = ""
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
        return {"empty_disk": bool(self.empty_disk), "without": without[:MAX_PROJECT_STORAGES], "seen": self.version}


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


class SessionForm(BaseBody):
    environment: ShortText = ""
    title: LongText = ""
    description: LongText = ""
    cpu: QuantityText = _DEFAULT_REQUIREMENTS.cpu
    memory: QuantityText = _DEFAULT_REQUIREMENTS.memory
    gpu: QuantityText = "0"
    disk: QuantityText = _DEFAULT_REQUIREMENTS.disk
    which: Literal["all", "some"] = "all"
    repositories: list[ShortText] = []
    which_storages: Literal["all", "some"] = "all"
    storages: list[ShortText] = []
    variables: LongText = ""
    default: Literal["yes"] | None = None
    version: ShortText = "0"

    def to_configuration(self) -> SessionConfiguration:
        return SessionConfiguration(
            needs=self.to_requirements(),
            repositories=tuple(self.repositories) if self.which == "some" else None,
            storages=tuple(self.storages) if self.which_storages == "some" else None,
            variables=parse_variables(self.variables),
        )

    def to_requirements(self) -> ResourceRequirements:
        gpu = self.gpu.strip() or "0"
        if not (gpu.isascii() and gpu.isdigit() and len(gpu) < 6):
            raise build_field_error("gpu", "GPUs are a whole number.")
        return ResourceRequirements(
            cpu=self.cpu.strip(), memory=self.memory.strip(), gpu=int(gpu), disk=self.disk.strip()
        )

    def to_new_session(self) -> NewSession:
        if not self.environment:
            raise build_field_error("environment", "Please choose an environment.")
        return NewSession(
            environment=self.environment,
            title=self.title or None,
            description=self.description,
            configuration=self.to_configuration(),
            default=self.default == "yes",
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
    configuration, needs = session.configuration, session.configuration.needs
    return {
        "title": session.title,
        "description": session.description,
        "cpu": needs.cpu,
        "memory": needs.memory,
        "gpu": str(needs.gpu or ""),
        "disk": needs.disk,
        "variables": "\n".join(f"{name}={value}" for name, value in configuration.variables.items()),
        "repositories": list(configuration.repositories or ()),
        "which": "all" if configuration.repositories is None else "some",
        "storages": list(configuration.storages or ()),
        "which_storages": "all" if configuration.storages is None else "some",
    }


def build_blank_session_fields(environment: str) -> dict[str, Any]:
    """Return the field values to add a session; *environment* is the chosen one, or empty."""
    return {
        "title": "",
        "description": "",
        "cpu": _DEFAULT_REQUIREMENTS.cpu,
        "memory": _DEFAULT_REQUIREMENTS.memory,
        "gpu": "",
        "disk": _DEFAULT_REQUIREMENTS.disk,
        "variables": "",
        "repositories": [],
        "which": "all",
        "storages": [],
        "which_storages": "all",
        "environment": environment,
        "default": "",
    }


def get_typed_fields(fields: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return what was typed into the fields *names*, to show it again."""
    return {name: fields.get(name, "") for name in names}


RUN_FORM_FIELDS = ("name", "port", "default_url", "working_directory", "uid", "gid", "image_user", "command")


class RunFormFields(BaseBody):
    port: ShortText = ""
    default_url: ShortText = ""
    working_directory: ShortText = ""
    uid: ShortText = ""
    gid: ShortText = ""
    image_user: Literal["", "yes"] = ""
    command: LongText = ""

    def find_problems(self) -> dict[str, str]:
        return collect_field_problems(lambda: check_run_overrides(self.to_run_choice()))

    def to_run_choice(self) -> RunOverrides:
        return RunOverrides(
            default_url=self.default_url.strip() or None,
            port=_parse_whole_number("port", self.port),
            command=_parse_command(self.command),
            working_directory=self.working_directory.strip() or None,
            uid=_parse_whole_number("uid", self.uid),
            gid=_parse_whole_number("gid", self.gid),
            image_user=self.image_user == "yes" or None,
        )


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
