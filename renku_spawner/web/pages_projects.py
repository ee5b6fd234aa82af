"""Pages of projects: the list, a project, its settings and its end."""

from __future__ import annotations

from collections.abc import Mapping

from ..domain import names
from ..domain.access import Action, Role
from ..domain.environment import Environment
from ..domain.errors import RenkuError
from ..services import code_offer, environments, instances, looks, mine, projects, shares, storages
from . import views_code, views_mine, views_shares
from . import views_projects as views
from .base_page import RenkuHandler
from .forms import ConfirmForm, typed
from .forms_project import (
    MemberForm,
    ProjectForm,
    RemovalForm,
    RepositoryForm,
    SettingsForm,
    without_member,
    without_repository,
)  # fmt: skip
from .scopes import READ, WRITE
from .urls import query
from .views_frame import View
from .words import VISIBILITIES

BLANK = {"title": "", "slug": "", "description": "", "visibility": "private", "repositories": ""}


class ProjectListForm(RenkuHandler):
    """The form for a new project."""

    renamed = {"path": "slug", "repositories.url": "repositories"}

    async def form(self, errors: Mapping[str, str]) -> None:
        namespace = names.namespace(self.person.name)
        values = BLANK | {"namespace": namespace} | (self.typed if errors else {})
        self.show(
            "renku_project_new.html", "projects",
            action=self.urls.projects, namespaces=projects.namespaces(self.parts, self.person), values=values,
            visibilities=VISIBILITIES, errors=errors, cancel=self.urls.projects,
            share=views_shares.created(await projects.share_of(self.parts, self.person)),
            path_rule=names.PART_RULE,
        )  # fmt: skip


class Projects(ProjectListForm):
    scope = {"get": READ, "post": WRITE}

    def page(self, *args: str) -> str:
        return self.request.uri if self.request.method == "GET" else f"{self.urls.projects}/new"

    async def get(self) -> None:
        search = self.search()
        found, following = await projects.listed(self.parts, self.person, search=search, after=self.after())
        defaults = [entry.default_session for entry, _ in found if entry.default_session]
        versions = await instances.launch_versions(self.parts, defaults)
        view = views.listed(found, versions, search, following, self.after(), self.frame)
        going = views_mine.going(await mine.going(self.parts, self.person), self.frame)
        self.show("renku_projects.html", "projects", going=going, **view)

    async def post(self) -> None:
        new = self.filled(ProjectForm).new(names.namespace(self.person.name))
        project = await projects.create(self.parts, self.person, new)
        self.go(self.urls.project(project.path))


class ProjectNew(ProjectListForm):
    scope = {"get": READ}

    async def get(self) -> None:
        await self.form(errors={})


class ProjectPage(RenkuHandler):
    scope = {"get": READ}

    async def get(self, ref: str) -> None:
        search = self.search()
        found = await looks.project(self.parts, self.person, self.ref(ref), after=self.after(), search=search)
        if self.moved(ref, found.project.path):
            return
        share = views_shares.said(await shares.of(self.parts, self.person)) or ""
        asked = {"search": search, "back": query("project", search=search, after=self.after()), "share": share}
        await self._shown(found, asked)

    async def _shown(self, found: looks.ProjectPage, asked: Mapping[str, str]) -> None:
        offered = await self._offered(found) if not (found.total or asked["search"]) else ([], None)
        self.show("renku_project.html", "projects", **views.page(found, *offered, self.person, self.frame, asked))

    async def _offered(self, found: looks.ProjectPage) -> tuple[list[Environment], View | None]:
        """What an empty project can get with a click."""
        ready_made, _ = await environments.offered(self.parts, self.person)
        looked = await code_offer.look(self.parts, self.person, found.project) if found.writes else None
        return ready_made, views_code.offered(looked, found.project.path, self.urls) if looked else None


class SettingsPage(RenkuHandler):
    """What the parts of the settings have in common: they are one page."""

    renamed = {"path": "slug", "repositories.url": "url", "repositories.ref": "ref",
               "repositories.directory": "directory", "repositories": "url", "members": "username",
               "members.name": "username", "name": "username"}  # fmt: skip

    confirms = False  # the form asks whether a member whom the hub does not know is meant

    def page(self, ref: str, *args: str) -> str:
        return self.urls.settings(ref)

    async def form(self, ref: str, *args: str, errors: Mapping[str, str]) -> None:
        project = await self.project(ref, Action.READ)
        view = views.settings(project, await storages.of(self.parts, project), self.person, self.frame)
        if errors:
            views.retyped(view, self.typed)
        self.show("renku_settings.html", "projects", errors=errors, confirms_member=self.confirms, **view)

    def saved(self, ref: str, part: str = "") -> None:
        self.go(self.urls.settings(ref) + part, "saved")


class Settings(SettingsPage):
    scope = {"get": READ, "post": WRITE}

    async def get(self, ref: str) -> None:
        await self.form(ref, errors={})

    async def post(self, ref: str) -> None:
        project = await self.project(ref, Action.MANAGE)
        change = self.filled(SettingsForm).change(project.path.partition("/")[0])
        changed = await projects.change(self.parts, self.person, project.id, change)
        self.saved(changed.path)


class Repositories(SettingsPage):
    scope = {"post": WRITE}

    async def post(self, ref: str) -> None:
        project = await self.project(ref, Action.WRITE)
        change = self.filled(RepositoryForm).change(project.repositories)
        await projects.change(self.parts, self.person, project.id, change)
        self.saved(project.path, "#repositories")


class RepositoryRemoval(SettingsPage):
    scope = {"post": WRITE}

    async def post(self, ref: str, directory: str) -> None:
        version = self.filled(RemovalForm).version
        project = await self.project(ref, Action.WRITE)
        change = without_repository(version, project.repositories, directory)
        await projects.change(self.parts, self.person, project.id, change)
        self.saved(project.path, "#repositories")


class Members(SettingsPage):
    scope = {"post": WRITE}

    async def again(self, problem: RenkuError, *args: str) -> bool:
        self.confirms = problem.code == "member_unknown" and self.fields.get("role") != Role.OWNER.word
        return await super().again(problem, *args)

    async def post(self, ref: str) -> None:
        project = await self.project(ref, Action.MANAGE)
        change = self.filled(MemberForm).change(project.members)
        await projects.change(self.parts, self.person, project.id, change)
        self.saved(project.path, "#members")


class MemberRemoval(SettingsPage):
    """Removes a member, or oneself."""

    scope = {"post": WRITE}

    async def post(self, ref: str, name: str) -> None:
        version = self.filled(RemovalForm).version
        if name == self.person.name:
            await projects.leave(self.parts, self.person, self.ref(ref))
            self.go(self.urls.projects, "left")
        else:
            await self._remove(ref, name, version)

    async def _remove(self, ref: str, name: str, version: int) -> None:
        project = await self.project(ref, Action.MANAGE)
        change = without_member(version, project.members, name)
        await projects.change(self.parts, self.person, project.id, change)
        self.saved(project.path, "#members")


class ProjectRemoval(RenkuHandler):
    scope = {"get": READ, "post": WRITE}

    async def form(self, ref: str, errors: Mapping[str, str]) -> None:
        project = await self.project(ref, Action.MANAGE)
        others = await projects.others_have_data(self.parts, self.person, project.id)
        self.show(
            "renku_project_remove.html", "projects",
            project=views.head(project, self.frame), others=others, errors=errors,
            action=f"{self.urls.project(project.path)}/-/delete", values=typed(self.fields, ["confirm"]),
        )  # fmt: skip

    async def get(self, ref: str) -> None:
        await self.form(ref, errors={})

    async def post(self, ref: str) -> None:
        project = await self.project(ref, Action.MANAGE)
        self.filled(ConfirmForm).check(project.title)
        await projects.delete(self.parts, self.person, project.id)
        self.go(self.urls.projects, "project_deleted")
