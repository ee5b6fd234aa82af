"""Copying a session to a project where one may write."""

from __future__ import annotations

from collections.abc import Mapping

from ..services import copying, projects
from . import views_copy
from .bodies_copy import CopyForm
from .pages_sessions import OfSession
from .scopes import READ, WRITE


class SessionCopy(OfSession):
    scope = {"get": READ, "post": WRITE}

    async def form(self, ref: str, session_id: str, errors: Mapping[str, str]) -> None:
        project, session = await copying.found(self.parts, self.person, self.ref(ref), session_id)
        search = self.search()
        found = await copying.targets(self.parts, self.person, project, session, search=search, after=self.after())
        view = views_copy.page(project, session, *found, search=search, frame=self.frame)
        values = {"title": session.title, "project": project.id} | (self.typed if errors else {})
        self.show("renku_session_copy.html", "projects", errors=errors, values=values, **view)

    async def get(self, ref: str, session_id: str) -> None:
        await self.form(ref, session_id, errors={})

    async def post(self, ref: str, session_id: str) -> None:
        form, parts, person = self.filled(CopyForm), self.parts, self.person
        await copying.found(parts, person, self.ref(ref), session_id)
        to = self.ref(form.chosen())
        here = (parts, person, self.ref(ref), session_id)
        made = await copying.copy(*here, to, title=form.title or None, version=form.version)
        target = await projects.show(parts, person, made.project)
        self.go(self.urls.session(target.path, made.id), "copied")
