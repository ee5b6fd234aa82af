"""What may stand in a request to copy a session."""

from __future__ import annotations

from pydantic import Field

from ..domain.errors import Invalid
from .bodies import Body, FormVersion, Text, Version, Word


class CopyBody(Body):
    """The project that gets a session of its own which runs the same."""

    project: Word = Field(description="Id or path of a project that you may change; it may be the same one")
    title: Text | None = Field(default=None, description="null: the same one, numbered if it is taken")
    default: bool = Field(default=False, description="Whether it becomes that project's default session")
    version: Version | None = Field(
        default=None, description="The session's version that was read; another one answers 409 `changed`"
    )


class CopyForm(Body):
    project: Word = ""
    title: Text = ""
    version: FormVersion = 0

    def chosen(self) -> str:
        """The project. Raises Invalid where none is chosen."""
        if not self.project:
            sentence = "Please choose a project."
            raise Invalid(sentence, fields={"project": sentence})
        return self.project
