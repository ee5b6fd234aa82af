"""API handlers for the sessions of a project, and for exporting and applying them as a document."""

from __future__ import annotations

import asyncio

from ...domain.instances import InstanceStatus
from ...domain.session_files import DocumentPart
from ...hub.scopes import LAUNCH_SCOPE, READ_SCOPE, WRITE_SCOPE
from ...usecases.projects import get_project
from ...usecases.session_files import export_session_file
from ...usecases.session_queries import SessionView, load_project_page, load_session_view
from ...usecases.sessions import add_session, copy_session, dismiss_image_update, list_session_revisions, remove_session
from ..answers import to_revision_answer
from ..base import RenkuAPIHandler
from ..images.schemas import DismissalBody, RevisionBody
from ..instances.actions import (
    delete_owned_instance,
    edit_session,
    pause_owned_instance,
    pin_requested_revision,
    read_owned_instance_log,
    start_owned_instance,
)
from ..instances.schemas import InstanceAnswer, LogAnswer
from ..operations import (
    AFTER_PARAMETER,
    DRY_RUN_PARAMETER,
    LIMIT_PARAMETER,
    LINES_PARAMETER,
    PRUNE_PARAMETER,
    SEARCH_PARAMETER,
    APIOperation,
)
from ..rate_limits import LimitedRequest, count_request
from ..request_parsing import parse_limit
from ..schemas import EmptyBody, RemovalBody, SessionBody, SessionChangeBody, StartBody
from ..session_files import (
    JSON_CONTENT_TYPE,
    YAML_CONTENT_TYPE,
    apply_requested_session_file,
    parse_query_flag,
    plan_requested_session_file,
    read_session_file_body,
    render_plan_answer_json,
    render_session_file,
)
from .schemas import CopyBody, PlanAnswer, RevisionList, SessionAnswer, SessionList


class ExportSessionsAPIHandler(RenkuAPIHandler):
    calls = {
        "get": APIOperation(
            summary="The sessions of a project as a document, which can be applied to it or to another",
            scope=READ_SCOPE, answer=DocumentPart, yaml=True,
        )
    }  # fmt: skip

    async def get(self, ref: str) -> None:
        _, document = await export_session_file(self.context, self.person, self.check_project_ref(ref))
        kind, text = await render_session_file(document, self.request.headers.get("Accept", ""))
        self.set_header("Content-Type", kind)
        self.set_header("Vary", "Accept")
        self.finish(text)


class ApplySessionsAPIHandler(RenkuAPIHandler):
    kinds = (JSON_CONTENT_TYPE, YAML_CONTENT_TYPE)
    calls = {
        "post": APIOperation(
            summary="Make a project's sessions what a document says; a second time changes nothing",
            scope=WRITE_SCOPE,
            body=DocumentPart,
            answer=PlanAnswer,
            query=(DRY_RUN_PARAMETER, PRUNE_PARAMETER),
            errors=(409, 503),
            yaml=True,
        )
    }

    async def post(self, ref: str) -> None:
        arguments = self.request.query_arguments
        dry, prune = parse_query_flag(arguments, "dry_run"), parse_query_flag(arguments, "prune")
        document = await read_session_file_body(self.request.headers.get("Content-Type", ""), self.request.body)
        do = plan_requested_session_file if dry else apply_requested_session_file
        planned = await do(self, self.check_project_ref(ref), document, prune=prune)
        self.finish(await asyncio.to_thread(render_plan_answer_json, planned, applied=not dry))


class BaseSessionAPIHandler(RenkuAPIHandler):
    """Base class of operations on one session of a project."""

    async def write_session_answer(self, ref: str, session_id: str, status: int = 200) -> None:
        project = await get_project(self.context, self.person, self.check_project_ref(ref))
        view = await load_session_view(self.context, self.person, project.id, session_id)
        self.write_answer(self.answer_builder.build_session_answer(view, default=project.default_session), status)

    async def load_session_view(self, ref: str, session_id: str) -> SessionView:
        return await load_session_view(self.context, self.person, self.check_project_ref(ref), session_id)


class SessionListAPIHandler(BaseSessionAPIHandler):
    calls = {
        "get": APIOperation(
            summary="The sessions of a project",
            scope=READ_SCOPE,
            answer=SessionList,
            query=(SEARCH_PARAMETER, LIMIT_PARAMETER, AFTER_PARAMETER),
            errors=(422,),
        ),
        "post": APIOperation(
            summary="Add a ready-made environment or an image to a project as a session",
            scope=WRITE_SCOPE,
            body=SessionBody,
            answer=SessionAnswer,
            statuses=(201,),
            errors=(409,),
        ),
    }

    async def get(self, ref: str) -> None:
        search = self.get_search_text()
        page = await load_project_page(
            self.context,
            self.person,
            self.check_project_ref(ref),
            after=self.get_cursor(),
            limit=self.get_limit(),
            search=search,
        )
        items = [
            self.answer_builder.build_session_answer(view, default=page.project.default_session)
            for view in page.sessions
        ]
        self.write_answer(SessionList(items=items, next=self.build_next_url(page.next, search=search)))

    async def post(self, ref: str) -> None:
        new = self.parse_body(SessionBody).to_new_session()
        if new.image is not None:
            count_request(self.context, self.person.name, LimitedRequest.IMAGE_CHECK)
        made = await add_session(self.context, self.person, self.check_project_ref(ref), new)
        self.set_header("Location", f"{self.request.path}/{made.id}")
        await self.write_session_answer(ref, made.id, 201)


class SessionAPIHandler(BaseSessionAPIHandler):
    calls = {
        "get": APIOperation(summary="A session", scope=READ_SCOPE, answer=SessionAnswer),
        "patch": APIOperation(
            summary="Change a session", scope=WRITE_SCOPE, body=SessionChangeBody, answer=SessionAnswer, errors=(409,)
        ),
        "delete": APIOperation(
            summary="Remove a session from its project", scope=WRITE_SCOPE, body=RemovalBody, statuses=(204,)
        ),
    }

    async def get(self, ref: str, session_id: str) -> None:
        await self.write_session_answer(ref, session_id)

    async def patch(self, ref: str, session_id: str) -> None:
        present = (await self.load_session_view(ref, session_id)).session.configuration
        change = self.parse_body(SessionChangeBody).to_session_change(present)
        await edit_session(self, self.check_project_ref(ref), session_id, change)
        await self.write_session_answer(ref, session_id)

    async def delete(self, ref: str, session_id: str) -> None:
        heir = self.parse_body(RemovalBody).new_default
        await remove_session(self.context, self.person, self.check_project_ref(ref), session_id, new_default=heir)
        self.set_status(204)


class StartSessionAPIHandler(BaseSessionAPIHandler):
    calls = {
        "post": APIOperation(
            summary="Start or resume your instance: 202 while that is under way, 200 when it runs",
            scope=LAUNCH_SCOPE, body=StartBody, answer=InstanceAnswer, statuses=(200, 202), errors=(409, 503),
        )
    }  # fmt: skip

    async def post(self, ref: str, session_id: str) -> None:
        body = self.parse_body(StartBody)
        await self.load_session_view(ref, session_id)
        chosen, empty, without = body.resource_class, body.empty_disk, body.without_storages
        await start_owned_instance(
            self, session_id, chosen, empty_disk=empty, without=without,
            seen=body.launch_version, version=body.version,
        )  # fmt: skip
        view = await self.load_session_view(ref, session_id)
        self.write_answer(
            self.answer_builder.build_instance_answer(view.instance, view.usual),
            200 if view.status is InstanceStatus.RUNNING else 202,
        )


class PauseSessionAPIHandler(BaseSessionAPIHandler):
    calls = {
        "post": APIOperation(
            summary="Pause your instance; its files stay", scope=LAUNCH_SCOPE, body=EmptyBody, answer=InstanceAnswer,
            statuses=(202,),
        )
    }  # fmt: skip

    async def post(self, ref: str, session_id: str) -> None:
        self.parse_body(EmptyBody)
        await self.load_session_view(ref, session_id)
        await pause_owned_instance(self, session_id)
        self.write_answer(
            self.answer_builder.build_instance_answer((await self.load_session_view(ref, session_id)).instance), 202
        )


class SessionInstanceAPIHandler(BaseSessionAPIHandler):
    calls = {
        "delete": APIOperation(
            summary="Delete your instance and its files for good; 202 while that goes on by itself",
            scope=LAUNCH_SCOPE, body=EmptyBody, answer=InstanceAnswer, statuses=(202, 204),
        )
    }  # fmt: skip

    async def delete(self, ref: str, session_id: str) -> None:
        self.parse_body(EmptyBody)
        await self.load_session_view(ref, session_id)
        self.write_deletion_answer(
            await delete_owned_instance(self, session_id), (await self.load_session_view(ref, session_id)).instance
        )


class SessionLogAPIHandler(BaseSessionAPIHandler):
    calls = {
        "get": APIOperation(
            summary="The end of what your instance prints",
            scope=READ_SCOPE,
            answer=LogAnswer,
            query=(LINES_PARAMETER,),
            errors=(422,),
        )
    }

    async def get(self, ref: str, session_id: str) -> None:
        count = parse_limit(self.request.query_arguments, name="lines", usual=200, most=1000)
        view = await self.load_session_view(ref, session_id)
        log = await read_owned_instance_log(self, session_id) if view.instance else ""
        self.write_answer(LogAnswer(lines=log.splitlines()[-count:]))


class SessionRevisionListAPIHandler(BaseSessionAPIHandler):
    calls = {
        "get": APIOperation(
            summary="The history of its environment, newest first", scope=READ_SCOPE, answer=RevisionList
        )
    }

    async def get(self, ref: str, session_id: str) -> None:
        revisions = await list_session_revisions(self.context, self.person, self.check_project_ref(ref), session_id)
        self.write_answer(RevisionList(items=[to_revision_answer(revision) for revision in revisions]))


class DismissSessionUpdateAPIHandler(BaseSessionAPIHandler):
    calls = {
        "post": APIOperation(
            summary="Dismiss a newer image until there is another one",
            scope=WRITE_SCOPE, body=DismissalBody, answer=SessionAnswer,
        )
    }  # fmt: skip

    async def post(self, ref: str, session_id: str) -> None:
        digest = self.parse_body(DismissalBody).digest
        await dismiss_image_update(self.context, self.person, self.check_project_ref(ref), session_id, digest)
        await self.write_session_answer(ref, session_id)


class PinSessionRevisionAPIHandler(BaseSessionAPIHandler):
    calls = {
        "post": APIOperation(
            summary="Pin the session to another revision, or change its environment, image or commit",
            scope=WRITE_SCOPE, body=RevisionBody, answer=SessionAnswer, errors=(409, 429),
        )
    }  # fmt: skip

    async def post(self, ref: str, session_id: str) -> None:
        body = self.parse_body(RevisionBody)
        await pin_requested_revision(self, self.check_project_ref(ref), session_id, body)
        await self.write_session_answer(ref, session_id)


class CopySessionAPIHandler(BaseSessionAPIHandler):
    calls = {
        "post": APIOperation(
            summary="Copy a session to a project that you may change",
            scope=WRITE_SCOPE, body=CopyBody, answer=SessionAnswer, statuses=(201,), errors=(409,),
        )
    }  # fmt: skip

    async def post(self, ref: str, session_id: str) -> None:
        body = self.parse_body(CopyBody)
        made = await copy_session(
            self.context,
            self.person,
            self.check_project_ref(ref),
            session_id,
            self.check_project_ref(body.project),
            title=body.title,
            default=body.default,
            version=body.version,
        )
        self.set_header("Location", f"{self.urls.base}api/renku/projects/{made.project}/sessions/{made.id}")
        await self.write_session_answer(made.project, made.id, 201)
