"""What the API says of the files of one's own instance, as models."""

from __future__ import annotations

from pydantic import Field

from .answer_base import Answer


class WorkAnswer(Answer):
    """A repository in the files, and the work in it that is nowhere else."""

    directory: str
    branch: str | None
    lost: bool = Field(description="Whether something would be lost; also where nobody can tell")
    changed: int | None = Field(description="Files that are not committed; null: it could not be read")
    unpushed: int | None = Field(description="Commits and stashes that are nowhere else; null: it could not be read")


class ContentsAnswer(Answer):
    """What lies in the files of one's own instance."""

    known: bool = Field(description="false: nobody can tell now; then the rest is empty")
    under_way: bool = Field(description="Whether it is being looked at: ask again in some seconds")
    bytes: int | None
    complete: bool = Field(description="Whether all files were counted in the time that there was")
    repositories: list[WorkAnswer]
    more: int = Field(description="Repositories that were not looked at")
    loose: int = Field(description="Files outside of repositories, which are nowhere else")
