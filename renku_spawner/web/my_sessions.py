"""Pages of *My sessions*: list, pause, resume, download, restore and delete a user's own instances.

They require no role in the project."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal, TypedDict
from urllib.parse import parse_qs

from pydantic import Field

from ..domain.errors import InvalidInputError
from ..domain.ids import RecordId
from ..domain.instances import InstanceSort, InstanceStatus, OwnedInstancesSummary, parse_instance_sort
from ..domain.notifications import format_date
from ..domain.policy import HubPolicy
from ..domain.quantities import format_size
from ..domain.reasons import REASONS_BY_CODE
from ..domain.text import LongText
from ..hub.scopes import LAUNCH_SCOPE, READ_SCOPE
from ..lifecycle.data import restore_trashed_data
from ..usecases.instances import (
    OwnedInstance,
    find_server_project,
    get_my_session_titles,
    get_my_sessions_summary,
    get_own_instance,
    list_my_active_sessions,
    list_my_sessions,
    load_owned_instance,
)
from ..usecases.storages import list_my_storage_credentials
from .base import RenkuPageHandler
from .formatting import format_count
from .forms import ConfirmDeletionForm, SessionActionForm
from .instances.actions import delete_owned_instance, pause_owned_instance, pause_owned_instances, start_owned_instance
from .instances.files import load_instance_contents, send_files_archive
from .instances.views import build_delete_data_view, build_kept_data_view, format_storage_cost
from .page_context import ChoiceLink, LinkView, PageContext
from .schemas import BaseBody
from .sessions.cards import needs_refresh
from .sessions.views import OwnedInstanceView, build_owned_instance_view
from .storages.views import StoredCredentialsRow, build_stored_credentials_view
from .urls import add_query_parameters


class PauseMySessionsForm(BaseBody):
    """The selected sessions, or all active ones; the limit keeps the results on one page."""

    which: Literal["selected", "all"] = "selected"
    sessions: Annotated[list[RecordId], Field(max_length=100)] = []
    back: LongText = ""


_SORT_LABELS = {
    InstanceSort.STARTED: "last start",
    InstanceSort.USED: "last use",
    InstanceSort.NAME: "title",
    InstanceSort.SIZE: "size",
    InstanceSort.EXPIRY: "deletion",
}
_PAUSABLE_STATUSES = (InstanceStatus.RUNNING, InstanceStatus.LAUNCHING, InstanceStatus.UNKNOWN)
_SESSION_ID_PATTERN = re.compile("[a-z][a-z2-7]{11}")


class MySessionsView(TypedDict):
    rows: list[MySessionRow]
    summary: str | None
    pause_action: str | None
    sorts: list[ChoiceLink]
    refresh: bool
    next: str | None
    back: str
    gitlab: str | None


class MySessionRow(OwnedInstanceView):
    cost: str | None
    pausable: bool


def build_my_sessions_view(
    found: Sequence[OwnedInstance],
    sort: InstanceSort,
    whole: OwnedInstancesSummary,
    policy: HubPolicy,
    following: str | None,
    after: str | None,
    frame: PageContext,
) -> MySessionsView:
    """Build the view of renku_sessions.html, without the results of an action."""
    rows = [_build_my_session_row(item, policy, frame) for item in found]
    sort_parameter = None if sort is InstanceSort.STARTED else str(sort)
    return {
        "rows": rows,
        "summary": format_instances_summary(whole, policy) if rows else None,
        "pause_action": frame.urls.my_sessions + "/pause" if whole.active else None,
        "sorts": [
            {
                "text": text,
                "url": add_query_parameters(
                    frame.urls.my_sessions, sort=None if item is InstanceSort.STARTED else item
                ),
                "current": item is sort,
            }
            for item, text in _SORT_LABELS.items()
        ],
        "refresh": needs_refresh(row["status"] for row in rows),
        "next": add_query_parameters(frame.urls.my_sessions, sort=sort_parameter, after=following)
        if following
        else None,
        "back": add_query_parameters("sessions", sort=sort_parameter, after=after),
        "gitlab": frame.gitlab,
    }


def _build_my_session_row(found: OwnedInstance, policy: HubPolicy, frame: PageContext) -> MySessionRow:
    instance = found.instance
    disk = found.session.configuration.needs.disk if found.session else None
    restore = frame.urls.instance_action(instance.session, "restore")
    return {
        **build_owned_instance_view(found, frame),
        **build_kept_data_view(instance, frame.now, restore, disk=disk),
        "cost": format_storage_cost(instance, policy.price),
        "pausable": instance.status in _PAUSABLE_STATUSES,
    }


def format_instances_summary(whole: OwnedInstancesSummary, policy: HubPolicy) -> str:
    """Summarize the instances: `2 of your 3 sessions run, and you keep data in 6 of 20, 21.4 GiB.`"""
    runs = (
        f"{whole.active} of your {policy.running_per_user} sessions run"
        if policy.running_per_user
        else (f"{format_count(whole.active, 'session')} {'runs' if whole.active == 1 else 'run'}")
    )
    limit = f" of {policy.kept_per_user}" if policy.kept_per_user else ""
    trash = f" ({whole.trashed} of them in the trash)" if whole.trashed else ""
    return f"{runs}, and you keep data in {whole.kept}{limit}{trash}{_format_kept_size(whole, policy)}."


def _format_kept_size(whole: OwnedInstancesSummary, policy: HubPolicy) -> str:
    """Format size and cost of the kept data; empty if no session has reported its size."""
    if whole.unmeasured >= whole.kept:
        return ""
    least = "at least " if whole.unmeasured else ""
    price = policy.price
    cost = f", {least}{price.format_monthly_cost(whole.disk_used)}" if price else ""
    return f", {least}{format_size(whole.disk_used)}{cost}"


def build_pending_deletions_view(found: tuple[int, datetime | None], frame: PageContext) -> LinkView | None:
    """Build the notice `Your data in 2 sessions will be deleted, the first on 20 January 2027.`"""
    count, first = found
    if first is None:
        return None
    which = format_count(count, "session")
    text = f"Your data in {which} will be deleted{', the first' if count > 1 else ''} on {format_date(first)}"
    return {
        "text": f"{text}, unless you resume {'them' if count > 1 else 'it'}.",
        "url": add_query_parameters(frame.urls.my_sessions, sort=InstanceSort.EXPIRY),
    }


# Results of pausing several sessions


def encode_pause_results(done: Mapping[str, str]) -> dict[str, str]:
    """Return the results as query parameters: paused ids, and the other ids with their error codes."""
    return {
        "paused": ".".join(id for id, code in done.items() if not code),
        "unpaused": ".".join(f"{id}-{code}" for id, code in done.items() if code),
    }


def parse_pause_results(paused: str, unpaused: str) -> dict[str, str]:
    """Parse the parameters of `encode_pause_results`; anything invalid is ignored."""
    failed = {
        id: code
        for id, _, code in (each.partition("-") for each in unpaused.split("."))
        if _SESSION_ID_PATTERN.fullmatch(id)
    }
    return dict.fromkeys((id for id in paused.split(".") if _SESSION_ID_PATTERN.fullmatch(id)), "") | failed


class PauseResultRow(TypedDict):
    failed: bool
    text: str


def build_pause_result_rows(done: Mapping[str, str], titles: Mapping[str, str]) -> list[PauseResultRow]:
    """Build a sentence for each result, failures first."""
    known = [(titles[id], code) for id, code in done.items() if id in titles]
    return [
        {"failed": bool(code), "text": _format_pause_result(title, code)} for title, code in _sort_failed_first(known)
    ]


def _sort_failed_first(known: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return sorted(known, key=lambda each: not each[1])


def _format_pause_result(title: str, code: str) -> str:
    if not code:
        return f"{title}: pausing, its data is kept."
    reason = REASONS_BY_CODE.get(code)
    why = reason.text if reason and "{" not in reason.text else "try again in a moment."
    return f"{title}: could not be paused: {why}"


_KEPT_LIST_PARAMETERS = ("sort", "after")


class MySessionsHandler(RenkuPageHandler):
    scope = {"get": READ_SCOPE}

    async def get(self) -> None:
        sort, after = parse_instance_sort(self.get_search_text("sort")), self.get_cursor()
        instances, following = await list_my_sessions(self.context, self.person, sort, after=after)
        summary = await get_my_sessions_summary(self.context, self.person)
        outcomes = parse_pause_results(
            self.get_text_parameter("paused", limit=2000), self.get_text_parameter("unpaused", limit=4000)
        )
        results = build_pause_result_rows(outcomes, await get_my_session_titles(self.context, self.person, outcomes))
        view = build_my_sessions_view(
            instances, sort, summary, self.context.policy, following, after, self.page_context
        )
        self.write_page(
            "renku_sessions.html", "sessions", told=results, kept=await self._build_credential_rows(), **view
        )

    async def _build_credential_rows(self) -> list[StoredCredentialsRow]:
        return build_stored_credentials_view(
            await list_my_storage_credentials(self.context, self.person), self.page_context
        )


class PauseMySessionsHandler(RenkuPageHandler):
    """Pause several sessions, and show the result of each."""

    scope = {"post": LAUNCH_SCOPE}
    lists = ("sessions",)

    def get_page_url(self) -> str:
        return self.urls.my_sessions

    async def post(self) -> None:
        form = self.parse_form(PauseMySessionsForm)
        if form.which == "selected" and not form.sessions:
            raise InvalidInputError("Select the sessions to pause first.")
        ids = form.sessions if form.which == "selected" else await list_my_active_sessions(self.context, self.person)
        outcomes = await pause_owned_instances(self, ids)
        query = {
            key: values[0]
            for key, values in parse_qs(form.back.partition("?")[2]).items()
            if key in _KEPT_LIST_PARAMETERS
        }
        self.redirect_to_page(add_query_parameters(self.urls.my_sessions, **query, **encode_pause_results(outcomes)))


class BaseInstanceHandler(RenkuPageHandler):
    """Base class of pages and actions of the user's own instance; a login leads to the list."""

    def get_page_url(self, session_id: str) -> str:
        return self.request.uri if self.request.method == "GET" else self.urls.my_sessions

    async def redirect_to_origin(self, session_id: str) -> None:
        """Redirect to where the action came from, as far as the user may see that."""
        owned = await load_owned_instance(self.context, self.person, session_id)
        project = owned.project if owned.session else None
        self.redirect_back(project.path if project else None, session_id, project.id if project else "")


class PauseOwnedInstanceHandler(BaseInstanceHandler):
    scope = {"post": LAUNCH_SCOPE}

    async def redirect_to_waiting_session(self, session_id: str) -> None:
        """Redirect to the session for which this one was paused, to start it there."""
        project = await find_server_project(self.context, self.person, session_id)
        self.redirect_to_page(self.urls.session(project.path, session_id) if project else self.urls.my_sessions)

    async def post(self, session_id: str) -> None:
        then = self.parse_form(SessionActionForm).then
        await get_own_instance(self.context, self.person, session_id)
        await pause_owned_instance(self, session_id)
        await (self.redirect_to_waiting_session(then) if then else self.redirect_to_origin(session_id))


class ResumeOwnedInstanceHandler(BaseInstanceHandler):
    scope = {"post": LAUNCH_SCOPE}

    async def post(self, session_id: str) -> None:
        form = self.parse_form(SessionActionForm)
        await start_owned_instance(self, session_id, form.resource_class, **form.start_options)
        await self.redirect_to_origin(session_id)


class DownloadInstanceFilesHandler(BaseInstanceHandler):
    """Download all files of the user's own instance as one archive."""

    scope = {"get": LAUNCH_SCOPE}

    def get_page_url(self, session_id: str) -> str:
        return self.urls.my_sessions  # a login must not start a download

    async def get(self, session_id: str) -> None:
        await send_files_archive(self, session_id)


class RestoreOwnedInstanceHandler(BaseInstanceHandler):
    """Restore data from the trash."""

    scope = {"post": LAUNCH_SCOPE}

    async def post(self, session_id: str) -> None:
        self.parse_form(SessionActionForm)
        await get_own_instance(self.context, self.person, session_id)
        await restore_trashed_data(self.context, self.person.name, session_id)
        await self.redirect_to_origin(session_id)


class DeleteInstanceDataHandler(BaseInstanceHandler):
    """Delete the files of the user's own instance, after its title was typed."""

    scope = {"get": READ_SCOPE, "post": LAUNCH_SCOPE}

    def get_page_url(self, session_id: str) -> str:
        return self.urls.instance_action(session_id, "data")

    async def render_form(self, session_id: str, errors: Mapping[str, str]) -> None:
        owned = await load_owned_instance(self.context, self.person, session_id)
        inspection = await load_instance_contents(self.current_user, owned.instance)
        view = build_delete_data_view(owned, inspection, self.page_context)
        values = {"confirm": self.form_fields.get("confirm", "")}
        self.write_page("renku_delete_data.html", "sessions", errors=errors, values=values, **view)

    async def get(self, session_id: str) -> None:
        await self.render_form(session_id, errors={})

    async def post(self, session_id: str) -> None:
        owned = await load_owned_instance(self.context, self.person, session_id)
        self.parse_form(ConfirmDeletionForm).require_title(owned.title)
        self.redirect_to_page(
            self.urls.my_sessions, "deleted" if await delete_owned_instance(self, session_id) else "deleting"
        )
