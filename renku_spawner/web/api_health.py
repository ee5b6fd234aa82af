"""Whether all that Renku needs answers, for programs that watch over hubs."""

from __future__ import annotations

from tornado.web import HTTPError

from .. import neighbours
from ..domain.errors import Unavailable
from . import reading
from .answer_health import HealthAnswer, NeighbourAnswer
from .base_api import RenkuAPIHandler
from .operations import Operation
from .scopes import ADMIN, ANYBODY


class Health(RenkuAPIHandler):
    """Answered from memory: whoever asks, however often, makes nobody else be asked.

    A neighbour that is away is no reason to take the hub from its people, who have the rest of it and a page that says
    so: that is 200. Without its database there is nothing to serve: 503.
    """

    calls = {
        "get": Operation(
            summary="Whether all that Renku needs answers", scope=ANYBODY, answer=HealthAnswer, errors=(503,)
        )
    }

    async def admit(self) -> None:
        """Nobody need be logged in; which neighbours there are is told to admins only."""
        if self.request.method.lower() not in self.calls:
            raise HTTPError(405)
        reading.check_query(self.request.query_arguments)

    async def get(self) -> None:
        found = neighbours.of(self.parts, self.settings["app"].spawner_class)
        detailed = self.has_scope(ADMIN)
        self.answer(_answer(found, self.parts.health.refused_settings, detailed=detailed))


def _answer(found: list[neighbours.Neighbour], refused: str | None, *, detailed: bool) -> HealthAnswer:
    """Raises Unavailable: without a database."""
    away = {each.kind for each in found if each.away_since}
    if "database" in away:
        raise Unavailable("The database does not answer.", retry_after=5, code="database_away")
    return HealthAnswer(
        status="degraded" if away else "ok",
        neighbours=[NeighbourAnswer(**vars(each)) for each in found] if detailed else None,
        refused_settings=refused if detailed else None,
    )
