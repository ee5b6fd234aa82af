"""Administration pages.

The tabs are instances, nodes, orphaned resources, PVCs and folders, failed starts, launch statistics and the audit
log.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from ...domain.administration import OrphanKind
from ...hub.adapter import get_resource_inventory
from ...hub.scopes import ADMIN_SCOPE
from ...jobs.dependency_health import list_dependencies
from ...usecases.administration import (
    count_failed_launches,
    count_sessions_by_node,
    get_orphans_report,
    list_audit_events,
    list_claims,
    list_instances_of_all_users,
    list_launch_statistics,
    remove_orphans,
    restore_user_data,
)
from ..base import RenkuPageHandler
from ..instances.actions import pause_all_instances, pause_instance_as_admin
from .forms import AdminInstanceForm, AdminPauseAllForm, RemoveOrphansForm, parse_instance_filter
from .views import (
    build_admin_instances_view,
    build_admin_nodes_view,
    build_admin_problems_view,
    build_admin_tabs_view,
    build_audit_view,
    build_claims_view,
    build_failures_view,
    build_launch_statistics_view,
    build_orphans_view,
)

_KEPT_QUERY_FIELDS = ("status", "owner", "project", "reason", "after")


class BaseAdminHandler(RenkuPageHandler):
    """Base class of the administration tabs; a login leads to the tab."""

    tab = ""

    def get_page_url(self, *args: Any) -> str:
        return self.request.uri if self.request.method == "GET" else self.urls.admin(self.tab)

    def write_admin_page(self, **view: Any) -> None:
        """Write the page of the tab, whose template is named after it."""
        tabs = build_admin_tabs_view(self.tab, self.urls)
        dependencies = list_dependencies(self.context, self.settings["app"].spawner_class)
        problems = build_admin_problems_view(
            self.context.hub_health.refused_settings, [dependency.reason for dependency in dependencies]
        )
        self.write_page(f"renku_admin_{self.tab or 'instances'}.html", "operate", tabs=tabs, problems=problems, **view)


class AdminInstanceListHandler(BaseAdminHandler):
    scope = {"get": ADMIN_SCOPE}

    async def get(self) -> None:
        instance_filter = parse_instance_filter(self.get_search_text)
        rows, following = await list_instances_of_all_users(
            self.context, self.person, instance_filter, after=self.get_cursor()
        )
        self.write_admin_page(
            **build_admin_instances_view(rows, instance_filter, following, self.get_cursor(), self.page_context)
        )


class AdminPauseInstanceHandler(BaseAdminHandler):
    scope = {"post": ADMIN_SCOPE}

    async def post(self) -> None:
        form = self.parse_form(AdminInstanceForm)
        await pause_instance_as_admin(self, form.username, form.session)
        query = {key: values[0] for key, values in parse_qs(form.back).items() if key in _KEPT_QUERY_FIELDS}
        self.redirect_to_page(self.urls.admin(**query), "paused_for")


class AdminNodeListHandler(BaseAdminHandler):
    scope = {"get": ADMIN_SCOPE, "post": ADMIN_SCOPE}
    tab = "nodes"

    async def render_form(self, errors: Mapping[str, str]) -> None:
        overview = await count_sessions_by_node(self.context, get_resource_inventory(self.current_user))
        self.write_admin_page(errors=errors, **build_admin_nodes_view(overview, self.page_context))

    async def get(self) -> None:
        await self.render_form(errors={})

    async def post(self) -> None:
        await pause_all_instances(self, self.parse_form(AdminPauseAllForm).require_confirmed_node())
        self.redirect_to_page(self.urls.admin("nodes"), "paused_all")


class AdminRestoreInstanceHandler(BaseAdminHandler):
    scope = {"post": ADMIN_SCOPE}

    async def post(self) -> None:
        form = self.parse_form(AdminInstanceForm)
        await restore_user_data(self.context, self.person, form.username, form.session)
        query = {key: values[0] for key, values in parse_qs(form.back).items() if key in _KEPT_QUERY_FIELDS}
        self.redirect_to_page(self.urls.admin(**query), "restored_for")


class AdminOrphanListHandler(BaseAdminHandler):
    scope = {"get": ADMIN_SCOPE, "post": ADMIN_SCOPE}
    lists = ("names",)
    tab = "orphans"

    async def render_form(self, errors: Mapping[str, str]) -> None:
        report = await get_orphans_report(self.context, self.person, get_resource_inventory(self.current_user))
        ticked = self.form_fields.get("names", []) if errors else []
        self.write_admin_page(errors=errors, **build_orphans_view(report, ticked, self.page_context))

    async def get(self) -> None:
        await self.render_form(errors={})

    async def post(self) -> None:
        form = self.parse_form(RemoveOrphansForm)
        names, ground = form.require_confirmed_names(), get_resource_inventory(self.current_user)
        removed = await remove_orphans(self.context, self.person, ground, OrphanKind(form.kind), names)
        self.redirect_to_page(self.urls.admin("orphans"), "cleaned" if removed == len(names) else "cleaned_some")


class AdminClaimListHandler(BaseAdminHandler):
    scope = {"get": ADMIN_SCOPE}
    tab = "claims"

    async def get(self) -> None:
        owner, ground = self.get_search_text("owner"), get_resource_inventory(self.current_user)
        page = await list_claims(self.context, self.person, ground, owner=owner, after=self.get_cursor())
        self.write_admin_page(**build_claims_view(page, owner, self.page_context))


class AdminFailureListHandler(BaseAdminHandler):
    scope = {"get": ADMIN_SCOPE}
    tab = "failures"

    async def get(self) -> None:
        self.write_admin_page(**build_failures_view(await count_failed_launches(self.context), self.page_context))


class AdminLaunchStatisticsHandler(BaseAdminHandler):
    scope = {"get": ADMIN_SCOPE}
    tab = "launches"

    async def get(self) -> None:
        statistics, following = await list_launch_statistics(self.context, after=self.get_cursor())
        self.write_admin_page(**build_launch_statistics_view(statistics, following, self.page_context))


class AdminAuditLogHandler(BaseAdminHandler):
    scope = {"get": ADMIN_SCOPE}
    tab = "audit"

    async def get(self) -> None:
        actor, action = self.get_search_text("actor"), self.get_search_text("action")
        events, following = await list_audit_events(self.context, actor=actor, action=action, after=self.get_cursor())
        self.write_admin_page(**build_audit_view(events, actor, action, following, self.page_context))
