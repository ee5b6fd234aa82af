"""Volumes: what was there before Renku and an admin has declared, so that projects can have it as a storage."""

from __future__ import annotations

from dataclasses import dataclass

from .access import Person


@dataclass(frozen=True, kw_only=True)
class Nfs:
    """What an NFS server exports at *path*."""

    server: str
    path: str


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A claim of the sessions' namespace, an NFS export or a folder of this machine: one of the three.

    `users` and `groups` say who may use it, None is everybody; `projects` are the ids of those in which it
    may be used, None is all. A storage that is writable stays read-only where its volume is `read_only`.
    """

    name: str
    description: str = ""
    claim: str = ""
    nfs: Nfs | None = None
    directory: str = ""
    users: frozenset[str] | None = None
    groups: frozenset[str] | None = None
    projects: frozenset[str] | None = None
    read_only: bool = True

    def usable(self, person: Person, project: str) -> bool:
        """Whether *person* may use it in the project with that id, whose path may be another one's tomorrow."""
        if self.projects is not None and project not in self.projects:
            return False
        if self.users is None and self.groups is None:
            return True
        return person.name in (self.users or ()) or bool(person.groups & (self.groups or frozenset()))

    def here(self, *, local: bool) -> bool:
        """Whether it can be had where sessions run: on this machine, or on a cluster."""
        return bool(self.directory) if local else not self.directory
