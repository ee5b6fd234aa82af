"""The operator's pages: everybody's instances, orphans, claims, failures, starts and what is on record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from .. import neighbours
from ..domain.inventory import Kind
from ..services import operating
from . import actions, servers, views_admin, views_starts
from .base_page import RenkuHandler
from .forms_admin import OrphansForm, PauseAllForm, PauseForm, instance_filter
from .scopes import ADMIN

_KEPT = ("status", "owner", "project", "reason", "after")


class Operators(RenkuHandler):
    """A tab; strangers land on it after the login."""

    tab = ""

    def page(self, *args: Any) -> str:
        return self.request.uri if self.request.method == "GET" else self.urls.admin(self.tab)

    def tabbed(self, **view: Any) -> None:
        """The template of the tab is named after it."""
        tabs = views_admin.tabs(self.tab, self.urls)
        away = neighbours.of(self.parts, self.settings["app"].spawner_class)
        problems = views_admin.problems(self.parts.health.refused_settings, [one.reason for one in away])
        self.show(f"renku_admin_{self.tab or 'instances'}.html", "operate", tabs=tabs, problems=problems, **view)


class Instances(Operators):
    scope = {"get": ADMIN}

    async def get(self) -> None:
        asked = instance_filter(self)
        rows, following = await operating.instances(self.parts, self.person, asked, after=self.after())
        self.tabbed(**views_admin.instances(rows, asked, following, self.after(), self.frame))


class Pause(Operators):
    scope = {"post": ADMIN}

    async def post(self) -> None:
        form = self.filled(PauseForm)
        await actions.pause_for(self, form.username, form.session)
        kept = {key: values[0] for key, values in parse_qs(form.back).items() if key in _KEPT}
        self.go(self.urls.admin(**kept), "paused_for")


class Nodes(Operators):
    scope = {"get": ADMIN, "post": ADMIN}
    tab = "nodes"

    async def form(self, errors: Mapping[str, str]) -> None:
        found = await operating.list_nodes(self.parts, servers.ground(self.current_user))
        self.tabbed(errors=errors, **views_admin.nodes(found, self.frame))

    async def get(self) -> None:
        await self.form(errors={})

    async def post(self) -> None:
        await actions.pause_all(self, self.filled(PauseAllForm).check())
        self.go(self.urls.admin("nodes"), "paused_all")


class Restore(Operators):
    scope = {"post": ADMIN}

    async def post(self) -> None:
        form = self.filled(PauseForm)
        await operating.bring_back(self.parts, self.person, form.username, form.session)
        kept = {key: values[0] for key, values in parse_qs(form.back).items() if key in _KEPT}
        self.go(self.urls.admin(**kept), "restored_for")


class Orphans(Operators):
    scope = {"get": ADMIN, "post": ADMIN}
    lists = ("names",)
    tab = "orphans"

    async def form(self, errors: Mapping[str, str]) -> None:
        found = await operating.see_orphans(self.parts, self.person, servers.ground(self.current_user))
        ticked = self.fields.get("names", []) if errors else []
        self.tabbed(errors=errors, **views_admin.orphans(found, ticked, self.frame))

    async def get(self) -> None:
        await self.form(errors={})

    async def post(self) -> None:
        form = self.filled(OrphansForm)
        names, ground = form.check(), servers.ground(self.current_user)
        done = await operating.clean(self.parts, self.person, ground, Kind(form.kind), names)
        self.go(self.urls.admin("orphans"), "cleaned" if done == len(names) else "cleaned_some")


class Claims(Operators):
    scope = {"get": ADMIN}
    tab = "claims"

    async def get(self) -> None:
        owner, ground = self.search("owner"), servers.ground(self.current_user)
        found = await operating.claims(self.parts, self.person, ground, owner=owner, after=self.after())
        self.tabbed(**views_admin.claims(found, owner, self.frame))


class Failures(Operators):
    scope = {"get": ADMIN}
    tab = "failures"

    async def get(self) -> None:
        self.tabbed(**views_starts.failures(await operating.failures(self.parts), self.frame))


class Launches(Operators):
    scope = {"get": ADMIN}
    tab = "launches"

    async def get(self) -> None:
        found, following = await operating.starts(self.parts, after=self.after())
        self.tabbed(**views_starts.starts(found, following, self.frame))


class Audit(Operators):
    scope = {"get": ADMIN}
    tab = "audit"

    async def get(self) -> None:
        actor, action = self.search("actor"), self.search("action")
        events, following = await operating.audit(self.parts, actor=actor, action=action, after=self.after())
        self.tabbed(**views_starts.audit(events, actor, action, following, self.frame))
