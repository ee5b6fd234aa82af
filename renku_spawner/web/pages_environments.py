"""Pages of ready-made environments, for those who administer them; for everybody else they do not exist."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..domain.environment import State
from ..services import curation, ready_made, replacement
from ..services.ready_made import IN_USE, Whole
from . import checking, forms_environment, throttle, views_environments
from .base_page import RenkuHandler
from .forms_environment import EnvironmentForm, MoveForm, RollBackForm, StateForm
from .scopes import ADMIN

_STATES = tuple(str(state) for state in State)


class NewForm(RenkuHandler):
    """The form to add one."""

    def page(self, *args: str) -> str:
        return self.request.uri if self.request.method == "GET" else f"{self.urls.environments}/new"

    async def form(self, errors: Mapping[str, str]) -> None:
        values, lost = await self._values()
        checked = await checking.checked(self, values, trusted=True)
        check_url = f"{self.urls.environments}/check"
        self.show(
            "renku_environment.html", "environments", errors=errors, environment=None, lost=lost,
            action=self.urls.environments, cancel=self.urls.environments, version=0,
            **views_environments.edited(values, checked, self.parts, check_url, None),
        )  # fmt: skip

    async def _values(self) -> tuple[dict[str, Any], str]:
        """What stands in the fields, and what of a copied one cannot stand there."""
        if self.request.method == "POST":
            return forms_environment.blank() | self.typed, ""
        if not self.search("copy"):
            return forms_environment.blank(), ""
        original = (await ready_made.one(self.parts, self.search("copy"))).environment
        return forms_environment.copied(original), forms_environment.not_copied(original)


class Environments(NewForm):
    scope = {"get": ADMIN, "post": ADMIN}

    async def get(self) -> None:
        state, keyword = self.search("state"), self.search("keyword")
        states = [State(state)] if state in _STATES else IN_USE
        found = await ready_made.listed(self.parts, states=states, keyword=keyword or None, after=self.after())
        view = views_environments.page(found, self.frame, state if state in _STATES else "", keyword)
        self.show("renku_environments.html", "environments", **view)

    async def post(self) -> None:
        throttle.count_check(self.parts, self.person.name)
        made = await curation.add(self.parts, self.person, self.filled(EnvironmentForm).new())
        self.go(self.urls.environment(made.id), "environment_added")


class EnvironmentNew(NewForm):
    scope = {"get": ADMIN}

    async def get(self) -> None:
        await self.form(errors={})


class EnvironmentNewCheck(NewForm):
    """What is known of the image: the same page, with nothing stored."""

    scope = {"post": ADMIN}

    async def post(self) -> None:
        throttle.count_check(self.parts, self.person.name)
        await self.form(errors=self.filled(EnvironmentForm).problems())


class OfEnvironment(RenkuHandler):
    """Something with one environment."""

    def page(self, id: str) -> str:
        return self.request.uri if self.request.method == "GET" else self.urls.environment(id)


class EditForm(OfEnvironment):
    """One environment: its use, its history, and the form to edit it."""

    async def form(self, id: str, errors: Mapping[str, str]) -> None:
        found = await ready_made.one(self.parts, id)
        values, url = self._values(found), self.urls.environment(id)
        # Told that somebody else was faster, one may save again; a mistake does not make the form newer.
        now = found.environment.version
        version = now if "form" in errors else values.get("version", now)
        self.show(
            "renku_environment.html", "environments", errors=errors, lost="", action=url,
            cancel=self.urls.environments, version=version, **views_environments.whole(found, self.frame),
            **await self._edited(found, values, f"{url}/check"),
        )  # fmt: skip

    def _values(self, found: Whole) -> dict[str, Any]:
        if self.request.method == "POST":
            return forms_environment.blank() | self.typed
        return forms_environment.of_environment(found.environment)

    async def _edited(self, found: Whole, values: dict[str, Any], check_url: str) -> dict[str, Any]:
        present = found.environment.revision
        kept = replacement.is_kept(present, str(values["image"])) and not values["renew"]
        checked = None if kept else await checking.checked(self, values, trusted=True)
        pinned = present if replacement.is_kept(present, str(values["image"])) else None
        return views_environments.edited(values, checked, self.parts, check_url, pinned)


class Environment(EditForm):
    scope = {"get": ADMIN, "post": ADMIN}

    async def get(self, id: str) -> None:
        await self.form(id, errors={})

    async def post(self, id: str) -> None:
        throttle.count_check(self.parts, self.person.name)
        await curation.change(self.parts, self.person, id, self.filled(EnvironmentForm).change())
        self.go(self.urls.environment(id), "saved")


class EnvironmentCheck(EditForm):
    scope = {"post": ADMIN}

    async def post(self, id: str) -> None:
        throttle.count_check(self.parts, self.person.name)
        await self.form(id, errors=self.filled(EnvironmentForm).problems())


class EnvironmentState(OfEnvironment):
    """A step in its life, with a successor and a message."""

    renamed = {"state": "form"}
    scope = {"get": ADMIN, "post": ADMIN}

    async def form(self, id: str, errors: Mapping[str, str]) -> None:
        found = await ready_made.one(self.parts, id)
        each, posted = found.environment, self.request.method == "POST"
        asked = str(self.fields.get("state", "")) if posted else self.search("to")
        to = asked if asked in ("active", "deprecated", "archived") else "archived"
        values = self.typed if posted else {"successor": each.successor, "message": each.message}
        version = values.get("version", each.version) if "form" not in errors else each.version
        view = views_environments.step(found, to, values, self.parts.policy.archived_resume_days, self.frame)
        self.show("renku_environment_state.html", "environments", errors=errors, version=version, **view)

    async def get(self, id: str) -> None:
        await self.form(id, errors={})

    async def post(self, id: str) -> None:
        await curation.set_state(self.parts, self.person, id, self.filled(StateForm).change())
        self.go(self.urls.environment(id), "saved")


class EnvironmentRevision(OfEnvironment):
    scope = {"post": ADMIN}

    async def post(self, id: str) -> None:
        form = self.filled(RollBackForm)
        await curation.roll_back(self.parts, self.person, id, form.number(), form.seen())
        self.go(f"{self.urls.environment(id)}#revisions", "saved")


class EnvironmentMove(OfEnvironment):
    scope = {"post": ADMIN}

    async def post(self, id: str) -> None:
        await curation.move(self.parts, self.person, id, up=self.filled(MoveForm).to == "up")
        self.go(f"{self.urls.environments}#environment-{id}")
