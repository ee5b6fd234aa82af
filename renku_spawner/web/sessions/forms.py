"""Forms that add the sessions described in a repository, and that change the environment of a session."""

from __future__ import annotations

from typing import Any, Literal

from ...domain.environments import ChosenRevision, NewCiImage, NewOwnImage
from ...domain.sessions import SessionChange
from ...domain.text import LongText, ShortText
from ..environments.forms import VersionedForm
from ..forms import RUN_FORM_FIELDS, RunFormFields, build_field_error
from ..schemas import BaseBody


class DescribedSessionsForm(BaseBody):
    """The session file that the user has reviewed, named by `content`; another one answers 409 `changed`."""

    content: ShortText


class SessionEnvironmentForm(RunFormFields, VersionedForm):
    """A replacement for the environment of a session: a ready-made one, an own image, or an image built by CI.

    With `reviewed` the change is stored. Without it the user reviews the change first.
    """

    kind: Literal["", "external", "repository"] = ""
    environment: ShortText = ""
    revision: ShortText = ""
    repository: ShortText = ""
    branch: ShortText = ""
    image: LongText = ""
    name: LongText = ""
    digest: ShortText = ""
    reviewed: Literal["", "yes"] = ""

    def to_session_change(self) -> SessionChange:
        """Return the change. Raises InvalidInputError; ConflictError: `changed`."""
        version, digest, name = self.require_version(), self.digest or None, self.name.strip() or None
        image = self.image.strip()
        if self.kind and not image:
            sentence = {"external": "Please give an image.", "repository": "Please choose a commit that has an image."}
            raise build_field_error("image", sentence[self.kind])
        if self.kind == "external":
            own = NewOwnImage(image=image, name=name, run=self.to_run_overrides())
            return SessionChange(version=version, image=own, digest=digest)
        if self.kind == "repository":
            built = NewCiImage(
                repository=self.repository,
                branch=self.branch or None,
                image=image,
                name=name,
                run=self.to_run_overrides(),
            )
            return SessionChange(version=version, built=built, digest=digest)
        number = int(self.revision[:9]) if self.revision.isascii() and self.revision.isdigit() else None
        chosen = ChosenRevision(environment=self.environment, revision=number)
        return SessionChange(version=version, environment=chosen, digest=digest)


SESSION_ENVIRONMENT_FIELDS = ("repository", "branch", "image", "name", *RUN_FORM_FIELDS)


def build_blank_session_environment_fields() -> dict[str, Any]:
    return dict.fromkeys(SESSION_ENVIRONMENT_FIELDS, "")
