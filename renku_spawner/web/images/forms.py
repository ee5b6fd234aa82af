"""Forms for sessions that run an external image or a CI image, and the check of an image that was typed into a form."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from ...domain.environments import NewCiImage, NewOwnImage, Revision, RunOverrides
from ...domain.errors import RenkuError
from ...domain.image_checks import ImageInspection
from ...domain.images import parse_image_reference
from ...domain.sessions import NewSession, Session, SessionChange
from ...domain.text import LongText, ShortText
from ...usecases.images import check_image_while_typing
from ...usecases.sessions import get_run_choice
from ..base import RenkuBaseHandler
from ..forms import RUN_FORM_FIELDS, ImageSessionForm, build_field_error, collect_field_problems
from ..schemas import validate_model

IMAGE_FORM_FIELDS = ("image", *RUN_FORM_FIELDS)


class ExternalImageForm(ImageSessionForm):
    kind: Literal["external"] = "external"
    image: LongText = ""

    def to_new_session(self) -> NewSession:
        if not self.image.strip():
            raise build_field_error("image", "Please give an image.")
        return NewSession(
            image=NewOwnImage(image=self.image.strip(), name=self.name.strip() or None, run=self.to_run_overrides()),
            title=self.title or None,
            description=self.description,
            configuration=self.to_configuration(),
            default=self.default == "yes",
            allow_secret=self.allow_secret == "yes",
        )

    def to_session_change(self) -> SessionChange:
        if not self.image.strip():
            raise build_field_error("image", "Please give an image.")
        return replace(
            super().to_session_change(), image=NewOwnImage(image=self.image.strip(), run=self.to_run_overrides())
        )

    def find_problems(self) -> dict[str, str]:
        if not self.image.strip():
            return {"image": "Please give an image."}
        return collect_field_problems(lambda: parse_image_reference(self.image.strip())) or super().find_problems()


def build_blank_image_fields() -> dict[str, Any]:
    return dict.fromkeys(IMAGE_FORM_FIELDS, "")


def build_image_fields(revision: Revision) -> dict[str, Any]:
    """Return the field values to edit a session that runs *revision*: explicit choices, without derived values."""
    chosen = {name: value for name, value in vars(get_run_choice(revision)).items() if value is not None}
    shown = {name: _format_run_field(name, value) for name, value in chosen.items()}
    return build_blank_image_fields() | shown | {"image": revision.image}


def _format_run_field(name: str, value: Any) -> str:
    if name == "image_user":
        return "yes"
    return shlex.join(value) if name == "command" else str(value)


def parse_typed_run_choice(values: Mapping[str, Any]) -> RunOverrides:
    """Return the run choice typed so far; invalid values count as not typed."""
    try:
        return validate_model(
            ExternalImageForm, {name: values[name] for name in IMAGE_FORM_FIELDS if name in values}
        ).to_run_overrides()
    except RenkuError:
        return RunOverrides()


def parse_typed_gpu_count(values: Mapping[str, Any]) -> int:
    """Return the number of GPUs typed so far; an invalid one counts as 0."""
    try:
        return validate_model(ExternalImageForm, {"gpu": values.get("gpu", "0")}).to_configuration().needs.gpu
    except RenkuError:
        return 0


async def check_typed_image(
    handler: RenkuBaseHandler, values: Mapping[str, Any], beside: Sequence[Session] = (), *, trusted: bool = False
) -> ImageInspection | None:
    """Check the image in *values* when a form is sent; None before.

    An admin's image is *trusted*; *beside* are the sessions of the project.
    """
    typed = str(values.get("image", "")).strip()
    if handler.request.method != "POST" or not typed:
        return None
    run, gpu = parse_typed_run_choice(values), parse_typed_gpu_count(values)
    return await check_image_while_typing(
        handler.context, handler.person, typed, run, gpu=gpu, beside=beside, trusted=trusted
    )


class CiImageForm(ImageSessionForm):
    kind: Literal["repository"] = "repository"
    repository: ShortText = ""
    branch: ShortText = ""
    image: LongText = ""

    def to_new_session(self) -> NewSession:
        if not self.image:
            raise build_field_error("image", "Please choose a commit that has an image.")
        return NewSession(
            built=NewCiImage(
                repository=self.repository,
                branch=self.branch or None,
                image=self.image,
                name=self.name.strip() or None,
                run=self.to_run_overrides(),
            ),
            title=self.title or None,
            description=self.description,
            configuration=self.to_configuration(),
            default=self.default == "yes",
            allow_secret=self.allow_secret == "yes",
        )


def build_blank_ci_image_fields() -> dict[str, Any]:
    return dict.fromkeys(("repository", "branch", "image", *RUN_FORM_FIELDS), "")
