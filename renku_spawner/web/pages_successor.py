"""Changing a session to the environment that its admins offer in place of one on its way out."""

from __future__ import annotations

from collections.abc import Mapping

from ..domain.access import Action
from ..domain.errors import RenkuError, not_found
from ..domain.sighting import stored
from ..services import installed, looks, succession
from . import views_installed, views_successor
from .forms_environment import SuccessorForm
from .pages_sessions import OfSession
from .scopes import READ, WRITE


class SessionSuccessor(OfSession):
    scope = {"get": READ, "post": WRITE}

    async def form(self, ref: str, session_id: str, errors: Mapping[str, str]) -> None:
        project = await self.project(ref, Action.WRITE)
        found = await looks.session(self.parts, self.person, project.id, session_id, to_change=True)
        heir = found.view.successor
        if heir is None:
            raise not_found()
        known = await installed.look(self.parts, found.view.session, stored(heir.revision))
        self.show(
            "renku_session_successor.html", "projects", errors=errors,
            difference=views_installed.difference(known), **views_successor.change(found, heir, self.frame),
        )  # fmt: skip

    async def again(self, problem: RenkuError, *args: str) -> bool:
        """Where nothing is offered there is no form either."""
        view = await looks.view(self.parts, self.person, self.ref(args[0]), args[1])
        return view.successor is not None and await super().again(problem, *args)

    async def get(self, ref: str, session_id: str) -> None:
        await self.form(ref, session_id, errors={})

    async def post(self, ref: str, session_id: str) -> None:
        seen = self.filled(SuccessorForm).seen_heir()
        await succession.take(self.parts, self.person, self.ref(ref), session_id, seen)
        self.go(self.urls.session(ref, session_id), "succeeded")
