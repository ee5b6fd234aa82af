"""The API by which people keep a session awake that nobody uses."""

from __future__ import annotations

from ..services import use
from .answer_models_instance import InstanceAnswer
from .base_api import RenkuAPIHandler
from .bodies import AwakeBody
from .operations import Operation
from .scopes import LAUNCH


class KeepAwake(RenkuAPIHandler):
    calls = {
        "post": Operation(
            summary="Keep your instance awake although nobody uses it", scope=LAUNCH, body=AwakeBody,
            answer=InstanceAnswer, errors=(409, 422),
        )
    }  # fmt: skip

    async def post(self, session_id: str) -> None:
        body = self.body(AwakeBody)
        parts, seconds, until = self.parts, body.seconds, body.until
        kept = await use.keep_awake(parts, self.person, session_id, seconds=seconds, until=until)
        self.answer(self.answers.instance(kept))
