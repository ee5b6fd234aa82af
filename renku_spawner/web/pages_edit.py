"""Editing a session: what it needs and gets, and which image of somebody's own it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..domain.access import Action
from ..domain.environment import Kind
from ..domain.project import Project
from ..domain.session import Session
from ..services import looks, replacement
from . import actions, checking, forms, forms_image, throttle, views_forms
from .forms import SessionForm
from .forms_image import ImageForm
from .pages_sessions import OfSession
from .scopes import READ, WRITE
from .views_frame import View
from .views_projects import head


class SessionEditForm(OfSession):
    """The form to edit a session."""

    lists = ("repositories", "storages")

    @property
    def own(self) -> bool:
        """Whether the form that was sent is one about somebody's own image."""
        return self.fields.get("kind") == "external"

    def form_sent(self) -> SessionForm:
        """Raises Invalid; TooMany where a registry may have to be asked once too often."""
        if self.own:
            throttle.count_check(self.parts, self.person.name)
        return self.filled(ImageForm if self.own else SessionForm)

    async def form(self, ref: str, session_id: str, errors: Mapping[str, str]) -> None:
        project = await self.project(ref, Action.WRITE)
        found = await looks.session(self.parts, self.person, project.id, session_id, to_change=True)
        session, url = found.view.session, self.urls.session(project.path, session_id)
        values = self._values(session)
        # Told that somebody else was faster, one may save again; a mistake does not make the form newer.
        version = session.version if "form" in errors else values.get("version", session.version)
        form = views_forms.configuration(
            project, found.storages, values, self.person, self.parts.policy, f"{url}/check"
        )
        self.show(
            "renku_session_edit.html", "projects", errors=errors, action=f"{url}/edit", version=version,
            project=head(project, self.frame), session={"title": session.title, "page": url}, form=form,
            others=found.others_have_data, own=await self._own_image(session, project, form),
        )  # fmt: skip

    def _values(self, session: Session) -> dict[str, Any]:
        if self.request.method == "POST":
            return forms_image.blank() | views_forms.sent(self.typed)
        return forms.of_session(session) | forms_image.of_revision(session.revision)

    async def _own_image(self, session: Session, project: Project, form: View) -> View | None:
        """What is shown of the image; None where there is none that an editor could replace."""
        if session.environment.kind is not Kind.EXTERNAL or self.parts.policy.local:
            return None
        values = form["values"]
        kept = replacement.is_kept(session.revision, str(values.get("image", "")))
        checked = None if kept else await checking.checked(self, values, ())
        return views_forms.own_image(form, checked, self.parts, session.revision if kept else None)


class SessionEdit(SessionEditForm):
    scope = {"get": READ, "post": WRITE}

    async def get(self, ref: str, session_id: str) -> None:
        await self.form(ref, session_id, errors={})

    async def post(self, ref: str, session_id: str) -> None:
        change = self.form_sent().change()
        await actions.change(self, self.ref(ref), session_id, change)
        self.go(self.urls.session(ref, session_id), "saved")


class SessionEditCheck(SessionEditForm):
    """Which class fits, and what is known of the image: the same page, with nothing stored."""

    scope = {"post": READ}

    async def post(self, ref: str, session_id: str) -> None:
        form = self.form_sent()
        await self.form(ref, session_id, errors=form.problems())
