"""Forms of pages: their fields as values, and values as their fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ..domain.errors import Conflict, Invalid
from ..domain.resources import Requirements
from ..domain.session import Configuration, NewSession, Session, SessionChange
from ..domain.storage_checks import STORAGES_LIMIT
from .bodies import Body, FormVersion, Quantity, Text, Word

_USUAL = Requirements()


def wrong(field: str, sentence: str) -> Invalid:
    return Invalid(sentence, fields={field: sentence})


class ActionForm(Body):
    """The form of a card: each of its buttons sends all of it, and takes what it needs."""

    back: Text = ""
    resource_class: Word | None = None
    empty_disk: Literal["", "yes"] = ""
    without_storages: Text = ""  # directories, in which there are no commas
    path: Text = ""
    then: Word = ""  # the session for which another one is paused
    awake: Word = ""
    version: Word = ""  # the launch version of what the page showed

    def awake_seconds(self) -> int | None:
        """None for the usual time. Raises Invalid."""
        if not self.awake:
            return None
        if not (self.awake.isascii() and self.awake.isdigit()) or len(self.awake) > 8:
            raise wrong("awake", "Choose for how long.")
        return int(self.awake)

    @property
    def start(self) -> dict[str, Any]:
        """What a start shall do otherwise than usual."""
        without = [name for name in self.without_storages.split(",") if name]
        return {"empty_disk": bool(self.empty_disk), "without": without[:STORAGES_LIMIT], "seen": self.version}


class ConfirmForm(Body):
    confirm: Text = ""
    new_default: Word | None = None

    def check(self, title: str) -> None:
        """Raise Invalid unless the title was typed; blanks around it do not matter."""
        if " ".join(self.confirm.split()) != " ".join(title.split()):
            raise wrong("confirm", "This is not the title. Nothing was deleted.")


class RevisionForm(Body):
    revision: Word
    digest: Word | None = None
    version: FormVersion = 0


class DismissalForm(Body):
    digest: Word


class SessionForm(Body):
    environment: Word = ""
    title: Text = ""
    description: Text = ""
    cpu: Quantity = _USUAL.cpu
    memory: Quantity = _USUAL.memory
    gpu: Quantity = "0"
    disk: Quantity = _USUAL.disk
    which: Literal["all", "some"] = "all"
    repositories: list[Word] = []
    which_storages: Literal["all", "some"] = "all"
    storages: list[Word] = []
    variables: Text = ""
    default: Literal["yes"] | None = None
    version: Word = "0"

    def configuration(self) -> Configuration:
        return Configuration(
            needs=self.needs(),
            repositories=tuple(self.repositories) if self.which == "some" else None,
            storages=tuple(self.storages) if self.which_storages == "some" else None,
            variables=variables(self.variables),
        )

    def needs(self) -> Requirements:
        gpu = self.gpu.strip() or "0"
        if not (gpu.isascii() and gpu.isdigit() and len(gpu) < 6):
            raise wrong("gpu", "GPUs are a whole number.")
        return Requirements(cpu=self.cpu.strip(), memory=self.memory.strip(), gpu=int(gpu), disk=self.disk.strip())

    def new(self) -> NewSession:
        if not self.environment:
            raise wrong("environment", "Please choose an environment.")
        return NewSession(
            environment=self.environment,
            title=self.title or None,
            description=self.description,
            configuration=self.configuration(),
            default=self.default == "yes",
        )

    def problems(self) -> dict[str, str]:
        """What is wrong with the environment, by field, before anybody has asked about it."""
        return {}

    def change(self) -> SessionChange:
        if not (self.version.isascii() and self.version.isdigit() and len(self.version) < 10):
            raise Conflict("Please load this page again.", code="changed")
        return SessionChange(
            version=int(self.version),
            title=self.title,
            description=self.description,
            configuration=self.configuration(),
        )


def variables(text: str) -> dict[str, str]:
    """`NAME=value`, one a line; empty lines mean nothing."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if not line.strip():
            continue
        if not equals:
            raise wrong("variables", "One NAME=value a line, please.")
        if name.strip() in found:
            raise wrong("variables", f"{name.strip()[:64]} is given twice.")
        found[name.strip()] = value
    return found


def of_session(session: Session) -> dict[str, Any]:
    """The fields of the form to edit *session*."""
    wanted, needs = session.configuration, session.configuration.needs
    return {
        "title": session.title,
        "description": session.description,
        "cpu": needs.cpu,
        "memory": needs.memory,
        "gpu": str(needs.gpu or ""),
        "disk": needs.disk,
        "variables": "\n".join(f"{name}={value}" for name, value in wanted.variables.items()),
        "repositories": list(wanted.repositories or ()),
        "which": "all" if wanted.repositories is None else "some",
        "storages": list(wanted.storages or ()),
        "which_storages": "all" if wanted.storages is None else "some",
    }


def blank(environment: str) -> dict[str, Any]:
    """The fields of the form to add a session, with an environment chosen or not."""
    return {
        "title": "", "description": "", "cpu": _USUAL.cpu, "memory": _USUAL.memory, "gpu": "", "disk": _USUAL.disk,
        "variables": "", "repositories": [], "which": "all", "storages": [], "which_storages": "all",
        "environment": environment, "default": "",
    }  # fmt: skip


def typed(fields: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """What was typed into those fields, to be shown again."""
    return {name: fields.get(name, "") for name in names}
