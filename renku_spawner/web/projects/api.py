"""API handlers for projects and their members."""

from __future__ import annotations

from ...domain.access import ProjectAction
from ...hub.scopes import READ_SCOPE, WRITE_SCOPE
from ...usecases.projects import (
    change_project,
    create_project,
    delete_project,
    get_project,
    leave_project,
    list_projects,
)
from ..base import RenkuAPIHandler
from ..operations import AFTER_PARAMETER, LIMIT_PARAMETER, SEARCH_PARAMETER, APIOperation
from ..schemas import EmptyBody, ProjectBody, ProjectChangeBody
from ..sessions.schemas import ProjectAnswer, ProjectList
from .forms import build_change_without_member


class ProjectListAPIHandler(RenkuAPIHandler):
    calls = {
        "get": APIOperation(
            summary="The projects that you may see",
            scope=READ_SCOPE,
            answer=ProjectList,
            query=(SEARCH_PARAMETER, LIMIT_PARAMETER, AFTER_PARAMETER),
            errors=(422,),
        ),
        "post": APIOperation(
            summary="Make a project",
            scope=WRITE_SCOPE,
            body=ProjectBody,
            answer=ProjectAnswer,
            statuses=(201,),
            errors=(409,),
        ),
    }

    async def get(self) -> None:
        search = self.get_search_text()
        projects, following = await list_projects(
            self.context, self.person, search=search, after=self.get_cursor(), limit=self.get_limit()
        )
        items = [self.answer_builder.build_project_entry_answer(*row) for row in projects]
        self.write_answer(ProjectList(items=items, next=self.build_next_url(following, search=search)))

    async def post(self) -> None:
        made = await create_project(self.context, self.person, self.parse_body(ProjectBody).to_value())
        self.set_header("Location", f"{self.request.path}/{made.id}")
        self.write_answer(self.answer_builder.build_project_answer(made), 201)


class ProjectAPIHandler(RenkuAPIHandler):
    calls = {
        "get": APIOperation(summary="A project", scope=READ_SCOPE, answer=ProjectAnswer),
        "patch": APIOperation(
            summary="Change a project", scope=WRITE_SCOPE, body=ProjectChangeBody, answer=ProjectAnswer, errors=(409,)
        ),
        "delete": APIOperation(summary="Delete a project", scope=WRITE_SCOPE, body=EmptyBody, statuses=(204,)),
    }

    async def get(self, ref: str) -> None:
        self.write_answer(
            self.answer_builder.build_project_answer(
                await get_project(self.context, self.person, self.check_project_ref(ref))
            )
        )

    async def patch(self, ref: str) -> None:
        change = self.parse_body(ProjectChangeBody).to_value()
        self.write_answer(
            self.answer_builder.build_project_answer(
                await change_project(self.context, self.person, self.check_project_ref(ref), change)
            )
        )

    async def delete(self, ref: str) -> None:
        self.parse_body(EmptyBody)
        await delete_project(self.context, self.person, self.check_project_ref(ref))
        self.set_status(204)


class ProjectMemberAPIHandler(RenkuAPIHandler):
    calls = {
        "delete": APIOperation(
            summary="Remove a member by user name; your own name: leave",
            scope=WRITE_SCOPE, body=EmptyBody, statuses=(204,), errors=(409,),
        )
    }  # fmt: skip

    async def delete(self, ref: str, name: str) -> None:
        self.parse_body(EmptyBody)
        self.set_status(204)
        if name == self.person.name:
            await leave_project(self.context, self.person, self.check_project_ref(ref))
            return
        project = await self.context.source.get_project(self.person, self.check_project_ref(ref), ProjectAction.MANAGE)
        change = build_change_without_member(project.version, project.members, name)
        await change_project(self.context, self.person, project.id, change)
