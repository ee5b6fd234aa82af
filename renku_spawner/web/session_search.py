"""Search for sessions of all visible projects: the page, the tab of *Add a session*, and the API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from ..context.app_context import AppContext
from ..domain.access import Person
from ..domain.errors import InvalidInputError
from ..domain.session_search import MAX_PACKAGE_TEXT_LENGTH, FoundSession
from ..hub.scopes import READ_SCOPE
from ..usecases.session_search import LAUNCH_COUNT_DAYS, FoundSessionList, search_sessions
from .answers import to_environment_answer
from .base import RenkuAPIHandler, RenkuPageHandler
from .formatting import format_count
from .operations import AFTER_PARAMETER, LIMIT_PARAMETER, SEARCH_PARAMETER, APIOperation, QueryParameter
from .page_context import PageContext, TabView
from .projects.views import ProjectHeadView, build_project_head_view
from .sessions.schemas import FoundSessionAnswer, FoundSessionListAnswer
from .sessions.views import (
    SessionEnvironmentView,
    build_new_session_tabs,
    build_session_environment_view,
)
from .urls import add_query_parameters

_PACKAGE_PARAMETER = QueryParameter(
    "package", "Only images with this package or interpreter: xarray, xarray>=2025, R 4.5"
)
_INTO_PARAMETER = QueryParameter("into", "A project that you may change; its own sessions are left out")


class FoundSessionRow(TypedDict):
    id: str
    title: str
    page: str
    description: str
    project: str
    project_page: str
    environment: SessionEnvironmentView
    facts: list[str]
    obstacle: str | None
    copy_url: str
    version: int


class SessionSearchView(TypedDict):
    action: str
    text: str
    package: str
    rows: list[FoundSessionRow]
    searched: bool
    next: str | None
    project: ProjectHeadView | None
    tabs: list[TabView]
    newest_only: bool


class SessionSearchHandler(RenkuPageHandler):
    scope = {"get": READ_SCOPE}

    async def get(self) -> None:
        text, into = self.get_search_text(), self.get_search_text("into")
        package = self.get_text_parameter("package", limit=MAX_PACKAGE_TEXT_LENGTH)
        target = self.check_project_ref(into) if into else None
        found, errors = await _search_for_page(self.context, self.person, text, package, target, self.get_cursor())
        if errors:
            self.set_status(422)
        built = self.context.gitlab_ci is not None
        tabs = build_new_session_tabs(self.page_context, found.into.path, "project", built=built) if found.into else []
        view = build_session_search_view(found, text, package, into, tabs, self.page_context)
        self.write_page("renku_search.html", "projects", errors=errors, **view)


async def _search_for_page(
    context: AppContext, person: Person, text: str, package: str, into: str | None, after: str | None
) -> tuple[FoundSessionList, Mapping[str, str]]:
    """Search, and return what is wrong with the package, in which case it is left out."""
    try:
        return await search_sessions(context, person, text=text, package=package, into=into, after=after), {}
    except InvalidInputError as problem:
        if "package" not in problem.fields:
            raise
        return await search_sessions(context, person, text=text, into=into), problem.fields


def build_session_search_view(
    found: FoundSessionList, text: str, package: str, into: str, tabs: Sequence[TabView], frame: PageContext
) -> SessionSearchView:
    """Build the view of renku_search.html; *into* names the project to which a session is to be added, if any."""
    url = frame.urls.session_search
    asked = {"search": text, "package": package, "into": into}
    return {
        "action": url,
        "text": text,
        "package": package,
        "rows": [_build_found_session_row(each, frame) for each in found.items],
        "searched": bool(text or package),
        "next": add_query_parameters(url, **asked, after=found.next) if found.next else None,
        "project": build_project_head_view(found.into, frame) if found.into else None,
        "tabs": list(tabs),
        "newest_only": frame.gitlab is not None,
    }


def _build_found_session_row(found: FoundSession, frame: PageContext) -> FoundSessionRow:
    session, page = found.session, frame.urls.session(found.project_path, found.session.id)
    return {
        "id": session.id,
        "title": session.title,
        "page": page,
        "description": session.description,
        "project": found.project_title,
        "project_page": frame.urls.project(found.project_path),
        "environment": build_session_environment_view(session.environment, session.revision),
        "facts": _list_facts(found),
        "obstacle": found.obstacle,
        "copy_url": f"{page}/copy",
        "version": session.version,
    }


def _list_facts(found: FoundSession) -> list[str]:
    """Return where the image is used and how its last starts went, in words."""
    launches = found.launches
    total = launches.successful + launches.failed
    facts = [f"used in {format_count(found.uses, 'project')}"]
    if total:
        facts.append(f"{launches.successful} of {format_count(total, 'start')} in {LAUNCH_COUNT_DAYS} days worked")
    return [f"has {found.package}", *facts] if found.package else facts


class SessionSearchAPIHandler(RenkuAPIHandler):
    calls = {
        "get": APIOperation(
            summary="Sessions of all projects that you may see, one for each image",
            scope=READ_SCOPE,
            answer=FoundSessionListAnswer,
            query=(SEARCH_PARAMETER, _PACKAGE_PARAMETER, _INTO_PARAMETER, LIMIT_PARAMETER, AFTER_PARAMETER),
            errors=(422,),
        )
    }

    async def get(self) -> None:
        text, into = self.get_search_text(), self.get_search_text("into")
        package = self.get_text_parameter("package", limit=MAX_PACKAGE_TEXT_LENGTH)
        found = await search_sessions(
            self.context, self.person, text=text, package=package, after=self.get_cursor(), limit=self.get_limit(),
            into=self.check_project_ref(into) if into else None,
        )  # fmt: skip
        following = self.build_next_url(found.next, search=text, package=package, into=into)
        self.write_answer(FoundSessionListAnswer(items=list(map(to_found_session_answer, found.items)), next=following))


def to_found_session_answer(found: FoundSession) -> FoundSessionAnswer:
    return FoundSessionAnswer(
        session=found.session.id,
        project=found.session.project,
        project_path=found.project_path,
        project_title=found.project_title,
        title=found.session.title,
        description=found.session.description,
        version=found.session.version,
        environment=to_environment_answer(found.session.environment, found.session.revision),
        package=found.package,
        uses=found.uses,
        obstacle=found.obstacle,
        successful_launches=found.launches.successful,
        failed_launches=found.launches.failed,
    )
