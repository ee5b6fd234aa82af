"""Projects that are kept in Renku's own tables."""

from __future__ import annotations

from collections.abc import Iterable

from ..domain.access import Action, Person
from ..domain.errors import not_found
from ..domain.names import is_id
from ..domain.project import Project, ProjectEntry
from ..store.database import Database
from ..store.patience import patiently


class HubProjects:
    """Source `hub`: people and groups are the hub's own."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def get(self, person: Person, ref: str, action: Action) -> Project:
        def read() -> Project | None:
            with self._db.read() as tx:
                return tx.projects.get(ref) if is_id(ref) else tx.projects.by_path(ref)

        project = await patiently(read)
        if project is None or not project.ours:
            raise not_found()
        project.require(person, action)
        return project

    async def listed(
        self, person: Person, *, search: str = "", after: str | None = None, limit: int = 20
    ) -> tuple[list[ProjectEntry], str | None]:
        def read() -> tuple[list[ProjectEntry], str | None]:
            with self._db.read() as tx:
                return tx.projects.listed(
                    name=person.name, groups=person.groups, search=search, after=after, limit=limit
                )

        return await patiently(read)

    async def heads(self, person: Person, ids: Iterable[str]) -> dict[str, Project]:
        wanted = sorted(ids)

        def read() -> dict[str, Project]:
            with self._db.read() as tx:
                return tx.projects.heads(wanted)

        found = await patiently(read) if wanted else {}
        return {id: project for id, project in found.items() if project.ours and project.allows(person, Action.READ)}

    async def is_member(self, person: Person, project: Project, action: Action) -> bool:
        return any(member.is_(person) for member in project.members)

    async def lost(self, person: Person, id: str) -> bool:
        return id not in await self.heads(person, [id])

    async def close(self) -> None:
        """Nothing is open."""
