"""Forms about ready-made environments: their fields as values, and values as their fields."""

from __future__ import annotations

import shlex
from typing import Any, Literal

from ..domain.curation import NewReadyMade, ReadyMadeChange, Seen, StateChange
from ..domain.environment import Environment, State
from ..domain.errors import Conflict
from ..domain.image import parse
from .bodies import Body, Text, Word
from .forms import wrong
from .forms_image import of_revision
from .forms_run import RUN, RunFields, problems_of

_FIELDS = ("name", "description", "keywords", "icon", "image", "renew", "state", *RUN)


class Versioned(Body):
    version: Word = "0"

    def seen(self) -> int:
        """The version that was shown. Raises Conflict: `changed`."""
        if not (self.version.isascii() and self.version.isdigit() and len(self.version) < 10):
            raise Conflict("Please load this page again.", code="changed")
        return int(self.version)


class EnvironmentForm(RunFields, Versioned):
    name: Text = ""
    description: Text = ""
    keywords: Text = ""
    icon: Word = ""
    image: Text = ""
    renew: Literal["", "yes"] = ""
    state: Literal["draft", "active"] = "draft"

    def new(self) -> NewReadyMade:
        return NewReadyMade(
            name=self.name,
            image=self._image(),
            run=self.run(),
            description=self.description,
            keywords=self._keywords(),
            icon=self.icon,
            state=State(self.state),
        )

    def change(self) -> ReadyMadeChange:
        return ReadyMadeChange(
            version=self.seen(),
            name=self.name,
            description=self.description,
            keywords=self._keywords(),
            icon=self.icon,
            image=self._image(),
            run=self.run(),
            renew=self.renew == "yes",
        )

    def problems(self) -> dict[str, str]:
        """What is wrong with the image and how it is run, before anybody has asked about it."""
        if not self.image.strip():
            return {"image": "Please give an image."}
        return problems_of(lambda: parse(self.image.strip())) or super().problems()

    def _image(self) -> str:
        if not self.image.strip():
            raise wrong("image", "Please give an image.")
        return self.image.strip()

    def _keywords(self) -> tuple[str, ...]:
        return tuple(word.strip() for word in self.keywords.split(","))


class StateForm(Versioned):
    state: Literal["active", "deprecated", "archived"]
    successor: Word = ""
    message: Text = ""

    def change(self) -> StateChange:
        return StateChange(
            version=self.seen(), state=State(self.state), successor=self.successor or None, message=self.message
        )


class RollBackForm(Versioned):
    revision: Word

    def number(self) -> int:
        if not (self.revision.isascii() and self.revision.isdigit() and len(self.revision) < 10):
            raise wrong("revision", "This environment has no such revision.")
        return int(self.revision)


class SuccessorForm(Versioned):
    environment: Word
    revision: Word = "0"

    def seen_heir(self) -> Seen:
        """What the editor has looked at. Raises Conflict: `changed`."""
        revision = self.revision if self.revision.isascii() and self.revision.isdigit() else "0"
        return Seen(environment=self.environment, revision=int(revision[:9]), version=self.seen())


class MoveForm(Body):
    to: Literal["up", "down"]


def blank() -> dict[str, Any]:
    return dict.fromkeys(_FIELDS, "") | {"state": "draft"}


def of_environment(found: Environment) -> dict[str, Any]:
    """The fields of the form to edit or to copy it."""
    said = {name: getattr(found, name) for name in ("name", "description", "icon")}
    return blank() | of_revision(found.revision) | said | {"keywords": ", ".join(found.keywords)}


def copied(found: Environment) -> dict[str, Any]:
    """The same for a copy, which nobody takes for the original."""
    run = found.revision.run
    whole = {"command": shlex.join([*run.command, *run.arguments])} if run.command and run.arguments else {}
    return of_environment(found) | whole | {"name": f"{found.name[:92]} (copy)"}


def not_copied(found: Environment) -> str:
    """What the form cannot say: arguments go to the image's own program where no command is given."""
    run = found.revision.run
    return "" if run.command else shlex.join(run.arguments)
