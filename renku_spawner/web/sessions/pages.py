"""Page handlers for sessions: show, add, edit, copy, remove, start, pause, and add those described in a repository."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...domain.access import ProjectAction
from ...domain.environments import EnvironmentKind
from ...domain.errors import RenkuError
from ...domain.projects import Project
from ...domain.sessions import Session
from ...hub.scopes import LAUNCH_SCOPE, READ_SCOPE, WRITE_SCOPE
from ...usecases.ci_images import (
    get_ci_image_status,
    list_commits_of_update,
    load_ci_image_choices,
    refresh_ci_image_status,
)
from ...usecases.environments import list_offered_environments
from ...usecases.images import refresh_image_status
from ...usecases.projects import get_project
from ...usecases.session_files import export_session_file, require_session_file
from ...usecases.session_queries import (
    SessionPageData,
    SessionView,
    export_session_bom,
    load_installed_software,
    load_project_page,
    load_session_page,
    load_session_view,
    load_session_view_in_project,
)
from ...usecases.sessions import (
    add_session,
    change_session,
    choose_revision,
    copy_session,
    dismiss_image_update,
    get_session_to_copy,
    keeps_pinned_image,
    list_configuration_warnings,
    list_copy_targets,
    load_environment_choices,
    prepare_environment_replacement,
    remove_session,
    set_default_session,
)
from ...usecases.storages import list_storages_of_project
from ..base import RenkuPageHandler
from ..forms import (
    ConfirmDeletionForm,
    DismissSessionUpdateForm,
    PinSessionRevisionForm,
    SessionActionForm,
    SessionForm,
    build_blank_session_fields,
    build_field_error,
    build_session_fields,
    get_typed_fields,
)
from ..images.forms import (
    CiImageForm,
    ExternalImageForm,
    build_blank_ci_image_fields,
    build_blank_image_fields,
    build_image_fields,
    check_typed_image,
)
from ..images.views import (
    build_ci_images_tab_view,
    build_ci_source_view,
    build_commit_list_view,
    build_image_check_view,
    build_package_changes_view,
    build_packages_view,
)
from ..instances.actions import edit_session, pause_owned_instance, read_session_page_log, start_owned_instance
from ..projects.views import build_project_head_view, format_git_permissions
from ..rate_limits import LimitedRequest, count_request
from ..session_files import apply_requested_session_file, plan_requested_session_file, render_session_file
from ..urls import add_query_parameters
from .forms import DescribedSessionsForm, SessionEnvironmentForm, build_blank_session_environment_fields
from .schemas import CopySessionForm
from .views import (
    ConfigurationFormView,
    OwnImageFormView,
    SessionSoftwareView,
    build_configuration_form_view,
    build_copy_session_view,
    build_described_sessions_view,
    build_environment_choices,
    build_environment_choices_view,
    build_environment_replacement_view,
    build_keyword_filter_links,
    build_launch_page_view,
    build_new_session_view,
    build_own_image_form_view,
    build_session_page_view,
    build_session_removal_view,
    fill_missing_fields,
    list_replacement_kinds,
)

SESSION_FORMS_BY_KIND: Mapping[str, type[SessionForm]] = {"external": ExternalImageForm, "repository": CiImageForm}


class BaseNewSessionHandler(RenkuPageHandler):
    """The form to add a session."""

    lists = ("repositories", "storages")

    def get_page_url(self, ref: str) -> str:
        return self.request.uri if self.request.method == "GET" else f"{self.urls.sessions(ref)}/new"

    @property
    def environment_kind(self) -> str:
        """The selected tab; empty for *Ready-made*, the only one on a hub that runs no images."""
        kind = self.form_fields.get("kind") if self.request.method == "POST" else self.get_search_text("kind")
        kinds = {"external"} | ({"repository"} if self.context.gitlab_ci else set())
        return str(kind) if kind in kinds and not self.context.policy.local else ""

    async def render_form(self, ref: str, errors: Mapping[str, str]) -> None:
        render = {"external": self._render_own_image_form, "repository": self._render_ci_image_form}.get(
            self.environment_kind, self._render_managed_form
        )
        await render(ref, errors)

    async def _render_managed_form(self, ref: str, errors: Mapping[str, str]) -> None:
        page = await load_project_page(self.context, self.person, self.check_project_ref(ref), limit=100)
        project = page.project
        project.require_action(self.person, ProjectAction.WRITE)
        keyword, url, values = self.get_search_text("keyword"), self.urls.sessions(project.path), self.get_form_values()
        offered, keywords = await list_offered_environments(self.context, self.person, keyword=keyword or None)
        used = {view.session.environment.id for view in page.sessions}
        form = build_configuration_form_view(
            project, page.storages, values, self.person, self.context.policy, f"{url}/check"
        )
        self.write_page(
            "renku_session_new.html", "projects", errors=errors,
            environments=build_environment_choices(offered, used, str(values.get("environment", ""))),
            keywords=build_keyword_filter_links(keywords, keyword, f"{url}/new"),
            **build_new_session_view(project, form, self.page_context, self.context),
        )  # fmt: skip

    async def _render_own_image_form(self, ref: str, errors: Mapping[str, str]) -> None:
        page = await load_project_page(self.context, self.person, self.check_project_ref(ref), limit=100)
        project = page.project
        project.require_action(self.person, ProjectAction.WRITE)
        url, values = self.urls.sessions(project.path), build_blank_image_fields() | self.get_form_values()
        form = build_configuration_form_view(
            project, page.storages, values, self.person, self.context.policy, f"{url}/check"
        )
        checked = await check_typed_image(self, values, [view.session for view in page.sessions])
        own = build_own_image_form_view(values, checked, self.context)
        self.write_page(
            "renku_session_new_image.html", "projects", errors=errors, own=own,
            **build_new_session_view(project, form, self.page_context, self.context, "external"),
        )  # fmt: skip

    async def _render_ci_image_form(self, ref: str, errors: Mapping[str, str]) -> None:
        project = await self.load_project(ref, ProjectAction.WRITE)
        url, values = self.urls.sessions(project.path), build_blank_ci_image_fields() | self.get_form_values()
        form = build_configuration_form_view(
            project,
            await list_storages_of_project(self.context, project),
            values,
            self.person,
            self.context.policy,
            f"{url}/check",
        )
        query = {name: str(values[name]) or self.get_search_text(name) for name in ("repository", "branch")}
        tab = await load_ci_image_choices(self.context, self.person, project, query["repository"], query["branch"])
        self.write_page(
            "renku_session_new_built.html",
            "projects",
            errors=errors,
            built=build_ci_images_tab_view(
                tab, f"{url}/new", str(values["image"]), self.get_cursor(), self.page_context
            ),
            **build_new_session_view(project, form, self.page_context, self.context, "repository"),
        )

    def get_form_values(self) -> dict[str, Any]:
        if self.request.method == "POST":
            return fill_missing_fields(self.redisplayed_fields)
        return build_blank_session_fields(self.get_search_text("environment"))


class NewSessionHandler(BaseNewSessionHandler):
    scope = {"get": READ_SCOPE}

    async def get(self, ref: str) -> None:
        await self.render_form(ref, errors={})


class AddSessionHandler(BaseNewSessionHandler):
    scope = {"post": WRITE_SCOPE}

    async def post(self, ref: str) -> None:
        if self.environment_kind:
            count_request(self.context, self.person.name, LimitedRequest.IMAGE_CHECK)
        new = self.parse_form(SESSION_FORMS_BY_KIND.get(self.environment_kind, SessionForm)).to_new_session()
        session = await add_session(self.context, self.person, self.check_project_ref(ref), new)
        self.redirect_to_page(f"{self.urls.project(ref)}#session-{session.id}", "added")


class CheckNewSessionHandler(BaseNewSessionHandler):
    """Check the resource class and the image, and show the form again without storing anything."""

    scope = {"post": READ_SCOPE}

    async def post(self, ref: str) -> None:
        if self.environment_kind:
            count_request(self.context, self.person.name, LimitedRequest.IMAGE_CHECK)
        form = self.parse_form(SESSION_FORMS_BY_KIND.get(self.environment_kind, SessionForm))
        await self.render_form(ref, errors=form.find_problems())


class DescribedSessionsHandler(RenkuPageHandler):
    """Show what `.renku/sessions.yaml` of a project's repository would change, and apply it."""

    scope = {"get": READ_SCOPE, "post": WRITE_SCOPE}

    async def render_form(self, ref: str, errors: Mapping[str, str]) -> None:
        project = await self.load_project(ref, ProjectAction.WRITE)
        offer, document = await require_session_file(self.context, self.person, project)
        plan = await plan_requested_session_file(self, project.id, document)
        view = build_described_sessions_view(plan, offer, self.page_context)
        self.write_page("renku_sessions_described.html", "projects", errors=_select_page_errors(errors), **view)

    async def get(self, ref: str) -> None:
        await self.render_form(ref, errors={})

    async def post(self, ref: str) -> None:
        content = self.parse_form(DescribedSessionsForm).content
        project = await self.load_project(ref, ProjectAction.WRITE)
        _, document = await require_session_file(self.context, self.person, project, content)
        await apply_requested_session_file(self, project.id, document)
        self.redirect_to_page(self.urls.project(project.path), "described")


def _select_page_errors(errors: Mapping[str, str]) -> dict[str, str]:
    """Return the error about the whole file, because those of single sessions are shown beside them."""
    sentences = [sentence for path, sentence in errors.items() if not path.startswith("sessions.")]
    return {"form": sentences[0]} if sentences else {}


class ExportSessionsHandler(RenkuPageHandler):
    """Download the project's sessions as YAML."""

    scope = {"get": READ_SCOPE}

    async def get(self, ref: str) -> None:
        _, document = await export_session_file(self.context, self.person, self.check_project_ref(ref))
        kind, text = await render_session_file(document, "")
        self.set_header("Content-Type", kind)
        self.set_header("Content-Disposition", 'attachment; filename="sessions.yaml"')
        self.write(text)


class BaseSessionHandler(RenkuPageHandler):
    """Base class of pages and actions of one session; a login leads to its page."""

    def get_page_url(self, ref: str, session_id: str) -> str:
        return self.request.uri if self.request.method == "GET" else self.urls.session(ref, session_id)


class SessionHandler(BaseSessionHandler):
    scope = {"get": READ_SCOPE}

    async def get(self, ref: str, session_id: str) -> None:
        page = await self._load_session_page(ref, session_id)
        if self.redirect_if_moved(ref, page.project.path, session_id):
            return
        log = await read_session_page_log(self, page)
        warnings = list_configuration_warnings(self.context.policy, page.view.session.configuration)
        view = build_session_page_view(page, log, warnings, self.page_context)
        acts = format_git_permissions(page.project, self.context.policy)
        software = await self._build_software_view(page)
        self.write_page("renku_session.html", "projects", acts=acts, **view, **software)

    async def _build_software_view(self, found: SessionPageData) -> SessionSoftwareView:
        view = found.view
        software = await load_installed_software(
            self.context, view.session, view.update.digest if view.update else None
        )
        query = {name: self.get_search_text(name) for name in ("find", "kind")}
        page = self.urls.session(found.project.path, view.session.id)
        return {
            "installed": build_packages_view(
                software.software, page, **query, everything=bool(self.get_search_text("all")), frame=self.page_context
            ),
            "difference": build_package_changes_view(software),
            "built": build_ci_source_view(view.session.revision, await get_ci_image_status(self.context, view.session)),
            "commits": build_commit_list_view(
                await list_commits_of_update(self.context, self.person, view.session, view.update), self.page_context
            ),
        }

    async def _load_session_page(self, ref: str, session_id: str) -> SessionPageData:
        """Load the session, once more if the status of its image has just been refreshed."""
        page = await load_session_page(self.context, self.person, self.check_project_ref(ref), session_id)
        session = page.view.session
        if await refresh_image_status(self.context, session) or await refresh_ci_image_status(
            self.context, self.person, session
        ):
            return await load_session_page(self.context, self.person, self.check_project_ref(ref), session_id)
        return page


class SessionSbomHandler(BaseSessionHandler):
    """Download the installed packages as a CycloneDX SBOM."""

    scope = {"get": READ_SCOPE}

    async def get(self, ref: str, session_id: str) -> None:
        document = await export_session_bom(self.context, self.person, self.check_project_ref(ref), session_id)
        self.set_header("Content-Type", "application/vnd.cyclonedx+json; version=1.6")
        self.set_header("Content-Disposition", 'attachment; filename="packages.cdx.json"')
        self.write(document)


class RemoveSessionHandler(BaseSessionHandler):
    scope = {"get": READ_SCOPE, "post": WRITE_SCOPE}

    async def render_form(self, ref: str, session_id: str, errors: Mapping[str, str]) -> None:
        project = await self.load_project(ref, ProjectAction.WRITE)
        page = await load_session_page(self.context, self.person, project.id, session_id, to_change=True)
        values = get_typed_fields(self.form_fields, ["confirm", "new_default"])
        view = build_session_removal_view(page, self.page_context)
        self.write_page("renku_session_remove.html", "projects", errors=errors, values=values, **view)

    async def get(self, ref: str, session_id: str) -> None:
        await self.render_form(ref, session_id, errors={})

    async def post(self, ref: str, session_id: str) -> None:
        form = self.parse_form(ConfirmDeletionForm)
        project = await self.load_project(ref, ProjectAction.WRITE)
        form.require_title((await load_session_view(self.context, self.person, project.id, session_id)).session.title)
        await remove_session(self.context, self.person, project.id, session_id, new_default=form.new_default)
        self.redirect_to_page(self.urls.project(project.path), "removed")


class SetDefaultSessionHandler(BaseSessionHandler):
    scope = {"post": WRITE_SCOPE}

    async def post(self, ref: str, session_id: str) -> None:
        self.parse_form(SessionActionForm)
        await set_default_session(self.context, self.person, self.check_project_ref(ref), session_id)
        self.redirect_back(ref, session_id)


class PinSessionRevisionHandler(BaseSessionHandler):
    scope = {"post": WRITE_SCOPE}

    async def post(self, ref: str, session_id: str) -> None:
        form = self.parse_form(PinSessionRevisionForm)
        target = (self.context, self.person, self.check_project_ref(ref), session_id)
        await choose_revision(*target, form.revision, form.digest, form.version)
        self.redirect_to_page(self.urls.session(ref, session_id), "pinned")


class DismissSessionUpdateHandler(BaseSessionHandler):
    scope = {"post": WRITE_SCOPE}

    async def post(self, ref: str, session_id: str) -> None:
        form = self.parse_form(DismissSessionUpdateForm)
        await dismiss_image_update(self.context, self.person, self.check_project_ref(ref), session_id, form.digest)
        self.redirect_to_page(self.urls.session(ref, session_id), "dismissed")


class StartSessionHandler(BaseSessionHandler):
    scope = {"post": LAUNCH_SCOPE}

    async def post(self, ref: str, session_id: str) -> None:
        form = self.parse_form(SessionActionForm)
        view = await load_session_view(self.context, self.person, self.check_project_ref(ref), session_id)
        await start_owned_instance(self, session_id, form.resource_class, **form.start_options)
        self.redirect_back(ref, session_id, view.session.project)


class PauseSessionHandler(BaseSessionHandler):
    scope = {"post": LAUNCH_SCOPE}

    async def post(self, ref: str, session_id: str) -> None:
        self.parse_form(SessionActionForm)
        view = await load_session_view(self.context, self.person, self.check_project_ref(ref), session_id)
        await pause_owned_instance(self, session_id)
        self.redirect_back(ref, session_id, view.session.project)


class LaunchSessionHandler(RenkuPageHandler):
    """The page behind launch links in READMEs: it shows what would run, and starts it only after a click."""

    scope = {"get": READ_SCOPE, "post": LAUNCH_SCOPE}

    async def get(self, ref: str, session_id: str | None = None) -> None:
        project, view = await self._load_launch_target(ref, session_id)
        if view is None:
            self.write_no_session_page(ref)
            return
        await self._write_launch_page(project, view)

    async def _write_launch_page(self, found: Project, view: SessionView, changed: str = "") -> None:
        storages = await list_storages_of_project(self.context, found)
        page_view = build_launch_page_view(
            view, found, storages, self.page_context, self.list_ignored_parameters(), changed
        )
        self.write_page(
            "renku_launch.html", "projects", acts=format_git_permissions(found, self.context.policy), **page_view
        )

    async def render_form_problem(self, problem: RenkuError, *args: str) -> bool:
        """Show the page again if what would run has changed since it was shown."""
        if problem.code != "changed":
            return await super().render_form_problem(problem, *args)
        project, view = await self._load_launch_target(*args)
        if view is None:
            return False
        self.set_status(409)
        await self._write_launch_page(project, view, problem.message)
        return True

    async def post(self, ref: str, session_id: str | None = None) -> None:
        form = self.parse_form(SessionActionForm)
        _, view = await self._load_launch_target(ref, session_id)
        if view is None:
            self.write_no_session_page(ref)
            return
        await start_owned_instance(self, view.session.id, form.resource_class, **form.start_options)
        self.redirect_to_page(add_query_parameters(self.urls.session(ref, view.session.id), path=form.path))

    async def _load_launch_target(self, ref: str, session_id: str | None) -> tuple[Any, SessionView | None]:
        """Return the project, and the named session or else its default one, None if it has none."""
        project = await self.load_project(ref, ProjectAction.READ)
        target = session_id or project.default_session
        return project, await load_session_view_in_project(
            self.context, self.person, project, target
        ) if target else None

    def list_ignored_parameters(self) -> list[str]:
        """List query parameters of the link that are ignored."""
        names = [name[:40] for name in self.request.query_arguments if name.isprintable()]
        unknown = [name for name in names if name != "path"]
        return unknown if self.page_context.inside or "path" not in names else [*unknown, "path"]

    def write_no_session_page(self, ref: str) -> None:
        self.set_status(409)
        links = [{"text": "Look at the project", "url": self.urls.project(ref)}]
        message = "This project has no session that could be started. Its editors can add one."
        self.write_page("renku_error.html", status=409, title="No session yet", message=message, links=links)


class CopySessionHandler(BaseSessionHandler):
    scope = {"get": READ_SCOPE, "post": WRITE_SCOPE}

    async def render_form(self, ref: str, session_id: str, errors: Mapping[str, str]) -> None:
        project, session = await get_session_to_copy(self.context, self.person, self.check_project_ref(ref), session_id)
        search = self.get_search_text()
        targets = await list_copy_targets(
            self.context, self.person, project, session, search=search, after=self.get_cursor()
        )
        view = build_copy_session_view(project, session, *targets, search=search, frame=self.page_context)
        values = {"title": session.title, "project": project.id} | (self.redisplayed_fields if errors else {})
        self.write_page("renku_session_copy.html", "projects", errors=errors, values=values, **view)

    async def get(self, ref: str, session_id: str) -> None:
        await self.render_form(ref, session_id, errors={})

    async def post(self, ref: str, session_id: str) -> None:
        form, context, person = self.parse_form(CopySessionForm), self.context, self.person
        await get_session_to_copy(context, person, self.check_project_ref(ref), session_id)
        to = self.check_project_ref(form.require_project())
        source = (context, person, self.check_project_ref(ref), session_id)
        made = await copy_session(*source, to, title=form.title or None, version=form.version)
        target = await get_project(context, person, made.project)
        self.redirect_to_page(self.urls.session(target.path, made.id), "copied")


class BaseEditSessionHandler(BaseSessionHandler):
    """The form to edit a session."""

    lists = ("repositories", "storages")

    @property
    def has_own_image(self) -> bool:
        """True if the submitted form is about a user's own image."""
        return self.form_fields.get("kind") == "external"

    def parse_session_form(self) -> SessionForm:
        """Parse the form. Raises InvalidInputError; TooManyRequestsError, if an image is checked too often."""
        if self.has_own_image:
            count_request(self.context, self.person.name, LimitedRequest.IMAGE_CHECK)
        return self.parse_form(ExternalImageForm if self.has_own_image else SessionForm)

    async def render_form(self, ref: str, session_id: str, errors: Mapping[str, str]) -> None:
        project = await self.load_project(ref, ProjectAction.WRITE)
        page = await load_session_page(self.context, self.person, project.id, session_id, to_change=True)
        session, url = page.view.session, self.urls.session(project.path, session_id)
        values = self._get_form_values(session)
        # After a conflict the user may save over the newer version; after a field error the form keeps its version.
        version = session.version if "form" in errors else values.get("version", session.version)
        form = build_configuration_form_view(
            project, page.storages, values, self.person, self.context.policy, f"{url}/check"
        )
        self.write_page(
            "renku_session_edit.html",
            "projects",
            errors=errors,
            action=f"{url}/edit",
            version=version,
            project=build_project_head_view(project, self.page_context),
            session={"title": session.title, "page": url},
            form=form,
            others=page.others_have_data,
            own=await self._build_own_image_view(session, project, form),
        )

    def _get_form_values(self, session: Session) -> dict[str, Any]:
        if self.request.method == "POST":
            return build_blank_image_fields() | fill_missing_fields(self.redisplayed_fields)
        return build_session_fields(session) | build_image_fields(session.revision)

    async def _build_own_image_view(
        self, session: Session, project: Project, form: ConfigurationFormView
    ) -> OwnImageFormView | None:
        """Build the part about the image; None if an editor cannot replace it."""
        if session.environment.kind is not EnvironmentKind.EXTERNAL or self.context.policy.local:
            return None
        values = form["values"]
        stays_pinned = keeps_pinned_image(session.revision, str(values.get("image", "")))
        checked = None if stays_pinned else await check_typed_image(self, values, ())
        return build_own_image_form_view(values, checked, self.context, session.revision if stays_pinned else None)


class EditSessionHandler(BaseEditSessionHandler):
    scope = {"get": READ_SCOPE, "post": WRITE_SCOPE}

    async def get(self, ref: str, session_id: str) -> None:
        await self.render_form(ref, session_id, errors={})

    async def post(self, ref: str, session_id: str) -> None:
        change = self.parse_session_form().to_session_change()
        await edit_session(self, self.check_project_ref(ref), session_id, change)
        self.redirect_to_page(self.urls.session(ref, session_id), "saved")


class CheckEditedSessionHandler(BaseEditSessionHandler):
    """Check the resource class and the image, and show the form again without storing anything."""

    scope = {"post": READ_SCOPE}

    async def post(self, ref: str, session_id: str) -> None:
        form = self.parse_session_form()
        await self.render_form(ref, session_id, errors=form.find_problems())


class ReplaceSessionEnvironmentHandler(BaseSessionHandler):
    """Choose what a session runs instead, review what changes, and store it."""

    scope = {"get": READ_SCOPE, "post": WRITE_SCOPE}

    async def get(self, ref: str, session_id: str) -> None:
        page = await self._load_page(ref, session_id)
        if environment := self.get_search_text("environment"):
            version, number = str(page.view.session.version), self.get_search_text("revision")
            form = SessionEnvironmentForm(environment=environment, revision=number, version=version)
            await self._write_review(page, form)
        else:
            await self._write_choices(page, self.get_search_text("kind"), {})

    async def post(self, ref: str, session_id: str) -> None:
        form = self.parse_form(SessionEnvironmentForm)
        page = await self._load_page(ref, session_id)
        if form.kind:
            count_request(self.context, self.person.name, LimitedRequest.IMAGE_CHECK)
        if not form.reviewed:
            await self._write_review(page, form)
            return
        await change_session(self.context, self.person, page.project.id, session_id, form.to_session_change())
        self.redirect_to_page(self.urls.session(ref, session_id), "environment")

    async def render_form(self, ref: str, session_id: str, errors: Mapping[str, str]) -> None:
        page = await self._load_page(ref, session_id)
        await self._write_choices(page, str(self.form_fields.get("kind", "")), errors)

    async def _load_page(self, ref: str, session_id: str) -> SessionPageData:
        project = await self.load_project(ref, ProjectAction.WRITE)
        return await load_session_page(self.context, self.person, project.id, session_id, to_change=True)

    async def _write_choices(self, page: SessionPageData, kind: str, errors: Mapping[str, str]) -> None:
        session, project = page.view.session, page.project
        url, own, built = f"{self.urls.session(project.path, session.id)}/environment", None, None
        blank = build_blank_session_environment_fields()
        if session.environment.kind is EnvironmentKind.EXTERNAL:
            blank |= build_image_fields(session.revision)
        values = blank | (self.redisplayed_fields if self.request.method == "POST" else {})
        kind = kind if kind in list_replacement_kinds(self.context) else ""
        if kind == "external":
            own = build_own_image_form_view(values, None, self.context)
        elif kind == "repository":
            query = {name: str(values[name]) or self.get_search_text(name) for name in ("repository", "branch")}
            tab = await load_ci_image_choices(self.context, self.person, project, query["repository"], query["branch"])
            built = build_ci_images_tab_view(tab, url, str(values["image"]), self.get_cursor(), self.page_context)
        choices = await load_environment_choices(self.context, session)
        view = build_environment_choices_view(page, choices, kind, self.page_context, self.context)
        self.write_page(
            "renku_session_environment.html", "projects", errors=errors, own=own, built=built, values=values, **view
        )

    async def _write_review(self, page: SessionPageData, form: SessionEnvironmentForm) -> None:
        session, project = page.view.session, page.project
        change = form.to_session_change()
        wanted = await prepare_environment_replacement(self.context, self.person, project, session, change)
        if wanted is None:
            raise build_field_error("image", "The session runs this image in this way already.")
        checked = await check_typed_image(self, form.model_dump()) if form.kind == "external" else None
        software = await load_installed_software(self.context, session, wanted.revision.digest)
        self.write_page(
            "renku_session_replacement.html",
            "projects",
            errors={},
            verdict=build_image_check_view(checked, self.context.policy.platforms, self.context.now()),
            difference=build_package_changes_view(software),
            **build_environment_replacement_view(page, wanted, form, self.page_context),
        )
