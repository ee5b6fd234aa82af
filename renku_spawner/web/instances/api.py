"""API handlers for a user's own instances, and for running sessions that call with their own token.

They require no role in the project."""

from __future__ import annotations

from pydantic import Field

from ...domain.downloads import ARCHIVE_FORMATS
from ...domain.errors import ForbiddenError
from ...domain.instances import parse_instance_sort
from ...hub.scopes import GIT_SCOPE, LAUNCH_SCOPE, READ_SCOPE, SESSION_SCOPE
from ...hub.tokens import find_session_by_token
from ...lifecycle.data import restore_trashed_data
from ...usecases.git_credentials import GitCredentialRequest, issue_git_credential
from ...usecases.idle import (
    ActivityReport,
    get_next_report_seconds,
    keep_instance_awake,
    predict_pause,
    record_activity_report,
)
from ...usecases.instances import OwnedInstance, get_own_instance, list_my_sessions, load_owned_instance
from ...usecases.sessions import get_project_id_of_session
from ..answers import to_contents_answer
from ..base import RenkuAPIHandler
from ..formatting import format_pause_warning
from ..operations import AFTER_PARAMETER, LIMIT_PARAMETER, LINES_PARAMETER, SORT_PARAMETER, APIOperation
from ..rate_limits import LimitedRequest
from ..request_parsing import parse_limit
from ..schemas import AwakeBody, BaseAnswer, EmptyBody, ProjectedBody, body_of
from ..sessions.api import BaseSessionAPIHandler
from ..sessions.schemas import SessionAnswer
from .actions import delete_owned_instance, pause_owned_instance, read_owned_instance_log
from .files import load_instance_contents, send_files_archive
from .schemas import ContentsAnswer, InstanceAnswer, InstanceList, LogAnswer, OwnAnswer


class KeepAwakeAPIHandler(RenkuAPIHandler):
    calls = {
        "post": APIOperation(
            summary="Keep your instance awake while it is idle", scope=LAUNCH_SCOPE, body=AwakeBody,
            answer=InstanceAnswer, errors=(409, 422),
        )
    }  # fmt: skip

    async def post(self, session_id: str) -> None:
        body = self.parse_body(AwakeBody)
        context, seconds, until = self.context, body.seconds, body.until
        instance = await keep_instance_awake(context, self.person, session_id, seconds=seconds, until=until)
        self.write_answer(self.answer_builder.build_instance_answer(instance))


@body_of(
    GitCredentialRequest,
    protocol={"examples": ["https"]},
    host={"description": "With the port, if there is one", "examples": ["gitlab.example.org"]},
    path={"examples": ["astro/lab/spectra.git"]},
)
class GitAsked(ProjectedBody[GitCredentialRequest]):
    """A request of git for the credentials of a repository."""


class CredentialAnswer(BaseAnswer):
    username: str = Field(examples=["oauth2"])
    password: str = Field(repr=False, description="Your GitLab access token, good for some minutes at least")


class GitCredentialAPIHandler(RenkuAPIHandler):
    """Called by the git credential helper in sessions, `credential.sh`."""

    limited_request = LimitedRequest.GIT_CREDENTIAL
    calls = {
        "post": APIOperation(
            summary="A password for git inside a session, asked for with the session's own token",
            scope=GIT_SCOPE, body=GitAsked, answer=CredentialAnswer, errors=(422, 429, 503),
        )
    }  # fmt: skip

    async def post(self) -> None:
        request = self.parse_body(GitAsked).to_value()
        session_id = await find_session_by_token(self.current_user, self.get_auth_token())
        credential = await issue_git_credential(self.context, self.person, session_id, request)
        self.write_answer(CredentialAnswer(username=credential.username, password=credential.password))


class OwnedInstanceListAPIHandler(RenkuAPIHandler):
    calls = {
        "get": APIOperation(
            summary="Your instances in all projects",
            scope=READ_SCOPE,
            answer=InstanceList,
            query=(SORT_PARAMETER, LIMIT_PARAMETER, AFTER_PARAMETER),
            errors=(422,),
        )
    }

    async def get(self) -> None:
        sort, limit = parse_instance_sort(self.get_search_text("sort")), self.get_limit()
        instances, following = await list_my_sessions(
            self.context, self.person, sort, after=self.get_cursor(), limit=limit
        )
        items = [self.answer_builder.build_my_instance_answer(instance) for instance in instances]
        self.write_answer(
            InstanceList(items=items, next=self.build_next_url(following, sort=self.get_search_text("sort")))
        )


class SessionByIdAPIHandler(BaseSessionAPIHandler):
    calls = {
        "get": APIOperation(
            summary="A session by its id alone, of any project", scope=READ_SCOPE, answer=SessionAnswer
        ),
    }

    async def get(self, session_id: str) -> None:
        await self.write_session_answer(await get_project_id_of_session(self.context, session_id), session_id)


class InstanceContentsAPIHandler(RenkuAPIHandler):
    calls = {
        "get": APIOperation(
            summary="Contents of your instance, and the work in it that exists nowhere else",
            scope=READ_SCOPE, answer=ContentsAnswer,
        )
    }  # fmt: skip

    async def get(self, session_id: str) -> None:
        instance = await get_own_instance(self.context, self.person, session_id)
        self.write_answer(to_contents_answer(await load_instance_contents(self.current_user, instance)))


class PauseOwnedInstanceAPIHandler(RenkuAPIHandler):
    calls = {
        "post": APIOperation(
            summary="Pause your instance; its files stay", scope=LAUNCH_SCOPE, body=EmptyBody, answer=InstanceAnswer,
            statuses=(202,),
        )
    }  # fmt: skip

    async def post(self, session_id: str) -> None:
        self.parse_body(EmptyBody)
        await get_own_instance(self.context, self.person, session_id)
        await pause_owned_instance(self, session_id)
        self.write_answer(
            self.answer_builder.build_instance_answer(await get_own_instance(self.context, self.person, session_id)),
            202,
        )


class InstanceFilesAPIHandler(RenkuAPIHandler):
    calls = {
        "get": APIOperation(
            summary="All files of your paused or failed instance as one archive; a token needs the right to launch",
            scope=LAUNCH_SCOPE, files=tuple(archive.media_type for archive in ARCHIVE_FORMATS), errors=(409, 503),
        )
    }  # fmt: skip

    async def get(self, session_id: str) -> None:
        await send_files_archive(self, session_id)


class RestoreOwnedInstanceAPIHandler(RenkuAPIHandler):
    calls = {
        "post": APIOperation(
            summary="Take your data out of the trash", scope=LAUNCH_SCOPE, body=EmptyBody, answer=InstanceAnswer
        )
    }  # fmt: skip

    async def post(self, session_id: str) -> None:
        self.parse_body(EmptyBody)
        await get_own_instance(self.context, self.person, session_id)
        await restore_trashed_data(self.context, self.person.name, session_id)
        self.write_answer(
            self.answer_builder.build_instance_answer(await get_own_instance(self.context, self.person, session_id))
        )


class OwnedInstanceAPIHandler(RenkuAPIHandler):
    calls = {
        "delete": APIOperation(
            summary="Delete your instance and its files for good; 202 while that goes on by itself",
            scope=LAUNCH_SCOPE, body=EmptyBody, answer=InstanceAnswer, statuses=(202, 204),
        )
    }  # fmt: skip

    async def delete(self, session_id: str) -> None:
        self.parse_body(EmptyBody)
        await get_own_instance(self.context, self.person, session_id)
        self.write_deletion_answer(
            await delete_owned_instance(self, session_id), await get_own_instance(self.context, self.person, session_id)
        )


class OwnedInstanceLogAPIHandler(RenkuAPIHandler):
    calls = {
        "get": APIOperation(
            summary="The end of what your instance prints",
            scope=READ_SCOPE,
            answer=LogAnswer,
            query=(LINES_PARAMETER,),
            errors=(422,),
        )
    }

    async def get(self, session_id: str) -> None:
        count = parse_limit(self.request.query_arguments, name="lines", usual=200, most=1000)
        log = await read_owned_instance_log(self, session_id)
        self.write_answer(LogAnswer(lines=log.splitlines()[-count:]))


@body_of(ActivityReport, busy="How many of the kernels and terminals work", disk_used="Bytes in the working directory")
class OwnReport(ProjectedBody[ActivityReport]):
    """The activity that a session's own server reports; every field is optional."""

    keep_awake: int | None = Field(default=None, ge=0, le=31_622_400, description="Seconds from now on; 0: no longer")


class SessionSelfAPIHandler(RenkuAPIHandler):
    """Called by the JupyterLab extension in `extension/`."""

    limited_request = LimitedRequest.SESSION_REPORT
    calls = {
        "get": APIOperation(
            summary="What a session knows of itself, asked for with its own token",
            scope=SESSION_SCOPE,
            answer=OwnAnswer,
            errors=(403, 503),
        ),
        "post": APIOperation(
            summary="What the server of a session says of itself, with its own token",
            scope=SESSION_SCOPE,
            body=OwnReport,
            answer=OwnAnswer,
            errors=(403, 409, 422, 429, 503),
        ),
    }

    async def get(self) -> None:
        self.write_own_answer(await self.load_calling_instance())

    async def post(self) -> None:
        report, owned = self.parse_body(OwnReport), await self.load_calling_instance()
        await record_activity_report(self.context, owned.instance, report.to_value())
        if report.keep_awake is not None:
            await keep_instance_awake(self.context, self.person, owned.instance.session, seconds=report.keep_awake)
        self.write_own_answer(await load_owned_instance(self.context, self.person, owned.instance.session))

    async def load_calling_instance(self) -> OwnedInstance:
        """Return the instance whose token makes the request. Raises ForbiddenError for any other token."""
        session = await find_session_by_token(self.current_user, self.get_auth_token())
        if session is None:
            raise ForbiddenError("This is for running sessions only.", code="no_session")
        return await load_owned_instance(self.context, self.person, session)

    def write_own_answer(self, mine: OwnedInstance) -> None:
        instance, now = mine.instance, self.context.now()
        planned_pause = predict_pause(self.context, instance)
        self.write_answer(
            OwnAnswer(
                session=instance.session,
                title=mine.title,
                project=mine.project.id if mine.project else None,
                project_path=mine.project.path if mine.project else None,
                status=str(instance.status),
                pauses_at=planned_pause.at if planned_pause else None,
                pauses_in=max(0, int((planned_pause.at - now).total_seconds())) if planned_pause else None,
                pauses_because=format_pause_warning(instance, planned_pause, now),
                awake_until=instance.awake_until,
                keep_awake_max=self.context.policy.idle.awake_max
                if planned_pause is None or planned_pause.can_be_postponed
                else 0,
                ask_again=get_next_report_seconds(self.context, instance),
            )
        )
