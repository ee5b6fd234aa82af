"""API for administrators: instances, nodes, orphaned resources, PVCs and folders, failed starts and the audit log.

Other users get 404.
"""

from __future__ import annotations

from ...domain.administration import OrphanKind
from ...hub.adapter import get_resource_inventory
from ...hub.scopes import ADMIN_SCOPE
from ...usecases.administration import (
    count_failed_launches,
    count_sessions_by_node,
    get_orphans_report,
    list_audit_events,
    list_claims,
    list_instances_of_all_users,
    list_launch_statistics,
    remove_orphans,
    restore_user_data,
)
from ..base import RenkuAPIHandler
from ..instances.actions import pause_all_instances, pause_instance_as_admin
from ..operations import AFTER_PARAMETER, LIMIT_PARAMETER, APIOperation, QueryParameter
from .answers import (
    to_admin_instance_answer,
    to_audit_answer,
    to_claim_list,
    to_environment_starts_answer,
    to_failure_answer,
    to_node_list,
    to_orphans_answer,
)
from .forms import OrphansBody, PauseAllBody, PauseBody, parse_instance_filter
from .schemas import (
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

_OWNER_PARAMETER = QueryParameter("owner", "Only those of this user")
_INSTANCE_FILTER_PARAMETERS = (
    QueryParameter("status", "Only those with this status"),
    _OWNER_PARAMETER,
    QueryParameter("project", "Only those of this project: its id or its path"),
    QueryParameter("reason", "Only those that failed or ended with this code"),
)
_AUDIT_FILTER_PARAMETERS = (
    QueryParameter("actor", "Only what this user did"),
    QueryParameter("action", "Only events of this action"),
)


class AdminInstanceListAPIHandler(RenkuAPIHandler):
    calls = {
        "get": APIOperation(
            summary="Instances of all users, the latest started first; the audit log records the request",
            scope=ADMIN_SCOPE,
            answer=AdminInstanceList,
            query=(*_INSTANCE_FILTER_PARAMETERS, LIMIT_PARAMETER, AFTER_PARAMETER),
            errors=(422,),
        )
    }

    async def get(self) -> None:
        instance_filter, limit = parse_instance_filter(self.get_search_text), self.get_limit()
        rows, following = await list_instances_of_all_users(
            self.context, self.person, instance_filter, after=self.get_cursor(), limit=limit
        )
        query = {name: str(value or "") for name, value in vars(instance_filter).items()}
        items = [to_admin_instance_answer(row) for row in rows]
        self.write_answer(AdminInstanceList(items=items, next=self.build_next_url(following, **query)))


class AdminPauseInstanceAPIHandler(RenkuAPIHandler):
    calls = {
        "post": APIOperation(
            summary="Pause a user's instance; its files stay, and its owner reads that an admin did it",
            scope=ADMIN_SCOPE, body=PauseBody, statuses=(202,),
        )
    }  # fmt: skip

    async def post(self) -> None:
        body = self.parse_body(PauseBody)
        instance = await pause_instance_as_admin(self, body.username, body.session)
        self.set_status(202)
        self.finish({"username": instance.username, "session": instance.session, "status": str(instance.status)})


class AdminNodeListAPIHandler(RenkuAPIHandler):
    calls = {
        "get": APIOperation(
            summary="How many sessions run on each node of the cluster, and how many are stopping",
            scope=ADMIN_SCOPE, answer=NodeList,
        )
    }  # fmt: skip

    async def get(self) -> None:
        overview = await count_sessions_by_node(self.context, get_resource_inventory(self.current_user))
        self.write_answer(to_node_list(overview))


class AdminPauseAllAPIHandler(RenkuAPIHandler):
    calls = {
        "post": APIOperation(
            summary="Pause all sessions of a node, or of the hub; their owners read why. A dry run only counts them",
            scope=ADMIN_SCOPE, body=PauseAllBody, answer=PauseAllAnswer, statuses=(200, 202), errors=(503,),
        )
    }  # fmt: skip

    async def post(self) -> None:
        body = self.parse_body(PauseAllBody)
        count = await pause_all_instances(self, body.require_node_or_all(), dry_run=body.dry_run)
        self.write_answer(PauseAllAnswer(sessions=count), status=200 if body.dry_run else 202)


class AdminRestoreInstanceAPIHandler(RenkuAPIHandler):
    calls = {
        "post": APIOperation(
            summary="Restore a user's data from the trash; the audit log records it", scope=ADMIN_SCOPE, body=PauseBody
        )
    }  # fmt: skip

    async def post(self) -> None:
        body = self.parse_body(PauseBody)
        instance = await restore_user_data(self.context, self.person, body.username, body.session)
        self.finish({"username": instance.username, "session": instance.session, "status": str(instance.status)})


class AdminOrphanListAPIHandler(RenkuAPIHandler):
    calls = {
        "get": APIOperation(
            summary="Pods, claims and folders without a record, and records without them; nothing is removed",
            scope=ADMIN_SCOPE, answer=OrphansAnswer,
        ),
        "delete": APIOperation(
            summary="Remove orphans for good; those that are no longer listed are skipped",
            scope=ADMIN_SCOPE, body=OrphansBody, answer=RemovedAnswer, errors=(409, 503),
        ),
    }  # fmt: skip

    async def get(self) -> None:
        report = await get_orphans_report(self.context, self.person, get_resource_inventory(self.current_user))
        self.write_answer(to_orphans_answer(report))

    async def delete(self) -> None:
        body, ground = self.parse_body(OrphansBody), get_resource_inventory(self.current_user)
        removed = await remove_orphans(self.context, self.person, ground, OrphanKind(body.kind), body.require_names())
        self.write_answer(RemovedAnswer(removed=removed))


class AdminClaimListAPIHandler(RenkuAPIHandler):
    calls = {
        "get": APIOperation(
            summary="Claims and folders with users' files, the oldest first; the audit log records the request",
            scope=ADMIN_SCOPE,
            answer=ClaimList,
            query=(_OWNER_PARAMETER, LIMIT_PARAMETER, AFTER_PARAMETER),
            errors=(422,),
        )
    }

    async def get(self) -> None:
        owner, ground, limit = (
            self.get_search_text("owner"),
            get_resource_inventory(self.current_user),
            self.get_limit(),
        )
        page = await list_claims(self.context, self.person, ground, owner=owner, after=self.get_cursor(), limit=limit)
        self.write_answer(to_claim_list(page, self.build_next_url(page.next, owner=owner)))


class AdminFailureListAPIHandler(RenkuAPIHandler):
    calls = {
        "get": APIOperation(
            summary="How many starts of the last 30 days failed, by day and reason",
            scope=ADMIN_SCOPE,
            answer=FailureList,
        )
    }

    async def get(self) -> None:
        counts = await count_failed_launches(self.context)
        self.write_answer(FailureList(items=[to_failure_answer(count) for count in counts]))


class AdminLaunchStatisticsAPIHandler(RenkuAPIHandler):
    calls = {
        "get": APIOperation(
            summary="How the starts of each environment went, and how long they took",
            scope=ADMIN_SCOPE, answer=EnvironmentStartsList, query=(LIMIT_PARAMETER, AFTER_PARAMETER), errors=(422,),
        )
    }  # fmt: skip

    async def get(self) -> None:
        statistics, following = await list_launch_statistics(
            self.context, after=self.get_cursor(), limit=self.get_limit()
        )
        items = [to_environment_starts_answer(row) for row in statistics]
        self.write_answer(EnvironmentStartsList(items=items, next=self.build_next_url(following)))


class AdminAuditLogAPIHandler(RenkuAPIHandler):
    calls = {
        "get": APIOperation(
            summary="What admins did, looked at, and what was refused, the latest first",
            scope=ADMIN_SCOPE,
            answer=AuditList,
            query=(*_AUDIT_FILTER_PARAMETERS, LIMIT_PARAMETER, AFTER_PARAMETER),
            errors=(422,),
        )
    }

    async def get(self) -> None:
        query, limit = {name: self.get_search_text(name) for name in ("actor", "action")}, self.get_limit()
        events, following = await list_audit_events(self.context, **query, after=self.get_cursor(), limit=limit)
        items = [to_audit_answer(event) for event in events]
        self.write_answer(AuditList(items=items, next=self.build_next_url(following, **query)))
