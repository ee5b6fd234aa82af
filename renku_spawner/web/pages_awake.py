"""The page on which people keep a session awake that nobody uses."""

from __future__ import annotations

from collections.abc import Mapping

from ..services import idling, instances, use
from . import views_idle
from .forms import ActionForm
from .pages_mine import OfInstance
from .scopes import LAUNCH, READ


class InstanceAwake(OfInstance):
    scope = {"get": READ, "post": LAUNCH}

    def page(self, session_id: str) -> str:
        return self.urls.instance(session_id, "keep-awake")

    async def form(self, session_id: str, errors: Mapping[str, str]) -> None:
        found = await instances.whole(self.parts, self.person, session_id)
        outlook = idling.outlook(self.parts, found.instance)
        view = views_idle.keep_awake(found, outlook, self.parts.policy, self.parts.now())
        self.show("renku_keep_awake.html", "sessions", errors=errors, action=self.page(session_id), **view)

    async def get(self, session_id: str) -> None:
        await self.form(session_id, errors={})

    async def post(self, session_id: str) -> None:
        seconds = self.filled(ActionForm).awake_seconds()
        await use.keep_awake(self.parts, self.person, session_id, seconds=seconds)
        await self.returns(session_id)
