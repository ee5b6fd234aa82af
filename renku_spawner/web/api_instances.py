"""The API of one's own instances: no right in their projects is needed (decision 15)."""

from __future__ import annotations

from ..domain.mine import sort_of
from ..services import data, instances, mine, sessions
from . import actions, answers_contents, downloading, reading, server_files
from .answer_models import SessionAnswer
from .answer_models_contents import ContentsAnswer
from .answer_models_instance import InstanceAnswer, InstanceList, LogAnswer
from .api_sessions import OfSession
from .base_api import RenkuAPIHandler
from .bodies import Nothing
from .operations import AFTER, LIMIT, LINES, SORT, Operation
from .scopes import LAUNCH, READ


class Mine(RenkuAPIHandler):
    calls = {
        "get": Operation(
            summary="Your instances in all projects",
            scope=READ,
            answer=InstanceList,
            query=(SORT, LIMIT, AFTER),
            errors=(422,),
        )
    }

    async def get(self) -> None:
        sort, limit = sort_of(self.search("sort")), self.limit()
        found, following = await mine.page(self.parts, self.person, sort, after=self.after(), limit=limit)
        items = [self.answers.mine(each) for each in found]
        self.answer(InstanceList(items=items, next=self.following(following, sort=self.search("sort"))))


class Session(OfSession):
    calls = {
        "get": Operation(summary="A session by its id alone, of any project", scope=READ, answer=SessionAnswer),
    }

    async def get(self, session_id: str) -> None:
        await self.tell_session(await sessions.project_of(self.parts, session_id), session_id)


class Contents(RenkuAPIHandler):
    calls = {
        "get": Operation(
            summary="What lies in the files of your instance, and what of it is nowhere else",
            scope=READ, answer=ContentsAnswer,
        )
    }  # fmt: skip

    async def get(self, session_id: str) -> None:
        instance = await instances.one(self.parts, self.person, session_id)
        self.answer(answers_contents.contents(await server_files.contents(self.current_user, instance)))


class Pause(RenkuAPIHandler):
    calls = {
        "post": Operation(
            summary="Pause your instance; its files stay", scope=LAUNCH, body=Nothing, answer=InstanceAnswer,
            statuses=(202,),
        )
    }  # fmt: skip

    async def post(self, session_id: str) -> None:
        self.body(Nothing)
        await instances.one(self.parts, self.person, session_id)
        await actions.pause(self, session_id)
        self.answer(self.answers.instance(await instances.one(self.parts, self.person, session_id)), 202)


class Files(RenkuAPIHandler):
    calls = {
        "get": Operation(
            summary="All the files of your instance while it rests, as one; a token needs the right to launch",
            scope=LAUNCH, file="application/zstd", errors=(409, 503),
        )
    }  # fmt: skip

    async def get(self, session_id: str) -> None:
        await downloading.send(self, session_id)


class Restore(RenkuAPIHandler):
    calls = {
        "post": Operation(
            summary="Take your data out of the trash", scope=LAUNCH, body=Nothing, answer=InstanceAnswer
        )
    }  # fmt: skip

    async def post(self, session_id: str) -> None:
        self.body(Nothing)
        await instances.one(self.parts, self.person, session_id)
        await data.bring_back(self.parts, self.person.name, session_id)
        self.answer(self.answers.instance(await instances.one(self.parts, self.person, session_id)))


class Instance(RenkuAPIHandler):
    calls = {
        "delete": Operation(
            summary="Delete your instance and its files for good; 202 while that goes on by itself",
            scope=LAUNCH, body=Nothing, answer=InstanceAnswer, statuses=(202, 204),
        )
    }  # fmt: skip

    async def delete(self, session_id: str) -> None:
        self.body(Nothing)
        await instances.one(self.parts, self.person, session_id)
        self.answer_deletion(
            await actions.delete(self, session_id), await instances.one(self.parts, self.person, session_id)
        )


class Logs(RenkuAPIHandler):
    calls = {
        "get": Operation(
            summary="The end of what your instance prints", scope=READ, answer=LogAnswer, query=(LINES,), errors=(422,)
        )
    }

    async def get(self, session_id: str) -> None:
        count = reading.limit(self.request.query_arguments, name="lines", usual=200, most=1000)
        log = await actions.log(self, session_id)
        self.answer(LogAnswer(lines=log.splitlines()[-count:]))
