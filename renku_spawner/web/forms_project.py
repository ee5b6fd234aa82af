"""Forms of projects: what is said of one, its repositories and its members."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ..domain.access import Visibility
from ..domain.project import Member, NewProject, ProjectChange
from ..domain.repository import NewRepository, Repository
from .bodies import Body, FormVersion, MemberBody, Text, Word
from .forms import wrong


class ProjectForm(Body):
    title: Text = ""
    slug: Word = ""
    description: Text = ""
    visibility: Literal["private", "public"] = "private"
    namespace: Word = ""
    repositories: Text = ""

    def new(self, namespace: str) -> NewProject:
        """A project below the namespace that was chosen, or else *namespace*; one repository a line."""
        return NewProject(
            path=f"{self.namespace or namespace}/{self.slug}",
            title=self.title,
            description=self.description,
            visibility=Visibility(self.visibility),
            repositories=tuple(
                NewRepository(url=line.strip()) for line in self.repositories.splitlines() if line.strip()
            ),
        )


class SettingsForm(Body):
    title: Text = ""
    slug: Word = ""
    description: Text = ""
    visibility: Literal["private", "public"]
    version: FormVersion = 0

    def change(self, namespace: str) -> ProjectChange:
        return ProjectChange(
            version=self.version,
            path=f"{namespace}/{self.slug}",
            title=self.title,
            description=self.description,
            visibility=Visibility(self.visibility),
        )


class RepositoryForm(Body):
    url: Text = ""
    ref: Word = ""
    directory: Word = ""
    lfs: Literal["", "yes"] = ""
    submodules: Literal["", "yes"] = ""
    version: FormVersion = 0

    def change(self, present: Sequence[Repository]) -> ProjectChange:
        new = NewRepository(
            url=self.url.strip(),
            ref=self.ref or None,
            directory=self.directory or None,
            lfs=self.lfs == "yes",
            submodules=self.submodules == "yes",
        )
        return ProjectChange(version=self.version, repositories=(*map(_kept, present), new))


class MemberForm(Body):
    username: Word = ""
    role: Literal["viewer", "editor", "owner"]
    allow_unknown: Literal["", "yes"] = ""
    version: FormVersion = 0

    def change(self, present: Sequence[Member]) -> ProjectChange:
        """One more member, or another role for one that is there."""
        member = MemberBody(name=self.username.strip(), role=self.role).value()
        if not member.name:
            raise wrong("username", "Please give a user name.")
        others = [m for m in present if (m.kind, m.name) != ("user", member.name)]
        confirmed = self.allow_unknown == "yes"
        return ProjectChange(version=self.version, members=(*others, member), allow_unknown=confirmed)


class RemovalForm(Body):
    """Remove a part of the project as the page showed it."""

    version: FormVersion = 0


def without_repository(version: int, present: Sequence[Repository], directory: str) -> ProjectChange:
    return ProjectChange(version=version, repositories=tuple(_kept(r) for r in present if r.directory != directory))


def without_member(version: int, present: Sequence[Member], name: str) -> ProjectChange:
    return ProjectChange(version=version, members=tuple(m for m in present if (m.kind, m.name) != ("user", name)))


def _kept(present: Repository) -> NewRepository:
    return NewRepository(
        url=present.url, ref=present.ref, directory=present.directory, lfs=present.lfs, submodules=present.submodules
    )
