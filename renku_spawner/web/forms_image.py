"""The form for somebody's own image: the fields of every session, and how the image is run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from ..domain.environment import Revision
from ..domain.errors import RenkuError
from ..domain.image import parse
from ..domain.running import NewImage, RunChoice
from ..domain.session import NewSession, SessionChange
from ..services.replacement import run_of as run_of_revision
from . import bodies
from .bodies import Text
from .forms import wrong
from .forms_run import RUN, RunForm, problems_of

OWN = ("image", *RUN)


class ImageForm(RunForm):
    kind: Literal["external"] = "external"
    image: Text = ""

    def new(self) -> NewSession:
        if not self.image.strip():
            raise wrong("image", "Please give an image.")
        return NewSession(
            image=NewImage(image=self.image.strip(), name=self.name.strip() or None, run=self.run()),
            title=self.title or None,
            description=self.description,
            configuration=self.configuration(),
            default=self.default == "yes",
        )

    def change(self) -> SessionChange:
        if not self.image.strip():
            raise wrong("image", "Please give an image.")
        return replace(super().change(), image=NewImage(image=self.image.strip(), run=self.run()))

    def problems(self) -> dict[str, str]:
        if not self.image.strip():
            return {"image": "Please give an image."}
        return problems_of(lambda: parse(self.image.strip())) or super().problems()


def blank() -> dict[str, Any]:
    return dict.fromkeys(OWN, "")


def of_revision(revision: Revision) -> dict[str, Any]:
    """The fields of the form to edit a session that runs *revision*: what its editor has said, not what follows."""
    said = {name: value for name, value in vars(run_of_revision(revision)).items() if value is not None}
    shown = {name: _shown(name, value) for name, value in said.items()}
    return blank() | shown | {"image": revision.image}


def _shown(name: str, value: Any) -> str:
    if name == "image_user":
        return "yes"
    return shlex.join(value) if name == "command" else str(value)


def run_of(values: Mapping[str, Any]) -> RunChoice:
    """How it would be run by what has been typed so far; what is wrong there counts as not typed."""
    try:
        return bodies.check(ImageForm, {name: values[name] for name in OWN if name in values}).run()
    except RenkuError:
        return RunChoice()


def gpu_of(values: Mapping[str, Any]) -> int:
    """How many GPUs have been typed so far; what is wrong there counts as none."""
    try:
        return bodies.check(ImageForm, {"gpu": values.get("gpu", "0")}).needs().gpu
    except RenkuError:
        return 0
