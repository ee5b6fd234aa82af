"""Projects: people, repositories and sessions under one path."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .access import Action, Person, Role, Visibility, allows, effective, require
from .repository import NewRepository, Repository


@dataclass(frozen=True, kw_only=True)
class Member:
    """A user or a group with a role; `kind` is `user` or `group`."""

    kind: str
    name: str
    role: Role

    def is_(self, person: Person) -> bool:
        return self.name == person.name if self.kind == "user" else self.name in person.groups


@dataclass(frozen=True, kw_only=True)
class NewProject:
    """What a person says to make a project in source `hub`."""

    path: str
    title: str
    description: str = ""
    visibility: Visibility = Visibility.PRIVATE
    repositories: tuple[NewRepository, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ProjectChange:
    """What an edit changes; None leaves a field as it is.

    `version` is the one that the editor saw. With `allow_unknown` new members may be users and groups that the hub
    does not know.
    """

    version: int
    path: str | None = None
    title: str | None = None
    description: str | None = None
    visibility: Visibility | None = None
    default_session: str | None = None
    repositories: tuple[NewRepository, ...] | None = None
    members: tuple[Member, ...] | None = None
    allow_unknown: bool = False


@dataclass(frozen=True, kw_only=True)
class ProjectEntry:
    """A row of the list of projects, for the person who asked."""

    id: str
    path: str
    title: str
    description: str
    visibility: Visibility
    role: Role
    default_session: str | None
    default_title: str | None
    sessions: int
    archived: bool = False
    stale: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Project:
    """A project as it is stored, or as its source shows it to one person.

    `web` is the address of its page where it lives, None if that is here, and `ssh` how
    SSH addresses of repositories begin there; `stale` is
    when that place was last asked, if it does not answer now, and `unverified` that
    this is too long ago to start sessions on it; `member` that the person has a role
    there, and is not only passing by. `directory` is that of its own repository, whether
    it has one at present or not, and stays when the project is renamed; None in source `hub`.
    """

    id: str
    source: str
    source_id: str
    path: str
    title: str
    description: str
    visibility: Visibility
    default_session: str | None
    version: int
    created_by: str
    created_at: datetime
    directory: str | None = None
    repositories: tuple[Repository, ...] = ()
    members: tuple[Member, ...] = ()
    archived: bool = False
    web: str | None = None
    ssh: str = ""
    stale: datetime | None = None
    unverified: bool = False
    member: bool = False

    @property
    def ours(self) -> bool:
        """Whether its members, path, visibility and end are decided here."""
        return self.source == "hub"

    @property
    def own(self) -> Repository | None:
        """The repository that is the project itself; None in source `hub`, or where it has none."""
        return next((repository for repository in self.repositories if repository.fixed), None)

    def role_of(self, person: Person) -> Role | None:
        """The highest role that *person* has here: as a member, by a group, or as a
        viewer of a public project; None for a stranger to a private one."""
        roles = [member.role for member in self.members if member.is_(person)]
        return effective(max(roles, default=None), self.visibility)

    def allows(self, person: Person, action: Action) -> bool:
        return allows(self.role_of(person), self.visibility, action)

    def require(self, person: Person, action: Action) -> None:
        """Raise NotFound or Forbidden unless *person* may do *action*."""
        require(self.role_of(person), self.visibility, action)
