"""Pages to add, change, check and remove storages, and to enter or delete the user's own credentials."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ...domain.access import ProjectAction
from ...domain.errors import RenkuError
from ...domain.projects import Project
from ...domain.storages import STORAGE_KINDS_BY_NAME, StorageProbeOutcome
from ...hub.scopes import LAUNCH_SCOPE, READ_SCOPE, WRITE_SCOPE
from ...usecases.storages import (
    add_storage,
    change_storage,
    delete_my_storage_credentials,
    enter_credentials,
    get_required_credentials,
    get_storage,
    recheck_storage,
    remove_storage,
)
from ..base import RenkuPageHandler
from ..instances.actions import start_owned_instance
from ..projects.forms import ProjectPartRemovalForm
from ..projects.views import build_project_head_view
from ..rate_limits import LimitedRequest, count_request
from ..schemas import EmptyBody
from ..sessions.pages import BaseSessionHandler
from .forms import (
    SECRET_FIELD_PREFIX,
    SETTING_FIELD_PREFIX,
    SessionCredentialsForm,
    build_blank_storage_fields,
    build_storage_fields,
    get_storage_form_field,
    parse_own_credentials,
    read_session_credentials_form,
    read_storage_form,
)
from .views import build_session_credentials_view, build_storage_form_view, build_storages_view


class BaseStorageHandler(RenkuPageHandler):
    """The form of a new or an existing storage."""

    offered: Mapping[str, Any] = MappingProxyType({})  # the server's host key, to be confirmed

    async def render_form_problem(self, problem: RenkuError, *args: str) -> bool:
        self.offered = problem.details.get("host_key", {})
        return await super().render_form_problem(problem, *args)

    def get_page_url(self, ref: str, *args: str) -> str:
        return self.request.uri if self.request.method == "GET" else self.urls.settings(ref)

    def _get_form_field_name(self, key: str) -> str:
        return get_storage_form_field(key)

    @property
    def redisplayed_fields(self) -> dict[str, Any]:
        """Fields to show again, without credentials."""
        return {
            key: value for key, value in super().redisplayed_fields.items() if not key.startswith(SECRET_FIELD_PREFIX)
        }

    def write_storage_form(
        self, project: Project, values: dict[str, Any], errors: Mapping[str, str], **more: Any
    ) -> None:
        if self.offered:
            values = values | {f"{SETTING_FIELD_PREFIX}host_key": self.offered["key"]}
        kind = STORAGE_KINDS_BY_NAME[values["kind"]]
        usable = [v for v in self.context.policy.volumes if v.is_usable_by(self.person, project.id)]
        form = build_storage_form_view(
            project, kind, values, self.context.policy, usable, self.page_context,
            kept=more.pop("kept", False), keeps=self.context.secret_store.is_available,
        )  # fmt: skip
        base = f"{self.urls.project(project.path)}/-/storages"
        self.write_page(
            "renku_storage.html",
            "projects",
            project=build_project_head_view(project, self.page_context),
            form=form,
            errors=errors,
            settings=f"{self.urls.settings(project.path)}#storages",
            **({"action": base, "storage": None} | more),
        )

    def redirect_after_save(self, project: Project, said: str = "saved") -> None:
        self.redirect_to_page(f"{self.urls.settings(project.path)}#storages", said)


class BaseNewStorageHandler(BaseStorageHandler):
    async def render_form(self, ref: str, errors: Mapping[str, str]) -> None:
        project = await self.load_project(ref, ProjectAction.WRITE)
        requested = self.form_fields.get("kind") if errors else self.get_search_text("kind")
        kinds = self.context.policy.storage_kinds
        available = [
            k
            for k in kinds
            if k != "volume" or any(v.is_usable_by(self.person, project.id) for v in self._configured_volumes)
        ]
        kind = str(requested) if requested in available else (available or ["s3"])[0]
        values = (
            build_blank_storage_fields(STORAGE_KINDS_BY_NAME[kind])
            | (self.redisplayed_fields if errors else {})
            | {"kind": kind}
        )
        self.write_storage_form(project, values, errors)

    @property
    def _configured_volumes(self) -> Any:
        return self.context.policy.volumes


class NewStorageHandler(BaseNewStorageHandler):
    scope = {"get": READ_SCOPE}

    async def get(self, ref: str) -> None:
        await self.render_form(ref, errors={})


class AddStorageHandler(BaseNewStorageHandler):
    scope = {"post": WRITE_SCOPE}

    async def post(self, ref: str) -> None:
        new = read_storage_form(self.form_fields).to_new_storage(self.form_fields)
        project = await self.load_project(ref, ProjectAction.WRITE)
        count_request(self.context, self.person.name, LimitedRequest.STORAGE_CHECK)
        await add_storage(self.context, self.person, project.id, new)
        self.redirect_after_save(project, "storage_added")


class EditStorageHandler(BaseStorageHandler):
    """The page of an existing storage."""

    scope = {"get": READ_SCOPE, "post": WRITE_SCOPE}

    async def render_form(self, ref: str, storage_id: str, errors: Mapping[str, str]) -> None:
        project = await self.load_project(ref, ProjectAction.WRITE)
        storage = await get_storage(self.context, self.person, project.id, storage_id)
        values = build_storage_fields(storage) | (self.redisplayed_fields if errors else {})
        page = f"{self.urls.project(project.path)}/-/storages/{storage.id}"
        [row] = build_storages_view([storage], self.page_context)
        self.write_storage_form(
            project, values | {"kind": storage.kind, "directory": storage.directory}, errors,
            action=page, storage=row, kept=storage.kept,
        )  # fmt: skip

    async def get(self, ref: str, storage_id: str) -> None:
        await self.render_form(ref, storage_id, errors={})

    async def post(self, ref: str, storage_id: str) -> None:
        change = read_storage_form(self.form_fields).to_storage_change(self.form_fields)
        project = await self.load_project(ref, ProjectAction.WRITE)
        count_request(self.context, self.person.name, LimitedRequest.STORAGE_CHECK)
        await change_storage(self.context, self.person, project.id, storage_id, change)
        self.redirect_after_save(project)


class RemoveStorageHandler(BaseStorageHandler):
    scope = {"post": WRITE_SCOPE}

    async def post(self, ref: str, storage_id: str) -> None:
        version = self.parse_form(ProjectPartRemovalForm).version
        project = await self.load_project(ref, ProjectAction.WRITE)
        await remove_storage(self.context, self.person, project.id, storage_id, version)
        self.redirect_after_save(project, "storage_removed")


class CheckStorageHandler(BaseStorageHandler):
    scope = {"post": WRITE_SCOPE}

    async def post(self, ref: str, storage_id: str) -> None:
        self.parse_form(ProjectPartRemovalForm)  # the same form; a check does not need its version
        project = await self.load_project(ref, ProjectAction.WRITE)
        count_request(self.context, self.person.name, LimitedRequest.STORAGE_CHECK)
        storage = await recheck_storage(self.context, self.person, project.id, storage_id)
        checked = storage.checked and storage.checked.outcome is not StorageProbeOutcome.NOT_CHECKED
        self.redirect_after_save(project, "storage_checked" if checked else "storage_not_checked")


class SessionCredentialsHandler(BaseSessionHandler):
    """The user's own credentials for the storages of a session, requested before the first start."""

    scope = {"get": READ_SCOPE, "post": LAUNCH_SCOPE}

    def get_page_url(self, ref: str, session_id: str) -> str:
        return f"{self.urls.session(ref, session_id)}/credentials"

    async def render_form(self, ref: str, session_id: str, errors: Mapping[str, str]) -> None:
        required = await get_required_credentials(self.context, self.person, self.check_project_ref(ref), session_id)
        form_errors = {_get_credential_form_field(key): text for key, text in errors.items()}
        view = build_session_credentials_view(required, self.page_context, keeps=self.context.secret_store.is_available)
        self.write_page(
            "renku_credentials.html",
            "projects",
            errors=form_errors,
            project=build_project_head_view(required.project, self.page_context),
            **view,
        )

    async def get(self, ref: str, session_id: str) -> None:
        await self.render_form(ref, session_id, errors={})

    async def post(self, ref: str, session_id: str) -> None:
        keep = await self._enter_credentials(ref, session_id)
        if keep.start:
            await start_owned_instance(self, session_id, keep.resource_class, seen=keep.version)
        self.redirect_to_page(self.urls.session(ref, session_id), "" if keep.start else "saved")

    async def _enter_credentials(self, ref: str, session_id: str) -> SessionCredentialsForm:
        form, entered = read_session_credentials_form(self.form_fields), parse_own_credentials(self.form_fields)
        count_request(self.context, self.person.name, LimitedRequest.STORAGE_CHECK)
        target = (self.context, self.person, self.check_project_ref(ref), session_id)
        await enter_credentials(*target, entered, keep=form.keep == "yes")
        return form


def _get_credential_form_field(key: str) -> str:
    """Return the form field of a credential: `<id>.pass` belongs to `secret_<id>_pass`."""
    storage, dot, option = key.rpartition(".")
    return f"{SECRET_FIELD_PREFIX}{storage}_{option}" if dot else key


class DeleteStorageCredentialsHandler(RenkuPageHandler):
    """Delete the user's stored credentials for a storage; no permission in its project is needed."""

    scope = {"post": LAUNCH_SCOPE}

    def get_page_url(self, storage_id: str) -> str:
        return self.urls.my_sessions

    async def post(self, storage_id: str) -> None:
        self.parse_form(EmptyBody)
        await delete_my_storage_credentials(self.context, self.person, storage_id)
        self.redirect_to_page(self.urls.my_sessions, "credentials_deleted")
