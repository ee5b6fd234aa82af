"""The form for an image that CI has built: the fields of every session, and which image."""

from __future__ import annotations

from typing import Any, Literal

from ..domain.running import NewBuilt
from ..domain.session import NewSession
from .bodies import Text, Word
from .forms import wrong
from .forms_run import RUN, RunForm


class BuiltForm(RunForm):
    kind: Literal["repository"] = "repository"
    repository: Word = ""
    branch: Word = ""
    image: Text = ""

    def new(self) -> NewSession:
        if not self.image:
            raise wrong("image", "Please choose a commit that has an image.")
        return NewSession(
            built=NewBuilt(
                repository=self.repository,
                branch=self.branch or None,
                image=self.image,
                name=self.name.strip() or None,
                run=self.run(),
            ),
            title=self.title or None,
            description=self.description,
            configuration=self.configuration(),
            default=self.default == "yes",
        )


def blank() -> dict[str, Any]:
    return dict.fromkeys(("repository", "branch", "image", *RUN), "")
