"""The API for operators; for everybody else it does not exist."""

from __future__ import annotations

from ..domain.inventory import Kind
from ..services import operating
from . import actions, answers_admin, servers
from .answer_models_admin import (
    AdminInstanceList,
    AuditList,
    ClaimList,
    EnvironmentStartsList,
    FailureList,
    NodeList,
    OrphansAnswer,
    PauseAllAnswer,
    RemovedAnswer,
)
from .base_api import RenkuAPIHandler
from .forms_admin import OrphansBody, PauseAllBody, PauseBody, instance_filter
from .operations import AFTER, LIMIT, Operation, Parameter
from .scopes import ADMIN

_OWNER = Parameter("owner", "Only what is this user's")
_FILTER = (
    Parameter("status", "Only those with this status"),
    _OWNER,
    Parameter("project", "Only those of this project: its id or its path"),
    Parameter("reason", "Only those that failed or ended with this code"),
)
_BY = (Parameter("actor", "Only what this user did"), Parameter("action", "Only what is called so"))


class Instances(RenkuAPIHandler):
    calls = {
        "get": Operation(
            summary="Everybody's instances, the latest started first; that you looked is on record",
            scope=ADMIN, answer=AdminInstanceList, query=(*_FILTER, LIMIT, AFTER), errors=(422,),
        )
    }  # fmt: skip

    async def get(self) -> None:
        asked, limit = instance_filter(self), self.limit()
        rows, following = await operating.instances(self.parts, self.person, asked, after=self.after(), limit=limit)
        said = {name: str(value or "") for name, value in vars(asked).items()}
        items = [answers_admin.instance(row) for row in rows]
        self.answer(AdminInstanceList(items=items, next=self.following(following, **said)))


class Pause(RenkuAPIHandler):
    calls = {
        "post": Operation(
            summary="Pause somebody's instance; its files stay, and its owner reads that an admin did it",
            scope=ADMIN, body=PauseBody, statuses=(202,),
        )
    }  # fmt: skip

    async def post(self) -> None:
        body = self.body(PauseBody)
        found = await actions.pause_for(self, body.username, body.session)
        self.set_status(202)
        self.finish({"username": found.username, "session": found.session, "status": str(found.status)})


class Nodes(RenkuAPIHandler):
    calls = {
        "get": Operation(
            summary="How many sessions run on each node of the cluster, and how many are stopping",
            scope=ADMIN, answer=NodeList,
        )
    }  # fmt: skip

    async def get(self) -> None:
        found = await operating.list_nodes(self.parts, servers.ground(self.current_user))
        self.answer(answers_admin.nodes(found))


class PauseAll(RenkuAPIHandler):
    calls = {
        "post": Operation(
            summary="Pause all sessions of a node, or of the hub; their owners read why. A dry run only counts them",
            scope=ADMIN, body=PauseAllBody, answer=PauseAllAnswer, statuses=(200, 202), errors=(503,),
        )
    }  # fmt: skip

    async def post(self) -> None:
        body = self.body(PauseAllBody)
        count = await actions.pause_all(self, body.check(), dry_run=body.dry_run)
        self.answer(PauseAllAnswer(sessions=count), status=200 if body.dry_run else 202)


class Restore(RenkuAPIHandler):
    calls = {
        "post": Operation(
            summary="Take somebody's data out of the trash, which is on record", scope=ADMIN, body=PauseBody
        )
    }  # fmt: skip

    async def post(self) -> None:
        body = self.body(PauseBody)
        found = await operating.bring_back(self.parts, self.person, body.username, body.session)
        self.finish({"username": found.username, "session": found.session, "status": str(found.status)})


class Orphans(RenkuAPIHandler):
    calls = {
        "get": Operation(
            summary="Pods, claims and folders without a record, and records without them; nothing is removed",
            scope=ADMIN, answer=OrphansAnswer,
        ),
        "delete": Operation(
            summary="Remove orphans for good, as far as they are still offered",
            scope=ADMIN, body=OrphansBody, answer=RemovedAnswer, errors=(409, 503),
        ),
    }  # fmt: skip

    async def get(self) -> None:
        found = await operating.see_orphans(self.parts, self.person, servers.ground(self.current_user))
        self.answer(answers_admin.orphans(found))

    async def delete(self) -> None:
        body, ground = self.body(OrphansBody), servers.ground(self.current_user)
        removed = await operating.clean(self.parts, self.person, ground, Kind(body.kind), body.named())
        self.answer(RemovedAnswer(removed=removed))


class Claims(RenkuAPIHandler):
    calls = {
        "get": Operation(
            summary="Claims and folders that keep somebody's files, the oldest first; that you looked is on record",
            scope=ADMIN, answer=ClaimList, query=(_OWNER, LIMIT, AFTER), errors=(422,),
        )
    }  # fmt: skip

    async def get(self) -> None:
        owner, ground, limit = self.search("owner"), servers.ground(self.current_user), self.limit()
        found = await operating.claims(self.parts, self.person, ground, owner=owner, after=self.after(), limit=limit)
        self.answer(answers_admin.claims(found, self.following(found.next, owner=owner)))


class Failures(RenkuAPIHandler):
    calls = {
        "get": Operation(
            summary="How many starts of the last 30 days failed, by day and reason", scope=ADMIN, answer=FailureList
        )
    }

    async def get(self) -> None:
        found = await operating.failures(self.parts)
        self.answer(FailureList(items=[answers_admin.failure(each) for each in found]))


class Launches(RenkuAPIHandler):
    calls = {
        "get": Operation(
            summary="How the starts of each environment went, and how long they took",
            scope=ADMIN, answer=EnvironmentStartsList, query=(LIMIT, AFTER), errors=(422,),
        )
    }  # fmt: skip

    async def get(self) -> None:
        found, following = await operating.starts(self.parts, after=self.after(), limit=self.limit())
        items = [answers_admin.starts(each) for each in found]
        self.answer(EnvironmentStartsList(items=items, next=self.following(following)))


class Audit(RenkuAPIHandler):
    calls = {
        "get": Operation(
            summary="What admins did, looked at, and what was refused, the latest first",
            scope=ADMIN, answer=AuditList, query=(*_BY, LIMIT, AFTER), errors=(422,),
        )
    }  # fmt: skip

    async def get(self) -> None:
        said, limit = {name: self.search(name) for name in ("actor", "action")}, self.limit()
        events, following = await operating.audit(self.parts, **said, after=self.after(), limit=limit)
        items = [answers_admin.event(each) for each in events]
        self.answer(AuditList(items=items, next=self.following(following, **said)))
