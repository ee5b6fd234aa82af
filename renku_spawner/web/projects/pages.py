"""Page handlers for projects: list, create, show, change settings, delete."""

from __future__ import annotations

from collections.abc import Mapping

from ...domain.access import ProjectAction, Role
from ...domain.environments import Environment
from ...domain.errors import RenkuError
from ...domain.ids import PATH_PART_RULE, to_namespace
from ...hub.scopes import READ_SCOPE, WRITE_SCOPE
from ...lifecycle.limits import get_user_limit_usage
from ...usecases.environments import list_offered_environments
from ...usecases.instances import count_expiring_sessions, get_launch_versions
from ...usecases.projects import (
    change_project,
    create_project,
    delete_project,
    get_project_quota,
    has_data_of_others,
    leave_project,
    list_namespaces,
    list_projects,
    suggest_members,
)
from ...usecases.session_files import find_session_file
from ...usecases.session_queries import ProjectPageData, load_project_page
from ...usecases.storages import list_storages_of_project
from ..base import RenkuPageHandler
from ..formatting import VISIBILITY_CHOICES
from ..forms import ConfirmDeletionForm, get_typed_fields
from ..my_sessions import build_pending_deletions_view
from ..page_context import format_project_share, format_shares
from ..urls import add_query_parameters
from .forms import (
    ProjectForm,
    ProjectMemberForm,
    ProjectPartRemovalForm,
    ProjectRepositoryForm,
    ProjectSettingsForm,
    build_change_without_member,
    build_change_without_repository,
)
from .views import (
    DescribedOfferView,
    build_described_offer_view,
    build_project_head_view,
    build_project_list_view,
    build_project_page_view,
    build_project_settings_view,
    restore_typed_settings,
)

BLANK_PROJECT_FIELDS = {"title": "", "slug": "", "description": "", "visibility": "private", "repositories": ""}


class BaseNewProjectHandler(RenkuPageHandler):
    """The form for a new project."""

    renamed = {"path": "slug", "repositories.url": "repositories"}

    async def render_form(self, errors: Mapping[str, str]) -> None:
        namespace = to_namespace(self.person.name)
        values = BLANK_PROJECT_FIELDS | {"namespace": namespace} | (self.redisplayed_fields if errors else {})
        self.write_page(
            "renku_project_new.html", "projects",
            action=self.urls.projects, namespaces=list_namespaces(self.context, self.person), values=values,
            visibilities=VISIBILITY_CHOICES, errors=errors, cancel=self.urls.projects,
            share=format_project_share(await get_project_quota(self.context, self.person)),
            path_rule=PATH_PART_RULE,
        )  # fmt: skip


class ProjectListHandler(BaseNewProjectHandler):
    scope = {"get": READ_SCOPE, "post": WRITE_SCOPE}

    def get_page_url(self, *args: str) -> str:
        return self.request.uri if self.request.method == "GET" else f"{self.urls.projects}/new"

    async def get(self) -> None:
        search = self.get_search_text()
        projects, following = await list_projects(self.context, self.person, search=search, after=self.get_cursor())
        defaults = [entry.default_session for entry, _ in projects if entry.default_session]
        versions = await get_launch_versions(self.context, defaults)
        view = build_project_list_view(projects, versions, search, following, self.get_cursor(), self.page_context)
        going = build_pending_deletions_view(
            await count_expiring_sessions(self.context, self.person), self.page_context
        )
        self.write_page("renku_projects.html", "projects", going=going, **view)

    async def post(self) -> None:
        new = self.parse_form(ProjectForm).to_new_project(to_namespace(self.person.name))
        project = await create_project(self.context, self.person, new)
        self.redirect_to_page(self.urls.project(project.path))


class NewProjectHandler(BaseNewProjectHandler):
    scope = {"get": READ_SCOPE}

    async def get(self) -> None:
        await self.render_form(errors={})


class ProjectHandler(RenkuPageHandler):
    scope = {"get": READ_SCOPE}

    async def get(self, ref: str) -> None:
        search = self.get_search_text()
        page = await load_project_page(
            self.context, self.person, self.check_project_ref(ref), after=self.get_cursor(), search=search
        )
        if self.redirect_if_moved(ref, page.project.path):
            return
        share = format_shares(await get_user_limit_usage(self.context, self.person)) or ""
        query = {
            "search": search,
            "back": add_query_parameters("project", search=search, after=self.get_cursor()),
            "share": share,
        }
        await self._write_project_page(page, query)

    async def _write_project_page(self, found: ProjectPageData, asked: Mapping[str, str]) -> None:
        offered = await self._load_empty_project_offers(found) if not (found.total or asked["search"]) else ([], None)
        self.write_page(
            "renku_project.html",
            "projects",
            **build_project_page_view(found, *offered, self.person, self.page_context, asked),
        )

    async def _load_empty_project_offers(
        self, found: ProjectPageData
    ) -> tuple[list[Environment], DescribedOfferView | None]:
        """Return the environments and described sessions that can be added to an empty project."""
        ready_made, _ = await list_offered_environments(self.context, self.person)
        lookup = await find_session_file(self.context, self.person, found.project) if found.can_write else None
        return ready_made, build_described_offer_view(lookup, found.project.path, self.urls) if lookup else None


class BaseProjectSettingsHandler(RenkuPageHandler):
    """Base class of the parts of the settings, which share one page."""

    renamed = {"path": "slug", "repositories.url": "url", "repositories.ref": "ref",
               "repositories.directory": "directory", "repositories": "url", "members": "username",
               "members.name": "username", "name": "username"}  # fmt: skip

    confirms = False  # the form asks to confirm a member whom the hub does not know

    def get_page_url(self, ref: str, *args: str) -> str:
        return self.urls.settings(ref)

    async def render_form(self, ref: str, *args: str, errors: Mapping[str, str]) -> None:
        project = await self.load_project(ref, ProjectAction.READ)
        view = build_project_settings_view(
            project,
            await list_storages_of_project(self.context, project),
            self.person,
            self.page_context,
            self.get_search_text("change"),
        )
        if errors:
            restore_typed_settings(view, self.redisplayed_fields)
        self.write_page(
            "renku_settings.html",
            "projects",
            errors=errors,
            confirms_member=self.confirms,
            suggested_members=await suggest_members(self.context, self.person, project),
            **view,
        )

    def redirect_after_save(self, ref: str, part: str = "") -> None:
        self.redirect_to_page(self.urls.settings(ref) + part, "saved")


class ProjectSettingsHandler(BaseProjectSettingsHandler):
    scope = {"get": READ_SCOPE, "post": WRITE_SCOPE}

    async def get(self, ref: str) -> None:
        await self.render_form(ref, errors={})

    async def post(self, ref: str) -> None:
        project = await self.load_project(ref, ProjectAction.MANAGE)
        change = self.parse_form(ProjectSettingsForm).to_project_change(project.path.partition("/")[0])
        changed = await change_project(self.context, self.person, project.id, change)
        self.redirect_after_save(changed.path)


class AddRepositoryHandler(BaseProjectSettingsHandler):
    scope = {"post": WRITE_SCOPE}

    async def post(self, ref: str) -> None:
        project = await self.load_project(ref, ProjectAction.WRITE)
        change = self.parse_form(ProjectRepositoryForm).to_project_change(project.repositories)
        await change_project(self.context, self.person, project.id, change)
        self.redirect_after_save(project.path, "#repositories")


class RemoveRepositoryHandler(BaseProjectSettingsHandler):
    scope = {"post": WRITE_SCOPE}

    async def post(self, ref: str, directory: str) -> None:
        version = self.parse_form(ProjectPartRemovalForm).version
        project = await self.load_project(ref, ProjectAction.WRITE)
        change = build_change_without_repository(version, project.repositories, directory)
        await change_project(self.context, self.person, project.id, change)
        self.redirect_after_save(project.path, "#repositories")


class SetMemberHandler(BaseProjectSettingsHandler):
    scope = {"post": WRITE_SCOPE}

    async def render_form_problem(self, problem: RenkuError, *args: str) -> bool:
        self.confirms = problem.code == "member_unknown" and self.form_fields.get("role") != Role.OWNER.label
        return await super().render_form_problem(problem, *args)

    async def post(self, ref: str) -> None:
        project = await self.load_project(ref, ProjectAction.MANAGE)
        change = self.parse_form(ProjectMemberForm).to_project_change(project.members)
        await change_project(self.context, self.person, project.id, change)
        self.redirect_after_save(project.path, "#members")


class RemoveMemberHandler(BaseProjectSettingsHandler):
    """Remove a member, or leave the project."""

    scope = {"post": WRITE_SCOPE}

    async def post(self, ref: str, name: str) -> None:
        version = self.parse_form(ProjectPartRemovalForm).version
        if name == self.person.name:
            await leave_project(self.context, self.person, self.check_project_ref(ref))
            self.redirect_to_page(self.urls.projects, "left")
        else:
            await self._remove_member(ref, name, version)

    async def _remove_member(self, ref: str, name: str, version: int) -> None:
        project = await self.load_project(ref, ProjectAction.MANAGE)
        change = build_change_without_member(version, project.members, name)
        await change_project(self.context, self.person, project.id, change)
        self.redirect_after_save(project.path, "#members")


class DeleteProjectHandler(RenkuPageHandler):
    scope = {"get": READ_SCOPE, "post": WRITE_SCOPE}

    async def render_form(self, ref: str, errors: Mapping[str, str]) -> None:
        project = await self.load_project(ref, ProjectAction.MANAGE)
        others = await has_data_of_others(self.context, self.person, project.id)
        self.write_page(
            "renku_project_remove.html",
            "projects",
            project=build_project_head_view(project, self.page_context),
            others=others,
            errors=errors,
            action=f"{self.urls.project(project.path)}/-/delete",
            values=get_typed_fields(self.form_fields, ["confirm"]),
        )

    async def get(self, ref: str) -> None:
        await self.render_form(ref, errors={})

    async def post(self, ref: str) -> None:
        project = await self.load_project(ref, ProjectAction.MANAGE)
        self.parse_form(ConfirmDeletionForm).require_title(project.title)
        await delete_project(self.context, self.person, project.id)
        self.redirect_to_page(self.urls.projects, "project_deleted")
