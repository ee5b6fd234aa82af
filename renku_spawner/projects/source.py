"""What Renku asks of a place where projects live."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from ..domain.access import Action, Person
from ..domain.project import Project, ProjectEntry


class ProjectSource(Protocol):
    """Projects and who is what in them, as it is at this moment."""

    async def get(self, person: Person, ref: str, action: Action) -> Project:
        """The project with id or path *ref*, in which *person* may do *action*.

        Raises:
            NotFound: there is none, or the person may not know that there is one.
            Forbidden: the person sees it but may not do this.
            Unavailable: the source does not answer.
        """

    async def listed(
        self, person: Person, *, search: str = "", after: str | None = None, limit: int = 20
    ) -> tuple[list[ProjectEntry], str | None]:
        """One page of what *person* may see, and where the next one begins.

        Raises:
            Invalid: *after* is nothing that a page has offered.
            Unavailable: the source does not answer.
        """

    async def heads(self, person: Person, ids: Iterable[str]) -> dict[str, Project]:
        """Those projects of our *ids* that *person* may see, by id, as far as that can be said now."""

    async def is_member(self, person: Person, project: Project, action: Action) -> bool:
        """Whether *person* has a role in *project* and is not only passing by, known as well as *action* needs it.

        Raises:
            LogInAgain, Unavailable: the source does not say.
        """

    async def lost(self, person: Person, id: str) -> bool:
        """Whether the source has said, and says again now, that *person* may not see the project of
        our *id*. What cannot be asked for is not lost."""

    async def close(self) -> None:
        """Ask nothing any more."""
