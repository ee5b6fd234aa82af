"""API of managed environments: list the offered ones, and administer all of them."""

from __future__ import annotations

from ...domain.environments import EnvironmentState
from ...domain.errors import InvalidInputError
from ...hub.scopes import ADMIN_SCOPE, READ_SCOPE
from ...usecases.environments import (
    add_managed_environment,
    change_managed_environment,
    list_managed_environments,
    list_offered_environments,
    load_managed_environment_details,
    move_managed_environment,
    roll_back_managed_environment,
    set_managed_environment_state,
)
from ..answers import to_environment_answer, to_ready_made_answer
from ..base import RenkuAPIHandler
from ..operations import (
    AFTER_PARAMETER,
    KEYWORD_PARAMETER,
    LIMIT_PARAMETER,
    SEARCH_PARAMETER,
    STATE_PARAMETER,
    APIOperation,
)
from ..rate_limits import LimitedRequest, count_request
from ..security import require_scope
from ..sessions.schemas import EnvironmentList
from .schemas import (
    ArchiveBody,
    EnvironmentBody,
    EnvironmentChangeBody,
    MoveBody,
    ReadyMadeAnswer,
    RollBackBody,
    StateBody,
)


class EnvironmentListAPIHandler(RenkuAPIHandler):
    calls = {
        "get": APIOperation(
            summary="The ready-made environments that are offered; their admins may ask for those in another state",
            scope=READ_SCOPE,
            answer=EnvironmentList,
            query=(SEARCH_PARAMETER, KEYWORD_PARAMETER, STATE_PARAMETER, LIMIT_PARAMETER, AFTER_PARAMETER),
            errors=(422,),
        ),
        "post": APIOperation(
            summary="Add a ready-made environment",
            scope=ADMIN_SCOPE,
            body=EnvironmentBody,
            answer=ReadyMadeAnswer,
            statuses=(201,),
        ),
    }

    async def get(self) -> None:
        if self.get_search_text("state"):
            await self._write_environments_in_state(self.get_search_text("state"))
            return
        keyword = self.get_search_text("keyword") or None
        environments, _ = await list_offered_environments(
            self.context, self.person, keyword=keyword, search=self.get_search_text()
        )
        self.write_answer(
            EnvironmentList(
                items=[to_environment_answer(environment, environment.revision) for environment in environments]
            )
        )

    async def _write_environments_in_state(self, state: str) -> None:
        require_scope(self, ADMIN_SCOPE)
        keyword, after = self.get_search_text("keyword"), self.get_cursor()
        page = await list_managed_environments(
            self.context,
            states=_parse_environment_states(state),
            keyword=keyword or None,
            after=after,
            limit=self.get_limit(),
        )
        items = [to_environment_answer(item.environment, item.environment.revision) for item in page.items]
        following = self.build_next_url(page.next, state=state, keyword=keyword)
        self.write_answer(EnvironmentList(items=items, next=following))

    async def post(self) -> None:
        new = self.parse_body(EnvironmentBody).to_value()
        count_request(self.context, self.person.name, LimitedRequest.IMAGE_CHECK)
        made = await add_managed_environment(self.context, self.person, new)
        self.write_answer(to_ready_made_answer(await load_managed_environment_details(self.context, made.id)), 201)


def _parse_environment_states(said: str) -> list[EnvironmentState]:
    """Parse the `state` parameter: a state, or `all`. Raises InvalidInputError."""
    states = [state for state in EnvironmentState if said in (str(state), "all")]
    if not states:
        sentence = f"One of {', '.join(map(str, EnvironmentState))} and all, please."
        raise InvalidInputError(sentence, fields={"state": sentence})
    return states


class BaseEnvironmentAPIHandler(RenkuAPIHandler):
    async def write_environment_answer(self, id: str) -> None:
        self.write_answer(to_ready_made_answer(await load_managed_environment_details(self.context, id)))


class EnvironmentAPIHandler(BaseEnvironmentAPIHandler):
    calls = {
        "get": APIOperation(
            summary="A ready-made environment in any state, with its use and its history",
            scope=ADMIN_SCOPE,
            answer=ReadyMadeAnswer,
        ),
        "patch": APIOperation(
            summary="Change a ready-made environment that was added here",
            scope=ADMIN_SCOPE,
            body=EnvironmentChangeBody,
            answer=ReadyMadeAnswer,
            errors=(409,),
        ),
    }

    async def get(self, id: str) -> None:
        await self.write_environment_answer(id)

    async def patch(self, id: str) -> None:
        change = self.parse_body(EnvironmentChangeBody).to_value()
        count_request(self.context, self.person.name, LimitedRequest.IMAGE_CHECK)
        await change_managed_environment(self.context, self.person, id, change)
        await self.write_environment_answer(id)


class ArchiveEnvironmentAPIHandler(BaseEnvironmentAPIHandler):
    calls = {
        "post": APIOperation(
            summary="Archive it: it is no longer offered, and nothing new starts from it",
            scope=ADMIN_SCOPE, body=ArchiveBody, answer=ReadyMadeAnswer, errors=(409,),
        )
    }  # fmt: skip

    async def post(self, id: str) -> None:
        await set_managed_environment_state(self.context, self.person, id, self.parse_body(ArchiveBody).to_value())
        await self.write_environment_answer(id)


class SetEnvironmentStateAPIHandler(BaseEnvironmentAPIHandler):
    calls = {
        "post": APIOperation(
            summary="Offer, deprecate or archive it", scope=ADMIN_SCOPE, body=StateBody, answer=ReadyMadeAnswer,
            errors=(409,),
        )
    }  # fmt: skip

    async def post(self, id: str) -> None:
        await set_managed_environment_state(self.context, self.person, id, self.parse_body(StateBody).to_value())
        await self.write_environment_answer(id)


class RollBackEnvironmentAPIHandler(BaseEnvironmentAPIHandler):
    calls = {
        "post": APIOperation(
            summary="Go back to an earlier revision, as a new revision that runs the same",
            scope=ADMIN_SCOPE,
            body=RollBackBody,
            answer=ReadyMadeAnswer,
            errors=(409,),
        )
    }

    async def post(self, id: str) -> None:
        body = self.parse_body(RollBackBody)
        await roll_back_managed_environment(self.context, self.person, id, body.revision, body.version)
        await self.write_environment_answer(id)


class MoveEnvironmentAPIHandler(BaseEnvironmentAPIHandler):
    calls = {
        "post": APIOperation(
            summary="Move it before or after its neighbour in the list", scope=ADMIN_SCOPE, body=MoveBody,
            answer=ReadyMadeAnswer, errors=(409,),
        )
    }  # fmt: skip

    async def post(self, id: str) -> None:
        await move_managed_environment(self.context, self.person, id, up=self.parse_body(MoveBody).to == "up")
        await self.write_environment_answer(id)
