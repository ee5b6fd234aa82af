"""The API of ready-made environments: what is offered to all, and what their admins do with them."""

from __future__ import annotations

from ..domain.environment import State
from ..domain.errors import Invalid
from ..services import curation, environments, ready_made, succession
from . import answers, answers_environment, entrance, throttle
from .answer_models import EnvironmentList, SessionAnswer
from .answer_models_environment import ReadyMadeAnswer
from .api_sessions import OfSession
from .base_api import RenkuAPIHandler
from .bodies_environment import (
    ArchiveBody,
    EnvironmentBody,
    EnvironmentChangeBody,
    MoveBody,
    RollBackBody,
    StateBody,
    SuccessorBody,
)
from .operations import AFTER, KEYWORD, LIMIT, SEARCH, STATE, Operation
from .scopes import ADMIN, READ, WRITE


class Environments(RenkuAPIHandler):
    calls = {
        "get": Operation(
            summary="The ready-made environments that are offered; their admins may ask for those in another state",
            scope=READ, answer=EnvironmentList, query=(SEARCH, KEYWORD, STATE, LIMIT, AFTER), errors=(422,),
        ),
        "post": Operation(
            summary="Add a ready-made environment", scope=ADMIN, body=EnvironmentBody, answer=ReadyMadeAnswer,
            statuses=(201,),
        ),
    }  # fmt: skip

    async def get(self) -> None:
        if self.search("state"):
            await self._in_state(self.search("state"))
            return
        keyword = self.search("keyword") or None
        found, _ = await environments.offered(self.parts, self.person, keyword=keyword, search=self.search())
        self.answer(EnvironmentList(items=[answers.environment(each, each.revision) for each in found]))

    async def _in_state(self, state: str) -> None:
        entrance.require_scope(self, ADMIN)
        keyword, after = self.search("keyword"), self.after()
        page = await ready_made.listed(
            self.parts, states=_states(state), keyword=keyword or None, after=after, limit=self.limit()
        )
        items = [answers.environment(each.environment, each.environment.revision) for each in page.items]
        following = self.following(page.next, state=state, keyword=keyword)
        self.answer(EnvironmentList(items=items, next=following))

    async def post(self) -> None:
        new = self.body(EnvironmentBody).value()
        throttle.count_check(self.parts, self.person.name)
        made = await curation.add(self.parts, self.person, new)
        self.answer(answers_environment.ready_made(await ready_made.one(self.parts, made.id)), 201)


def _states(said: str) -> list[State]:
    """Raises Invalid."""
    states = [state for state in State if said in (str(state), "all")]
    if not states:
        sentence = f"One of {', '.join(map(str, State))} and all, please."
        raise Invalid(sentence, fields={"state": sentence})
    return states


class OfEnvironment(RenkuAPIHandler):
    async def tell(self, id: str) -> None:
        self.answer(answers_environment.ready_made(await ready_made.one(self.parts, id)))


class Environment(OfEnvironment):
    calls = {
        "get": Operation(
            summary="A ready-made environment in any state, with its use and its history", scope=ADMIN,
            answer=ReadyMadeAnswer,
        ),
        "patch": Operation(
            summary="Change a ready-made environment that was added here", scope=ADMIN, body=EnvironmentChangeBody,
            answer=ReadyMadeAnswer, errors=(409,),
        ),
    }  # fmt: skip

    async def get(self, id: str) -> None:
        await self.tell(id)

    async def patch(self, id: str) -> None:
        change = self.body(EnvironmentChangeBody).value()
        throttle.count_check(self.parts, self.person.name)
        await curation.change(self.parts, self.person, id, change)
        await self.tell(id)


class Archive(OfEnvironment):
    calls = {
        "post": Operation(
            summary="Offer it no more: nothing new starts from it", scope=ADMIN, body=ArchiveBody,
            answer=ReadyMadeAnswer, errors=(409,),
        )
    }  # fmt: skip

    async def post(self, id: str) -> None:
        await curation.set_state(self.parts, self.person, id, self.body(ArchiveBody).value())
        await self.tell(id)


class Life(OfEnvironment):
    calls = {
        "post": Operation(
            summary="Offer, deprecate or archive it", scope=ADMIN, body=StateBody, answer=ReadyMadeAnswer,
            errors=(409,),
        )
    }  # fmt: skip

    async def post(self, id: str) -> None:
        await curation.set_state(self.parts, self.person, id, self.body(StateBody).value())
        await self.tell(id)


class RollBack(OfEnvironment):
    calls = {
        "post": Operation(
            summary="Go back to an earlier revision, by a new one that runs the same", scope=ADMIN, body=RollBackBody,
            answer=ReadyMadeAnswer, errors=(409,),
        )
    }  # fmt: skip

    async def post(self, id: str) -> None:
        wanted = self.body(RollBackBody)
        await curation.roll_back(self.parts, self.person, id, wanted.revision, wanted.version)
        await self.tell(id)


class Move(OfEnvironment):
    calls = {
        "post": Operation(
            summary="Let it change places with the one before or after it", scope=ADMIN, body=MoveBody,
            answer=ReadyMadeAnswer, errors=(409,),
        )
    }  # fmt: skip

    async def post(self, id: str) -> None:
        await curation.move(self.parts, self.person, id, up=self.body(MoveBody).to == "up")
        await self.tell(id)


class Successor(OfSession):
    calls = {
        "post": Operation(
            summary="Change a session to the successor of its environment", scope=WRITE, body=SuccessorBody,
            answer=SessionAnswer, errors=(409,),
        )
    }  # fmt: skip

    async def post(self, ref: str, session_id: str) -> None:
        seen = self.body(SuccessorBody).value()
        await succession.take(self.parts, self.person, self.ref(ref), session_id, seen)
        await self.tell_session(ref, session_id)
