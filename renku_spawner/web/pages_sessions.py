"""Pages of a project's sessions: add, look, edit, remove; start and pause one's own instance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..domain.access import Action
from ..domain.errors import RenkuError
from ..domain.project import Project
from ..services import build_news, installed, looks, pins, removal, revisions, sessions, storages
from . import actions, forms, views_built, views_gitlab, views_installed, views_session
from .base_page import RenkuHandler
from .forms import ActionForm, ConfirmForm, DismissalForm, RevisionForm
from .scopes import LAUNCH, READ, WRITE
from .urls import query
from .views_frame import View


class OfSession(RenkuHandler):
    """Something with one session; strangers land on its page after the login."""

    def page(self, ref: str, session_id: str) -> str:
        return self.request.uri if self.request.method == "GET" else self.urls.session(ref, session_id)


class SessionPage(OfSession):
    scope = {"get": READ}

    async def get(self, ref: str, session_id: str) -> None:
        found = await self._found(ref, session_id)
        if self.moved(ref, found.project.path, session_id):
            return
        log = await actions.log_of(self, found)
        warnings = sessions.warnings(self.parts.policy, found.view.session.configuration)
        view = views_session.page(found, log, warnings, self.frame) | await self._installed(found)
        acts = views_gitlab.acts(found.project, self.parts.policy)
        self.show("renku_session.html", "projects", acts=acts, **view)

    async def _installed(self, found: looks.SessionPage) -> View:
        view = found.view
        known = await installed.look(self.parts, view.session, view.update)
        asked = {name: self.search(name) for name in ("find", "kind")}
        page = self.urls.session(found.project.path, view.session.id)
        return {
            "installed": views_installed.packages(
                known.software, page, **asked, everything=bool(self.search("all")), frame=self.frame
            ),
            "difference": views_installed.difference(known),
            "built": views_built.source(view.session.revision, await build_news.known(self.parts, view.session)),
            "commits": views_built.titles(
                await build_news.commits(self.parts, self.person, view.session, view.update), self.frame
            ),
        }

    async def _found(self, ref: str, session_id: str) -> looks.SessionPage:
        """The session; looked at once more if the registry has just said something of its image."""
        found = await looks.session(self.parts, self.person, self.ref(ref), session_id)
        session = found.view.session
        if await pins.look(self.parts, session) or await build_news.look(self.parts, self.person, session):
            return await looks.session(self.parts, self.person, self.ref(ref), session_id)
        return found


class SessionBill(OfSession):
    """What is installed, as a file for other programs."""

    scope = {"get": READ}

    async def get(self, ref: str, session_id: str) -> None:
        document = await installed.bill(self.parts, self.person, self.ref(ref), session_id)
        self.set_header("Content-Type", "application/vnd.cyclonedx+json; version=1.6")
        self.set_header("Content-Disposition", 'attachment; filename="packages.cdx.json"')
        self.write(document)


class SessionRemoval(OfSession):
    scope = {"get": READ, "post": WRITE}

    async def form(self, ref: str, session_id: str, errors: Mapping[str, str]) -> None:
        project = await self.project(ref, Action.WRITE)
        found = await looks.session(self.parts, self.person, project.id, session_id, to_change=True)
        values = forms.typed(self.fields, ["confirm", "new_default"])
        view = views_session.removal(found, self.frame)
        self.show("renku_session_remove.html", "projects", errors=errors, values=values, **view)

    async def get(self, ref: str, session_id: str) -> None:
        await self.form(ref, session_id, errors={})

    async def post(self, ref: str, session_id: str) -> None:
        form = self.filled(ConfirmForm)
        project = await self.project(ref, Action.WRITE)
        form.check((await looks.view(self.parts, self.person, project.id, session_id)).session.title)
        await removal.remove(self.parts, self.person, project.id, session_id, new_default=form.new_default)
        self.go(self.urls.project(project.path), "removed")


class SessionDefault(OfSession):
    scope = {"post": WRITE}

    async def post(self, ref: str, session_id: str) -> None:
        self.filled(ActionForm)
        await removal.make_default(self.parts, self.person, self.ref(ref), session_id)
        self.back(ref, session_id)


class SessionRevision(OfSession):
    scope = {"post": WRITE}

    async def post(self, ref: str, session_id: str) -> None:
        form = self.filled(RevisionForm)
        here = (self.parts, self.person, self.ref(ref), session_id)
        await revisions.choose(*here, form.revision, form.digest, form.version)
        self.go(self.urls.session(ref, session_id), "pinned")


class SessionDismissal(OfSession):
    scope = {"post": WRITE}

    async def post(self, ref: str, session_id: str) -> None:
        form = self.filled(DismissalForm)
        await revisions.dismiss(self.parts, self.person, self.ref(ref), session_id, form.digest)
        self.go(self.urls.session(ref, session_id), "dismissed")


class SessionStart(OfSession):
    scope = {"post": LAUNCH}

    async def post(self, ref: str, session_id: str) -> None:
        form = self.filled(ActionForm)
        view = await looks.view(self.parts, self.person, self.ref(ref), session_id)
        await actions.start(self, session_id, form.resource_class, **form.start)
        self.back(ref, session_id, view.session.project)


class SessionPause(OfSession):
    scope = {"post": LAUNCH}

    async def post(self, ref: str, session_id: str) -> None:
        self.filled(ActionForm)
        view = await looks.view(self.parts, self.person, self.ref(ref), session_id)
        await actions.pause(self, session_id)
        self.back(ref, session_id, view.session.project)


class LaunchPage(RenkuHandler):
    """A link for READMEs: what would run, from which image, by whom. A link alone starts nothing."""

    scope = {"get": READ, "post": LAUNCH}

    async def get(self, ref: str, session_id: str | None = None) -> None:
        found, view = await self._meant(ref, session_id)
        if view is None:
            self.none_yet(ref)
            return
        await self._show(found, view)

    async def _show(self, found: Project, view: looks.SessionView, changed: str = "") -> None:
        there = await storages.of(self.parts, found)
        shown = views_session.launching(view, found, there, self.frame, self.ignored(), changed)
        self.show("renku_launch.html", "projects", acts=views_gitlab.acts(found, self.parts.policy), **shown)

    async def again(self, problem: RenkuError, *args: str) -> bool:
        """What would run is another thing than the page showed: it is shown before the next click."""
        if problem.code != "changed":
            return await super().again(problem, *args)
        found, view = await self._meant(*args)
        if view is None:
            return False
        self.set_status(409)
        await self._show(found, view, problem.message)
        return True

    async def post(self, ref: str, session_id: str | None = None) -> None:
        form = self.filled(ActionForm)
        _, view = await self._meant(ref, session_id)
        if view is None:
            self.none_yet(ref)
            return
        await actions.start(self, view.session.id, form.resource_class, **form.start)
        self.go(query(self.urls.session(ref, view.session.id), path=form.path))

    async def _meant(self, ref: str, session_id: str | None) -> tuple[Any, looks.SessionView | None]:
        """The project, and the session that is named or else its default."""
        project = await self.project(ref, Action.READ)
        wanted = session_id or project.default_session
        return project, await looks.view_in(self.parts, self.person, project, wanted) if wanted else None

    def ignored(self) -> list[str]:
        """Parameters of the link that mean nothing here."""
        names = [name[:40] for name in self.request.query_arguments if name.isprintable()]
        unknown = [name for name in names if name != "path"]
        return unknown if self.frame.inside or "path" not in names else [*unknown, "path"]

    def none_yet(self, ref: str) -> None:
        self.set_status(409)
        links = [{"text": "Look at the project", "url": self.urls.project(ref)}]
        message = "This project has no session that could be started. Its editors can add one."
        self.show("renku_error.html", status=409, title="No session yet", message=message, links=links)
