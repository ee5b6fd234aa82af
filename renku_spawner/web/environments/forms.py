"""Forms of managed environments, and the field values that fill them."""

from __future__ import annotations

import shlex
from typing import Any, Literal

from ...domain.environments import (
    Environment,
    EnvironmentState,
    EnvironmentStateChange,
    ManagedEnvironmentChange,
    NewManagedEnvironment,
)
from ...domain.errors import ConflictError
from ...domain.images import parse_image_reference
from ...domain.text import LongText, ShortText
from ..forms import RUN_FORM_FIELDS, RunFormFields, build_field_error, collect_field_problems
from ..images.forms import build_image_fields
from ..schemas import BaseBody

_ENVIRONMENT_FORM_FIELDS = ("name", "description", "keywords", "icon", "image", "renew", "state", *RUN_FORM_FIELDS)


class VersionedForm(BaseBody):
    version: ShortText = "0"

    def require_version(self) -> int:
        """Return the version that the page showed. Raises ConflictError: `changed`."""
        if not (self.version.isascii() and self.version.isdigit() and len(self.version) < 10):
            raise ConflictError("Please load this page again.", code="changed")
        return int(self.version)


class EnvironmentForm(RunFormFields, VersionedForm):
    name: LongText = ""
    description: LongText = ""
    keywords: LongText = ""
    icon: ShortText = ""
    image: LongText = ""
    renew: Literal["", "yes"] = ""
    state: Literal["draft", "active"] = "draft"

    def to_new_environment(self) -> NewManagedEnvironment:
        return NewManagedEnvironment(
            name=self.name,
            image=self._require_image(),
            run=self.to_run_overrides(),
            description=self.description,
            keywords=self._parse_keywords(),
            icon=self.icon,
            state=EnvironmentState(self.state),
        )

    def to_environment_change(self) -> ManagedEnvironmentChange:
        return ManagedEnvironmentChange(
            version=self.require_version(),
            name=self.name,
            description=self.description,
            keywords=self._parse_keywords(),
            icon=self.icon,
            image=self._require_image(),
            run=self.to_run_overrides(),
            renew=self.renew == "yes",
        )

    def find_problems(self) -> dict[str, str]:
        """Return problems of the image and its run configuration by field, without asking the registry."""
        if not self.image.strip():
            return {"image": "Please give an image."}
        return collect_field_problems(lambda: parse_image_reference(self.image.strip())) or super().find_problems()

    def _require_image(self) -> str:
        if not self.image.strip():
            raise build_field_error("image", "Please give an image.")
        return self.image.strip()

    def _parse_keywords(self) -> tuple[str, ...]:
        return tuple(word.strip() for word in self.keywords.split(","))


class SetEnvironmentStateForm(VersionedForm):
    state: Literal["active", "deprecated", "archived"]
    successor: ShortText = ""
    message: LongText = ""

    def to_state_change(self) -> EnvironmentStateChange:
        return EnvironmentStateChange(
            version=self.require_version(),
            state=EnvironmentState(self.state),
            successor=self.successor or None,
            message=self.message,
        )


class RollBackEnvironmentForm(VersionedForm):
    revision: ShortText

    def require_revision_number(self) -> int:
        if not (self.revision.isascii() and self.revision.isdigit() and len(self.revision) < 10):
            raise build_field_error("revision", "This environment has no such revision.")
        return int(self.revision)


class MoveEnvironmentForm(BaseBody):
    to: Literal["up", "down"]


def build_blank_environment_fields() -> dict[str, Any]:
    return dict.fromkeys(_ENVIRONMENT_FORM_FIELDS, "") | {"state": "draft"}


def build_environment_fields(found: Environment) -> dict[str, Any]:
    """Return the field values to edit or copy an environment."""
    own_fields = {name: getattr(found, name) for name in ("name", "description", "icon")}
    return (
        build_blank_environment_fields()
        | build_image_fields(found.revision)
        | own_fields
        | {"keywords": ", ".join(found.keywords)}
    )


def build_environment_copy_fields(found: Environment) -> dict[str, Any]:
    """Return the field values of a copy, whose name says that it is one."""
    run = found.revision.run
    command_field = {"command": shlex.join([*run.command, *run.arguments])} if run.command and run.arguments else {}
    return build_environment_fields(found) | command_field | {"name": f"{found.name[:92]} (copy)"}


def get_uncopied_arguments(found: Environment) -> str:
    """Return arguments that the form cannot hold: those of the image's entrypoint, without a command."""
    run = found.revision.run
    return "" if run.command else shlex.join(run.arguments)
