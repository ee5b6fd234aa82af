"""The API of a project's sessions, and of one's own instance of each."""

from __future__ import annotations

from ..domain.instance import Status
from ..services import copying, looks, projects, removal, revisions, sessions
from . import actions, answers, reading, throttle
from .answer_models import RevisionList, SessionAnswer, SessionList
from .answer_models_instance import InstanceAnswer, LogAnswer
from .base_api import RenkuAPIHandler
from .bodies import Nothing, RemovalBody, SessionBody, SessionChangeBody, StartBody
from .bodies_copy import CopyBody
from .bodies_image import DismissalBody, RevisionBody
from .operations import AFTER, LIMIT, LINES, SEARCH, Operation
from .scopes import LAUNCH, READ, WRITE


class OfSession(RenkuAPIHandler):
    """Something with one session of a project."""

    async def tell_session(self, ref: str, session_id: str, status: int = 200) -> None:
        project = await projects.show(self.parts, self.person, self.ref(ref))
        view = await looks.view(self.parts, self.person, project.id, session_id)
        self.answer(self.answers.session(view, default=project.default_session), status)

    async def view(self, ref: str, session_id: str) -> looks.SessionView:
        return await looks.view(self.parts, self.person, self.ref(ref), session_id)


class Sessions(OfSession):
    calls = {
        "get": Operation(
            summary="The sessions of a project",
            scope=READ, answer=SessionList, query=(SEARCH, LIMIT, AFTER), errors=(422,),
        ),
        "post": Operation(
            summary="Add a ready-made environment or an image to a project as a session",
            scope=WRITE, body=SessionBody, answer=SessionAnswer, statuses=(201,), errors=(409,),
        ),
    }  # fmt: skip

    async def get(self, ref: str) -> None:
        search = self.search()
        found = await looks.project(
            self.parts, self.person, self.ref(ref), after=self.after(), limit=self.limit(), search=search
        )
        items = [self.answers.session(view, default=found.project.default_session) for view in found.sessions]
        self.answer(SessionList(items=items, next=self.following(found.next, search=search)))

    async def post(self, ref: str) -> None:
        new = self.body(SessionBody).value()
        if new.image is not None:
            throttle.count_check(self.parts, self.person.name)
        made = await sessions.add(self.parts, self.person, self.ref(ref), new)
        self.set_header("Location", f"{self.request.path}/{made.id}")
        await self.tell_session(ref, made.id, 201)


class Session(OfSession):
    calls = {
        "get": Operation(summary="A session", scope=READ, answer=SessionAnswer),
        "patch": Operation(
            summary="Change a session", scope=WRITE, body=SessionChangeBody, answer=SessionAnswer, errors=(409,)
        ),
        "delete": Operation(
            summary="Remove a session from its project", scope=WRITE, body=RemovalBody, statuses=(204,)
        ),
    }

    async def get(self, ref: str, session_id: str) -> None:
        await self.tell_session(ref, session_id)

    async def patch(self, ref: str, session_id: str) -> None:
        present = (await self.view(ref, session_id)).session.configuration
        change = self.body(SessionChangeBody).value(present)
        await actions.change(self, self.ref(ref), session_id, change)
        await self.tell_session(ref, session_id)

    async def delete(self, ref: str, session_id: str) -> None:
        heir = self.body(RemovalBody).new_default
        await removal.remove(self.parts, self.person, self.ref(ref), session_id, new_default=heir)
        self.set_status(204)


class Start(OfSession):
    calls = {
        "post": Operation(
            summary="Start or resume your instance: 202 while that is under way, 200 when it runs",
            scope=LAUNCH, body=StartBody, answer=InstanceAnswer, statuses=(200, 202), errors=(409, 503),
        )
    }  # fmt: skip

    async def post(self, ref: str, session_id: str) -> None:
        wanted = self.body(StartBody)
        await self.view(ref, session_id)
        chosen, empty, without = wanted.resource_class, wanted.empty_disk, wanted.without_storages
        await actions.start(
            self, session_id, chosen, empty_disk=empty, without=without,
            seen=wanted.launch_version, version=wanted.version,
        )  # fmt: skip
        view = await self.view(ref, session_id)
        self.answer(self.answers.instance(view.instance, view.usual), 200 if view.status is Status.RUNNING else 202)


class Pause(OfSession):
    calls = {
        "post": Operation(
            summary="Pause your instance; its files stay", scope=LAUNCH, body=Nothing, answer=InstanceAnswer,
            statuses=(202,),
        )
    }  # fmt: skip

    async def post(self, ref: str, session_id: str) -> None:
        self.body(Nothing)
        await self.view(ref, session_id)
        await actions.pause(self, session_id)
        self.answer(self.answers.instance((await self.view(ref, session_id)).instance), 202)


class Instance(OfSession):
    calls = {
        "delete": Operation(
            summary="Delete your instance and its files for good; 202 while that goes on by itself",
            scope=LAUNCH, body=Nothing, answer=InstanceAnswer, statuses=(202, 204),
        )
    }  # fmt: skip

    async def delete(self, ref: str, session_id: str) -> None:
        self.body(Nothing)
        await self.view(ref, session_id)
        self.answer_deletion(await actions.delete(self, session_id), (await self.view(ref, session_id)).instance)


class Logs(OfSession):
    calls = {
        "get": Operation(
            summary="The end of what your instance prints", scope=READ, answer=LogAnswer, query=(LINES,), errors=(422,)
        )
    }

    async def get(self, ref: str, session_id: str) -> None:
        count = reading.limit(self.request.query_arguments, name="lines", usual=200, most=1000)
        view = await self.view(ref, session_id)
        log = await actions.log(self, session_id) if view.instance else ""
        self.answer(LogAnswer(lines=log.splitlines()[-count:]))


class Revisions(OfSession):
    calls = {"get": Operation(summary="The history of its environment, newest first", scope=READ, answer=RevisionList)}

    async def get(self, ref: str, session_id: str) -> None:
        found = await revisions.history(self.parts, self.person, self.ref(ref), session_id)
        self.answer(RevisionList(items=[answers.revision(each) for each in found]))


class Dismissal(OfSession):
    calls = {
        "post": Operation(
            summary="Say no more of a newer image, until there is another one",
            scope=WRITE, body=DismissalBody, answer=SessionAnswer,
        )
    }  # fmt: skip

    async def post(self, ref: str, session_id: str) -> None:
        digest = self.body(DismissalBody).digest
        await revisions.dismiss(self.parts, self.person, self.ref(ref), session_id, digest)
        await self.tell_session(ref, session_id)


class Revision(OfSession):
    calls = {
        "post": Operation(
            summary="Pin the session to another revision of its environment, or to a new one with another own image",
            scope=WRITE, body=RevisionBody, answer=SessionAnswer, errors=(409, 429),
        )
    }  # fmt: skip

    async def post(self, ref: str, session_id: str) -> None:
        body = self.body(RevisionBody)
        await actions.revise(self, self.ref(ref), session_id, body)
        await self.tell_session(ref, session_id)


class Copy(OfSession):
    calls = {
        "post": Operation(
            summary="Copy a session to a project that you may change",
            scope=WRITE, body=CopyBody, answer=SessionAnswer, statuses=(201,), errors=(409,),
        )
    }  # fmt: skip

    async def post(self, ref: str, session_id: str) -> None:
        said = self.body(CopyBody)
        made = await copying.copy(
            self.parts, self.person, self.ref(ref), session_id, self.ref(said.project), title=said.title,
            default=said.default, version=said.version,
        )  # fmt: skip
        self.set_header("Location", f"{self.urls.base}api/renku/projects/{made.project}/sessions/{made.id}")
        await self.tell_session(made.project, made.id, 201)
