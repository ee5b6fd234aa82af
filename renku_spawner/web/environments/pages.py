"""Pages for administrators of managed environments. Other users get 404."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...domain.environments import EnvironmentState
from ...hub.scopes import ADMIN_SCOPE
from ...usecases.environments import (
    LISTED_ENVIRONMENT_STATES,
    ManagedEnvironmentDetails,
    add_managed_environment,
    change_managed_environment,
    list_managed_environments,
    load_managed_environment_details,
    move_managed_environment,
    roll_back_managed_environment,
    set_managed_environment_state,
)
from ...usecases.sessions import keeps_pinned_image
from ..base import RenkuPageHandler
from ..images.forms import check_typed_image
from ..rate_limits import LimitedRequest, count_request
from .forms import (
    EnvironmentForm,
    MoveEnvironmentForm,
    RollBackEnvironmentForm,
    SetEnvironmentStateForm,
    build_blank_environment_fields,
    build_environment_copy_fields,
    build_environment_fields,
    get_uncopied_arguments,
)
from .views import (
    EnvironmentFormView,
    build_environment_form_view,
    build_environment_state_view,
    build_managed_environment_view,
    build_managed_environments_view,
)

_ENVIRONMENT_STATE_NAMES = tuple(str(state) for state in EnvironmentState)


class BaseNewEnvironmentHandler(RenkuPageHandler):
    """The form to add an environment."""

    def get_page_url(self, *args: str) -> str:
        return self.request.uri if self.request.method == "GET" else f"{self.urls.environments}/new"

    async def render_form(self, errors: Mapping[str, str]) -> None:
        values, lost = await self._build_form_values()
        checked = await check_typed_image(self, values, trusted=True)
        check_url = f"{self.urls.environments}/check"
        self.write_page(
            "renku_environment.html", "environments", errors=errors, environment=None, lost=lost,
            action=self.urls.environments, cancel=self.urls.environments, version=0,
            **build_environment_form_view(values, checked, self.context, check_url, None),
        )  # fmt: skip

    async def _build_form_values(self) -> tuple[dict[str, Any], str]:
        """Return the field values, and the arguments of a copied environment that the form cannot hold."""
        if self.request.method == "POST":
            return build_blank_environment_fields() | self.redisplayed_fields, ""
        if not self.get_search_text("copy"):
            return build_blank_environment_fields(), ""
        original = (await load_managed_environment_details(self.context, self.get_search_text("copy"))).environment
        return build_environment_copy_fields(original), get_uncopied_arguments(original)


class EnvironmentListHandler(BaseNewEnvironmentHandler):
    scope = {"get": ADMIN_SCOPE, "post": ADMIN_SCOPE}

    async def get(self) -> None:
        state, keyword = self.get_search_text("state"), self.get_search_text("keyword")
        states = [EnvironmentState(state)] if state in _ENVIRONMENT_STATE_NAMES else LISTED_ENVIRONMENT_STATES
        page = await list_managed_environments(
            self.context, states=states, keyword=keyword or None, after=self.get_cursor()
        )
        view = build_managed_environments_view(
            page, self.page_context, state if state in _ENVIRONMENT_STATE_NAMES else "", keyword
        )
        self.write_page("renku_environments.html", "environments", **view)

    async def post(self) -> None:
        count_request(self.context, self.person.name, LimitedRequest.IMAGE_CHECK)
        made = await add_managed_environment(
            self.context, self.person, self.parse_form(EnvironmentForm).to_new_environment()
        )
        self.redirect_to_page(self.urls.environment(made.id), "environment_added")


class NewEnvironmentHandler(BaseNewEnvironmentHandler):
    scope = {"get": ADMIN_SCOPE}

    async def get(self) -> None:
        await self.render_form(errors={})


class CheckNewEnvironmentHandler(BaseNewEnvironmentHandler):
    """Check the image, and show the form again without storing anything."""

    scope = {"post": ADMIN_SCOPE}

    async def post(self) -> None:
        count_request(self.context, self.person.name, LimitedRequest.IMAGE_CHECK)
        await self.render_form(errors=self.parse_form(EnvironmentForm).find_problems())


class BaseEnvironmentHandler(RenkuPageHandler):
    """Base class of pages and actions of one environment."""

    def get_page_url(self, id: str) -> str:
        return self.request.uri if self.request.method == "GET" else self.urls.environment(id)


class BaseEditEnvironmentHandler(BaseEnvironmentHandler):
    """The page of one environment: its use, its history and the form to edit it."""

    async def render_form(self, id: str, errors: Mapping[str, str]) -> None:
        details = await load_managed_environment_details(self.context, id)
        values, url = self._build_form_values(details), self.urls.environment(id)
        # After a conflict the user may save over the newer version; after a field error the form keeps its version.
        now = details.environment.version
        version = now if "form" in errors else values.get("version", now)
        self.write_page(
            "renku_environment.html", "environments", errors=errors, lost="", action=url,
            cancel=self.urls.environments, version=version,
            **build_managed_environment_view(details, self.page_context),
            **await self._build_edit_view(details, values, f"{url}/check"),
        )  # fmt: skip

    def _build_form_values(self, found: ManagedEnvironmentDetails) -> dict[str, Any]:
        if self.request.method == "POST":
            return build_blank_environment_fields() | self.redisplayed_fields
        return build_environment_fields(found.environment)

    async def _build_edit_view(
        self, found: ManagedEnvironmentDetails, values: dict[str, Any], check_url: str
    ) -> EnvironmentFormView:
        present = found.environment.revision
        stays_pinned = keeps_pinned_image(present, str(values["image"])) and not values["renew"]
        checked = None if stays_pinned else await check_typed_image(self, values, trusted=True)
        pinned = present if keeps_pinned_image(present, str(values["image"])) else None
        return build_environment_form_view(values, checked, self.context, check_url, pinned)


class EditEnvironmentHandler(BaseEditEnvironmentHandler):
    scope = {"get": ADMIN_SCOPE, "post": ADMIN_SCOPE}

    async def get(self, id: str) -> None:
        await self.render_form(id, errors={})

    async def post(self, id: str) -> None:
        count_request(self.context, self.person.name, LimitedRequest.IMAGE_CHECK)
        await change_managed_environment(
            self.context, self.person, id, self.parse_form(EnvironmentForm).to_environment_change()
        )
        self.redirect_to_page(self.urls.environment(id), "saved")


class CheckEditedEnvironmentHandler(BaseEditEnvironmentHandler):
    scope = {"post": ADMIN_SCOPE}

    async def post(self, id: str) -> None:
        count_request(self.context, self.person.name, LimitedRequest.IMAGE_CHECK)
        await self.render_form(id, errors=self.parse_form(EnvironmentForm).find_problems())


class SetEnvironmentStateHandler(BaseEnvironmentHandler):
    """Change the state of an environment, with a successor and a message."""

    renamed = {"state": "form"}
    scope = {"get": ADMIN_SCOPE, "post": ADMIN_SCOPE}

    async def render_form(self, id: str, errors: Mapping[str, str]) -> None:
        details = await load_managed_environment_details(self.context, id)
        environment, posted = details.environment, self.request.method == "POST"
        requested = str(self.form_fields.get("state", "")) if posted else self.get_search_text("to")
        to = requested if requested in ("active", "deprecated", "archived") else "archived"
        values = (
            self.redisplayed_fields if posted else {"successor": environment.successor, "message": environment.message}
        )
        version = values.get("version", environment.version) if "form" not in errors else environment.version
        view = build_environment_state_view(
            details, to, values, self.context.policy.archived_resume_days, self.page_context
        )
        self.write_page("renku_environment_state.html", "environments", errors=errors, version=version, **view)

    async def get(self, id: str) -> None:
        await self.render_form(id, errors={})

    async def post(self, id: str) -> None:
        await set_managed_environment_state(
            self.context, self.person, id, self.parse_form(SetEnvironmentStateForm).to_state_change()
        )
        self.redirect_to_page(self.urls.environment(id), "saved")


class RollBackEnvironmentHandler(BaseEnvironmentHandler):
    scope = {"post": ADMIN_SCOPE}

    async def post(self, id: str) -> None:
        form = self.parse_form(RollBackEnvironmentForm)
        await roll_back_managed_environment(
            self.context, self.person, id, form.require_revision_number(), form.require_version()
        )
        self.redirect_to_page(f"{self.urls.environment(id)}#revisions", "saved")


class MoveEnvironmentHandler(BaseEnvironmentHandler):
    scope = {"post": ADMIN_SCOPE}

    async def post(self, id: str) -> None:
        await move_managed_environment(
            self.context, self.person, id, up=self.parse_form(MoveEnvironmentForm).to == "up"
        )
        self.redirect_to_page(f"{self.urls.environments}#environment-{id}")
