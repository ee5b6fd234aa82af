"""Adding a session: from a ready-made environment, somebody's own image, or one that CI has built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..domain.access import Action
from ..services import builds, environments, looks, sessions, storages
from . import checking, forms, forms_built, forms_image, throttle, views_built, views_forms
from .base_page import RenkuHandler
from .forms import SessionForm
from .forms_built import BuiltForm
from .forms_image import ImageForm
from .scopes import READ, WRITE

FORMS: Mapping[str, type[SessionForm]] = {"external": ImageForm, "repository": BuiltForm}


class SessionNewForm(RenkuHandler):
    """The form to add a session."""

    lists = ("repositories", "storages")

    def page(self, ref: str) -> str:
        return self.request.uri if self.request.method == "GET" else f"{self.urls.sessions(ref)}/new"

    @property
    def kind(self) -> str:
        """Which tab it is; a hub that runs no images has one only."""
        kind = self.fields.get("kind") if self.request.method == "POST" else self.search("kind")
        known = {"external"} | ({"repository"} if self.parts.ci else set())
        return str(kind) if kind in known and not self.parts.policy.local else ""

    async def form(self, ref: str, errors: Mapping[str, str]) -> None:
        shown = {"external": self._own_image, "repository": self._built}.get(self.kind, self._ready_made)
        await shown(ref, errors)

    async def _ready_made(self, ref: str, errors: Mapping[str, str]) -> None:
        there = await looks.project(self.parts, self.person, self.ref(ref), limit=100)
        project = there.project
        project.require(self.person, Action.WRITE)
        keyword, url, values = self.search("keyword"), self.urls.sessions(project.path), self.values()
        offered, words = await environments.offered(self.parts, self.person, keyword=keyword or None)
        here = {each.session.environment.id for each in there.sessions}
        form = views_forms.configuration(
            project, there.storages, values, self.person, self.parts.policy, f"{url}/check"
        )
        self.show(
            "renku_session_new.html", "projects", errors=errors,
            environments=views_forms.offered(offered, here, str(values.get("environment", ""))),
            keywords=views_forms.keyword_links(words, keyword, f"{url}/new"),
            **views_forms.new_session(project, form, self.frame, self.parts),
        )  # fmt: skip

    async def _own_image(self, ref: str, errors: Mapping[str, str]) -> None:
        there = await looks.project(self.parts, self.person, self.ref(ref), limit=100)
        project = there.project
        project.require(self.person, Action.WRITE)
        url, values = self.urls.sessions(project.path), forms_image.blank() | self.values()
        form = views_forms.configuration(
            project, there.storages, values, self.person, self.parts.policy, f"{url}/check"
        )
        checked = await checking.checked(self, values, [view.session for view in there.sessions])
        own = views_forms.own_image(form, checked, self.parts)
        self.show(
            "renku_session_new_image.html", "projects", errors=errors, own=own,
            **views_forms.new_session(project, form, self.frame, self.parts, "external"),
        )  # fmt: skip

    async def _built(self, ref: str, errors: Mapping[str, str]) -> None:
        project = await self.project(ref, Action.WRITE)
        url, values = self.urls.sessions(project.path), forms_built.blank() | self.values()
        form = views_forms.configuration(
            project, await storages.of(self.parts, project), values, self.person, self.parts.policy, f"{url}/check"
        )
        asked = {name: str(values[name]) or self.search(name) for name in ("repository", "branch")}
        tab = await builds.tab(self.parts, self.person, project, asked["repository"], asked["branch"])
        self.show(
            "renku_session_new_built.html", "projects", errors=errors,
            built=views_built.tab(tab, f"{url}/new", str(values["image"]), self.after(), self.frame),
            **views_forms.new_session(project, form, self.frame, self.parts, "repository"),
        )  # fmt: skip

    def values(self) -> dict[str, Any]:
        if self.request.method == "POST":
            return views_forms.sent(self.typed)
        return forms.blank(self.search("environment"))


class SessionNew(SessionNewForm):
    scope = {"get": READ}

    async def get(self, ref: str) -> None:
        await self.form(ref, errors={})


class Sessions(SessionNewForm):
    scope = {"post": WRITE}

    async def post(self, ref: str) -> None:
        if self.kind:
            throttle.count_check(self.parts, self.person.name)
        new = self.filled(FORMS.get(self.kind, SessionForm)).new()
        session = await sessions.add(self.parts, self.person, self.ref(ref), new)
        self.go(f"{self.urls.project(ref)}#session-{session.id}", "added")


class SessionCheck(SessionNewForm):
    """Which class fits, and what is known of the image: the same page, with nothing stored."""

    scope = {"post": READ}

    async def post(self, ref: str) -> None:
        if self.kind:
            throttle.count_check(self.parts, self.person.name)
        form = self.filled(FORMS.get(self.kind, SessionForm))
        await self.form(ref, errors=form.problems())
