"""Define the ProjectSource protocol, and serve projects that are stored in Renku's own tables.

Projects from GitLab are in integrations.gitlab.projects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from ..domain.access import Person, ProjectAction
from ..domain.errors import build_not_found_error
from ..domain.ids import is_valid_id
from ..domain.projects import Project, ProjectEntry
from ..domain.session_search import SearchScope
from ..persistence.database import Database, Transaction, retry_while_busy

T = TypeVar("T")


class HubProjectSource:
    """The source `hub`: members are users and groups of the hub."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def get_project(self, person: Person, ref: str, action: ProjectAction) -> Project:
        return await self.read_project(person, ref, action, lambda _tx, project: project)

    async def read_project(
        self, person: Person, ref: str, action: ProjectAction, read: Callable[[Transaction, Project], T]
    ) -> T:
        def work() -> T:
            with self._db.read() as tx:
                project = tx.projects.get(ref) if is_valid_id(ref) else tx.projects.get_by_path(ref)
                if project is None or not project.is_hub_project:
                    raise build_not_found_error()
                project.require_action(person, action)
                return read(tx, project)

        return await retry_while_busy(work)

    async def list_projects(
        self, person: Person, *, search: str = "", after: str | None = None, limit: int = 20
    ) -> tuple[list[ProjectEntry], str | None]:
        def read() -> tuple[list[ProjectEntry], str | None]:
            with self._db.read() as tx:
                return tx.projects.list_visible(
                    name=person.name, groups=person.groups, search=search, after=after, limit=limit
                )

        return await retry_while_busy(read)

    async def get_search_scope(self, person: Person) -> SearchScope:
        return SearchScope(name=person.name, groups=frozenset(person.groups))

    async def get_visible_projects(self, person: Person, ids: Iterable[str]) -> dict[str, Project]:
        wanted = sorted(ids)

        def read() -> dict[str, Project]:
            with self._db.read() as tx:
                return tx.projects.get_many_without_repositories(wanted)

        found = await retry_while_busy(read) if wanted else {}
        return {
            id: project
            for id, project in found.items()
            if project.is_hub_project and project.is_allowed(person, ProjectAction.READ)
        }

    async def is_member(self, person: Person, project: Project, action: ProjectAction) -> bool:
        return any(member.matches_person(person) for member in project.members)

    async def has_lost_access(self, person: Person, id: str) -> bool:
        return id not in await self.get_visible_projects(person, [id])

    async def close(self) -> None:
        """Do nothing: there is nothing to close."""


class ProjectSource(Protocol):
    """A source of projects and of the present roles of users in them."""

    async def get_project(self, person: Person, ref: str, action: ProjectAction) -> Project:
        """Return the project with id or path *ref*, if *person* may do *action* in it.

        Raises:
            NotFoundError: there is no such project, or the person may not see it.
            ForbiddenError: the person may see it but not do this.
            UnavailableError: the source does not answer.
        """

    async def read_project(
        self, person: Person, ref: str, action: ProjectAction, read: Callable[[Transaction, Project], T]
    ) -> T:
        """Return what *read* reads of the project that `get_project` finds, in one transaction where that is possible.

        Raises as `get_project` and *read* do.
        """

    async def list_projects(
        self, person: Person, *, search: str = "", after: str | None = None, limit: int = 20
    ) -> tuple[list[ProjectEntry], str | None]:
        """Return one page of the projects that *person* may see, and the cursor of the next page.

        Raises:
            InvalidInputError: *after* is not a cursor of an earlier page.
            UnavailableError: the source does not answer.
        """

    async def get_search_scope(self, person: Person) -> SearchScope:
        """Return the projects whose sessions *person* may find by a search. Raises UnavailableError."""

    async def get_visible_projects(self, person: Person, ids: Iterable[str]) -> dict[str, Project]:
        """Return the projects with our *ids* that *person* may see, by id, without those that cannot be checked."""

    async def is_member(self, person: Person, project: Project, action: ProjectAction) -> bool:
        """Return whether *person* is a member of *project* and not only a reader of a public one.

        The information is as recent as *action* requires.

        Raises:
            GitLabLoginRequired, UnavailableError: the source cannot answer.
        """

    async def has_lost_access(self, person: Person, id: str) -> bool:
        """Return whether the source refuses *person* the project of our *id*, confirmed by a second query.

        False if the source cannot be queried.
        """

    async def close(self) -> None:
        """Stop all requests, and release connections."""
