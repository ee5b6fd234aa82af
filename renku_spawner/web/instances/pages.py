"""Page handler that keeps an idle session awake."""

from __future__ import annotations

from collections.abc import Mapping

from ...hub.scopes import LAUNCH_SCOPE, READ_SCOPE
from ...usecases.idle import keep_instance_awake, predict_pause
from ...usecases.instances import load_owned_instance
from ..forms import SessionActionForm
from ..my_sessions import BaseInstanceHandler
from .views import build_keep_awake_view


class KeepAwakeHandler(BaseInstanceHandler):
    scope = {"get": READ_SCOPE, "post": LAUNCH_SCOPE}

    def get_page_url(self, session_id: str) -> str:
        return self.urls.instance_action(session_id, "keep-awake")

    async def render_form(self, session_id: str, errors: Mapping[str, str]) -> None:
        owned = await load_owned_instance(self.context, self.person, session_id)
        outlook = predict_pause(self.context, owned.instance)
        view = build_keep_awake_view(owned, outlook, self.context.policy, self.context.now())
        self.write_page(
            "renku_keep_awake.html", "sessions", errors=errors, action=self.get_page_url(session_id), **view
        )

    async def get(self, session_id: str) -> None:
        await self.render_form(session_id, errors={})

    async def post(self, session_id: str) -> None:
        seconds = self.parse_form(SessionActionForm).parse_awake_seconds()
        await keep_instance_awake(self.context, self.person, session_id, seconds=seconds)
        await self.redirect_to_origin(session_id)
