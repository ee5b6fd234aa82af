"""Forms for a project, its settings, repositories and members."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ...domain.access import Role, Visibility
from ...domain.ids import make_path_part
from ...domain.projects import NewProject, NewRepository, ProjectChange, ProjectMember, Repository
from ...domain.text import LongText, ShortText
from ..forms import build_field_error
from ..schemas import BaseBody, FormVersion


class ProjectForm(BaseBody):
    title: LongText = ""
    slug: ShortText = ""
    description: LongText = ""
    visibility: Literal["private", "public"] = "private"
    namespace: ShortText = ""
    repositories: LongText = ""

    def to_new_project(self, namespace: str) -> NewProject:
        """Return the project in the chosen namespace, or else in *namespace*; repositories are one per line.

        Without a path it is made from the title.
        """
        return NewProject(
            path=f"{self.namespace or namespace}/{self.slug or make_path_part(self.title)}",
            title=self.title,
            description=self.description,
            visibility=Visibility(self.visibility),
            repositories=tuple(
                NewRepository(url=line.strip()) for line in self.repositories.splitlines() if line.strip()
            ),
        )


class ProjectSettingsForm(BaseBody):
    title: LongText = ""
    slug: ShortText = ""
    description: LongText = ""
    visibility: Literal["private", "public"]
    listed: Literal["yes", "no"] = "yes"
    version: FormVersion = 0

    def to_project_change(self, namespace: str) -> ProjectChange:
        return ProjectChange(
            version=self.version,
            path=f"{namespace}/{self.slug}",
            title=self.title,
            description=self.description,
            visibility=Visibility(self.visibility),
            listed=self.listed == "yes",
        )


class ProjectRepositoryForm(BaseBody):
    """A repository to add, or to put in the place of the one in the directory `instead`."""

    instead: ShortText = ""
    url: LongText = ""
    ref: ShortText = ""
    directory: ShortText = ""
    lfs: Literal["", "yes"] = ""
    submodules: Literal["", "yes"] = ""
    version: FormVersion = 0

    def to_project_change(self, present: Sequence[Repository]) -> ProjectChange:
        new = NewRepository(
            url=self.url.strip(),
            ref=self.ref or None,
            directory=self.directory or self.instead or None,
            lfs=self.lfs == "yes",
            submodules=self.submodules == "yes",
        )
        repositories = [_to_new_repository(each) for each in present]
        if not self.instead:
            return ProjectChange(version=self.version, repositories=(*repositories, new))
        directories = [None if each.fixed else each.directory for each in present]
        if self.instead not in directories:
            raise build_field_error("form", "The project no longer has this repository. Nothing was changed.")
        repositories[directories.index(self.instead)] = new
        moved = None if new.directory in (None, self.instead) else (self.instead, new.directory)
        return ProjectChange(version=self.version, repositories=tuple(repositories), moved_repository=moved)


class ProjectMemberForm(BaseBody):
    username: ShortText = ""
    role: Literal["viewer", "editor", "owner"]
    allow_unknown: Literal["", "yes"] = ""
    version: FormVersion = 0

    def to_project_change(self, present: Sequence[ProjectMember]) -> ProjectChange:
        """Return the change that adds a member, or changes a member's role."""
        member = ProjectMember(name=self.username.strip(), role=Role.from_label(self.role))
        if not member.name:
            raise build_field_error("username", "Please give a user name.")
        others = [m for m in present if (m.kind, m.name) != ("user", member.name)]
        confirmed = self.allow_unknown == "yes"
        return ProjectChange(version=self.version, members=(*others, member), allow_unknown=confirmed)


class ProjectPartRemovalForm(BaseBody):
    """Remove a part of the project as the page showed it."""

    version: FormVersion = 0


def build_change_without_repository(version: int, present: Sequence[Repository], directory: str) -> ProjectChange:
    return ProjectChange(
        version=version, repositories=tuple(_to_new_repository(r) for r in present if r.directory != directory)
    )


def build_change_without_member(version: int, present: Sequence[ProjectMember], name: str) -> ProjectChange:
    return ProjectChange(version=version, members=tuple(m for m in present if (m.kind, m.name) != ("user", name)))


def _to_new_repository(present: Repository) -> NewRepository:
    return NewRepository(
        url=present.url, ref=present.ref, directory=present.directory, lfs=present.lfs, submodules=present.submodules
    )
