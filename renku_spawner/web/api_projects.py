"""The API of projects and members."""

from __future__ import annotations

from ..domain.access import Action
from ..services import projects
from .answer_models import ProjectAnswer, ProjectList
from .base_api import RenkuAPIHandler
from .bodies import Nothing, ProjectBody, ProjectChangeBody
from .forms_project import without_member
from .operations import AFTER, LIMIT, SEARCH, Operation
from .scopes import READ, WRITE


class Projects(RenkuAPIHandler):
    calls = {
        "get": Operation(
            summary="The projects that you may see",
            scope=READ,
            answer=ProjectList,
            query=(SEARCH, LIMIT, AFTER),
            errors=(422,),
        ),
        "post": Operation(
            summary="Make a project",
            scope=WRITE,
            body=ProjectBody,
            answer=ProjectAnswer,
            statuses=(201,),
            errors=(409,),
        ),
    }

    async def get(self) -> None:
        search = self.search()
        found, following = await projects.listed(
            self.parts, self.person, search=search, after=self.after(), limit=self.limit()
        )
        items = [self.answers.entry(*row) for row in found]
        self.answer(ProjectList(items=items, next=self.following(following, search=search)))

    async def post(self) -> None:
        made = await projects.create(self.parts, self.person, self.body(ProjectBody).value())
        self.set_header("Location", f"{self.request.path}/{made.id}")
        self.answer(self.answers.project(made), 201)


class Project(RenkuAPIHandler):
    calls = {
        "get": Operation(summary="A project", scope=READ, answer=ProjectAnswer),
        "patch": Operation(
            summary="Change a project", scope=WRITE, body=ProjectChangeBody, answer=ProjectAnswer, errors=(409,)
        ),
        "delete": Operation(summary="Delete a project", scope=WRITE, body=Nothing, statuses=(204,)),
    }

    async def get(self, ref: str) -> None:
        self.answer(self.answers.project(await projects.show(self.parts, self.person, self.ref(ref))))

    async def patch(self, ref: str) -> None:
        change = self.body(ProjectChangeBody).value()
        self.answer(self.answers.project(await projects.change(self.parts, self.person, self.ref(ref), change)))

    async def delete(self, ref: str) -> None:
        self.body(Nothing)
        await projects.delete(self.parts, self.person, self.ref(ref))
        self.set_status(204)


class Member(RenkuAPIHandler):
    calls = {
        "delete": Operation(
            summary="Remove a member by user name; your own name: leave",
            scope=WRITE, body=Nothing, statuses=(204,), errors=(409,),
        )
    }  # fmt: skip

    async def delete(self, ref: str, name: str) -> None:
        self.body(Nothing)
        self.set_status(204)
        if name == self.person.name:
            await projects.leave(self.parts, self.person, self.ref(ref))
            return
        project = await self.parts.source.get(self.person, self.ref(ref), Action.MANAGE)
        change = without_member(project.version, project.members, name)
        await projects.change(self.parts, self.person, project.id, change)
