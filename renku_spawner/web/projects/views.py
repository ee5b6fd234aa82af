"""View models of projects, including the status of projects that live in GitLab."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict

from ...domain.access import Person, Role
from ...domain.environments import Environment
from ...domain.ids import PATH_PART_RULE
from ...domain.instances import Instance
from ...domain.policy import HubPolicy
from ...domain.projects import Project, ProjectEntry, ProjectMember, Repository
from ...domain.storages import Storage
from ...usecases.session_files import SessionFileLookup
from ...usecases.session_queries import ProjectPageData
from ..formatting import (
    VISIBILITY_CHOICES,
    format_count,
    format_fetch_options,
    format_visibility,
    shorten_repository_url,
    truncate_at_word,
)
from ..page_context import DescribedOptionView, LinkView, PageContext
from ..sessions.cards import (
    BriefSessionView,
    SessionCardView,
    SessionEnvironmentView,
    SessionHeadView,
    build_brief_session_view,
    build_session_card_view,
    build_session_environment_view,
    build_session_head_view,
    needs_refresh,
)
from ..storages.views import StorageRow, build_storages_view
from ..urls import UrlBuilder, add_query_parameters, quote_path_segment

_ACCESS_CHECKS_WAIT_TEXT = (
    "Starting and changing sessions need GitLab's word on your access and wait until it answers again."
)
_CHANGES_WAIT_TEXT = "Changes wait until it answers again."


class GitlabHeadView(TypedDict):
    web: str | None
    people: str | None
    archived: bool
    away: str | None


def build_gitlab_head_view(project: Project) -> GitlabHeadView:
    """Build the part of a page's head about a project that lives in GitLab."""
    return {
        "web": project.web,
        "people": f"{project.web}/-/project_members" if project.web else None,
        "archived": project.archived,
        "away": format_gitlab_outage(project.stale, unverified=project.unverified) if project.stale else None,
    }


def format_git_permissions(project: Project, policy: HubPolicy) -> str | None:
    """Describe what code in a session can do in GitLab; None if git gets no credentials."""
    has_credentials = {"all": True, "members": project.member}.get(policy.git_credentials, False)
    if project.is_hub_project or not has_credentials:
        return None
    return f"Code in this session can act in GitLab as you ({'read and push' if policy.push else 'read'})."


def format_gitlab_outage(stale: datetime, *, unverified: bool) -> str:
    """Describe what works while GitLab does not answer."""
    works = (
        f"Open and Pause work. {_ACCESS_CHECKS_WAIT_TEXT}"
        if unverified
        else f"Start, Open and Pause work. {_CHANGES_WAIT_TEXT}"
    )
    return f"You see the project as it was at {stale:%H:%M} UTC. {works}"


def format_gitlab_outage_for_list(stale: datetime) -> str:
    """Describe what works while GitLab does not answer, for the list of projects."""
    return f"You see your projects as they were at {stale:%H:%M} UTC. Open and Pause work; the rest may have to wait."


class ProjectRow(TypedDict):
    id: str
    title: str
    path: str
    page: str
    description: str
    sessions: str
    role: str
    archived: bool
    session: BriefSessionView | None
    new_url: str | None


def build_project_row(entry: ProjectEntry, instance: Instance | None, version: str, frame: PageContext) -> ProjectRow:
    """Build a row of the list: a project, its default session with launch *version*, and the user's instance."""
    urls, default = frame.urls, entry.default_session
    session = None
    if default:
        page = urls.session(entry.path, default)
        session = build_brief_session_view(default, entry.default_title or entry.title, page, instance, frame)
        session["launch_version"] = version
    return {
        "id": entry.id,
        "title": entry.title,
        "path": entry.path,
        "page": urls.project(entry.path),
        "description": truncate_at_word(entry.description),
        "sessions": format_count(entry.sessions, "session"),
        "role": entry.role.label,
        "archived": entry.archived,
        "session": session,
        "new_url": f"{urls.sessions(entry.path)}/new" if entry.role >= Role.EDITOR and not entry.stale else None,
    }


class ProjectHeadView(GitlabHeadView):
    id: str
    title: str
    path: str
    page: str
    description: str
    visibility: str
    launch: str


def build_project_head_view(project: Project, frame: PageContext) -> ProjectHeadView:
    return {
        **build_gitlab_head_view(project),
        "id": project.id,
        "title": project.title,
        "path": project.path,
        "page": frame.urls.project(project.path),
        "description": project.description,
        "visibility": format_visibility(project.visibility),
        "launch": frame.urls.launch_page(project.path),
    }


class ProjectPageHeadView(ProjectHeadView):
    role: str
    settings_url: str | None
    new_url: str | None


class ProjectPageView(TypedDict):
    project: ProjectPageHeadView
    default: SessionHeadView | None
    sessions: list[SessionCardView]
    search: str
    share: str
    keywords: list[KeywordLink]
    next: str | None
    count: str | None
    environments: list[OfferedEnvironmentView]
    described: DescribedOfferView | None
    add_url: str | None
    ways: list[LinkView]
    repositories: list[RepositoryRow]
    repository_new: str | None
    storages: list[StorageRow]
    storage_new: str | None
    members: list[MembersOfRoleView]
    back: str
    refresh: bool


def build_project_page_view(
    found: ProjectPageData,
    environments: Sequence[Environment],
    described: DescribedOfferView | None,
    person: Person,
    frame: PageContext,
    asked: Mapping[str, str],
) -> ProjectPageView:
    """Build the view of renku_project.html.

    *described* is what a repository offers; *asked* has `search` and `back` of the request, and the user's `share`.
    """
    project, urls = found.project, frame.urls
    writes = found.can_write
    cards = [
        build_session_card_view(view, project, frame, may_write=writes, storages=found.storages)
        for view in found.sessions
    ]
    only = found.total == len(cards) == 1  # its card says it all
    default = build_session_head_view(found.default, project.path, frame) if found.default and not only else None
    search, address = asked["search"], urls.project(project.path)
    top: ProjectPageHeadView = {
        **build_project_head_view(project, frame),
        "role": f"you are {found.role.label}",
        "settings_url": urls.settings(project.path) if writes or _may_leave_project(project, person) else None,
        "new_url": f"{urls.sessions(project.path)}/new" if writes else None,
    }
    return {
        "project": top,
        "default": default,
        "sessions": cards,
        "search": search,
        "share": asked["share"],
        "keywords": build_keyword_links(
            {w for c in cards for w in c["environment"]["keywords"]}, search, address, "search"
        ),
        "next": add_query_parameters(address, search=search, after=found.next) if found.next else None,
        "count": format_count(found.total, "session") if found.total else None,
        "environments": [build_offered_environment_view(each, project.path, frame) for each in environments],
        "described": described,
        "add_url": urls.sessions(project.path) if writes else None,
        "ways": _build_other_environment_links(f"{urls.sessions(project.path)}/new", frame) if writes else [],
        "repositories": build_repository_rows(project.repositories),
        "repository_new": f"{urls.settings(project.path)}#repositories" if writes else None,
        "storages": build_storages_view(found.storages, frame),
        "storage_new": f"{urls.project(project.path)}/-/storages/new" if writes else None,
        "members": build_member_rows(project.members) if project.is_hub_project else [],
        "back": asked["back"],
        "refresh": needs_refresh(each["status"] for each in [*cards, *([default] if default else [])]),
    }


def _build_other_environment_links(url: str, frame: PageContext) -> list[LinkView]:
    """Link to the ways to add a session without a ready-made environment; local sessions use no images."""
    if frame.local:
        return []
    ways = [("your own image", "external"), *([("an image built by CI", "repository")] if frame.gitlab else [])]
    return [{"text": text, "url": add_query_parameters(url, kind=kind)} for text, kind in ways]


class KeywordLink(TypedDict):
    word: str
    url: str
    current: bool


def build_keyword_links(found: Iterable[str], current: str, address: str, name: str) -> list[KeywordLink]:
    return [
        {"word": word, "url": add_query_parameters(address, **{name: word}), "current": word == current}
        for word in sorted(found)
    ]


class OfferedEnvironmentView(SessionEnvironmentView):
    used: str | None
    new_url: str


def build_offered_environment_view(each: Environment, project: str, frame: PageContext) -> OfferedEnvironmentView:
    """Build a ready-made environment that can be added to a project."""
    new = add_query_parameters(f"{frame.urls.sessions(project)}/new", environment=each.id)
    return {**build_session_environment_view(each, each.revision), "used": None, "new_url": new}


class RepositoryRow(TypedDict):
    directory: str
    url: str
    link: str | None
    name: str
    ref: str | None


def build_repository_rows(found: Sequence[Repository]) -> list[RepositoryRow]:
    return [
        {
            "directory": r.directory,
            "url": r.url,
            "link": r.url if r.url.startswith(("https://", "http://")) else None,
            "name": shorten_repository_url(r.url),
            "ref": r.ref,
        }
        for r in found
    ]


def build_described_sessions_url(urls: UrlBuilder, project: str) -> str:
    return f"{urls.sessions(project)}/described"


class DescribedOfferView(TypedDict):
    known: bool
    directory: str | None
    count: str | None
    titles: list[str]
    problem: str
    url: str


def build_described_offer_view(looked: SessionFileLookup, project: str, urls: UrlBuilder) -> DescribedOfferView:
    """Build the described sessions on an empty project's page, which shows them later if not `known` yet."""
    offer = looked.offer
    return {
        "known": looked.known,
        "directory": offer.directory if offer else None,
        "count": format_count(len(offer.document.sessions), "session") if offer and offer.document else None,
        "titles": [described.title for described in offer.document.sessions[:20]] if offer and offer.document else [],
        "problem": offer.problem if offer else "",
        "url": build_described_sessions_url(urls, project),
    }


class MembersOfRoleView(TypedDict):
    role: str
    names: str


def build_member_rows(found: Sequence[ProjectMember]) -> list[MembersOfRoleView]:
    """List the names of members by role, the highest first."""
    by_role = {role: [_format_member_name(m) for m in found if m.role is role] for role in sorted(Role, reverse=True)}
    return [{"role": role.label, "names": ", ".join(names)} for role, names in by_role.items() if names]


def _format_member_name(member: ProjectMember) -> str:
    return member.name if member.kind == "user" else f"group {member.name}"


class GeneralSettingsView(TypedDict):
    action: str
    namespace: str
    path_rule: str
    values: GeneralSettingsFields


class GeneralSettingsFields(TypedDict):
    title: str
    slug: str
    description: str
    visibility: str
    listed: str


class RepositorySettingsRow(TypedDict):
    directory: str
    url: str
    ref: str | None
    also: str
    change: str | None
    remove: str | None


class RepositoryFields(TypedDict):
    instead: str
    url: str
    ref: str
    directory: str
    lfs: str
    submodules: str


class MemberFields(TypedDict):
    username: str
    role: str


class ProjectSettingsView(TypedDict):
    project: ProjectHeadView
    general: GeneralSettingsView | None
    version: int
    visibilities: list[DescribedOptionView]
    repositories: list[RepositorySettingsRow]
    repositories_action: str | None
    storages: list[StorageRow]
    storage_new: str | None
    repository_values: RepositoryFields
    members: list[MemberSettingsRow]
    members_action: str | None
    member_values: MemberFields
    roles: list[str]
    leave: str | None
    delete_url: str | None


def build_project_settings_view(
    project: Project, storages: Sequence[Storage], person: Person, frame: PageContext, changed: str = ""
) -> ProjectSettingsView:
    """Build the view of renku_settings.html, without typed values and errors.

    The form for repositories has the values of the one in the directory *changed*.
    """
    urls, role = frame.urls, project.get_role(person) or Role.VIEWER
    owner = project.is_hub_project and role is Role.OWNER
    base = f"{urls.project(project.path)}/-"
    namespace, _, slug = project.path.partition("/")
    members = sorted(project.members, key=lambda m: m.role, reverse=True)
    general: GeneralSettingsView = {
        "action": urls.settings(project.path), "namespace": namespace, "path_rule": PATH_PART_RULE,
        "values": {
            "title": project.title, "slug": slug, "description": project.description,
            "visibility": str(project.visibility), "listed": "yes" if project.listed else "no",
        },
    }  # fmt: skip
    return {
        "project": build_project_head_view(project, frame),
        "general": general if owner else None,
        "version": project.version,
        "visibilities": VISIBILITY_CHOICES,
        "repositories": [
            {
                "directory": r.directory,
                "url": r.url,
                "ref": r.ref,
                "also": format_fetch_options(r),
                "change": None
                if r.fixed
                else add_query_parameters(urls.settings(project.path), change=r.directory) + "#repository",
                "remove": None if r.fixed else f"{base}/repositories/{r.directory}/delete",
            }
            for r in project.repositories
        ],
        "repositories_action": f"{base}/repositories" if role >= Role.EDITOR and not project.stale else None,
        "storages": build_storages_view(storages, frame, base if role >= Role.EDITOR and not project.stale else None),
        "storage_new": f"{base}/storages/new" if role >= Role.EDITOR and not project.stale else None,
        "repository_values": _build_repository_fields(project.repositories, changed),
        "members": [_build_member_settings_row(m, base, owner=owner) for m in members]
        if project.is_hub_project
        else [],
        "members_action": f"{base}/members" if owner else None,
        "member_values": {"username": "", "role": "viewer"},
        "roles": [role.label for role in Role],
        "leave": f"{base}/members/{quote_path_segment(person.name)}/delete"
        if _may_leave_project(project, person)
        else None,
        "delete_url": f"{base}/delete" if owner else None,
    }


def _build_repository_fields(repositories: Sequence[Repository], changed: str) -> RepositoryFields:
    """Return the values of the repository in the directory *changed*, or blank ones to add another."""
    found = next((r for r in repositories if r.directory == changed and not r.fixed), None)
    if found is None:
        return {"instead": "", "url": "", "ref": "", "directory": "", "lfs": "", "submodules": ""}
    return {
        "instead": found.directory,
        "url": found.url,
        "ref": found.ref or "",
        "directory": found.directory,
        "lfs": "yes" if found.lfs else "",
        "submodules": "yes" if found.submodules else "",
    }


def _may_leave_project(project: Project, person: Person) -> bool:
    """Return whether *person* is a member by name, and not the last owner."""
    users = [m for m in project.members if m.kind == "user"]
    is_member = any(m.name == person.name for m in users)
    return project.is_hub_project and is_member and [m.name for m in users if m.role is Role.OWNER] != [person.name]


class MemberSettingsRow(TypedDict):
    name: str
    role: str
    remove: str | None
    change: str | None


def _build_member_settings_row(member: ProjectMember, base: str, *, owner: bool) -> MemberSettingsRow:
    user = owner and member.kind == "user"
    return {
        "name": _format_member_name(member),
        "role": member.role.label,
        "remove": f"{base}/members/{quote_path_segment(member.name)}/delete" if user else None,
        "change": f"{base}/members" if user else None,
    }


class ProjectListView(TypedDict):
    rows: list[ProjectRow]
    away: str | None
    gitlab: str | None
    search: str
    count: str | None
    next: str | None
    new_url: str | None
    back: str
    refresh: bool


def build_project_list_view(
    found: Sequence[tuple[ProjectEntry, Instance | None]],
    versions: Mapping[str, str],
    search: str,
    following: str | None,
    after: str | None,
    frame: PageContext,
) -> ProjectListView:
    """Build the view of renku_projects.html; *versions* maps the ids of sessions to launch versions."""
    urls = frame.urls
    rows = [
        build_project_row(entry, instance, versions.get(entry.default_session or "", ""), frame)
        for entry, instance in found
    ]
    stale = next((entry.stale for entry, _ in found if entry.stale), None)
    return {
        "rows": rows,
        "away": format_gitlab_outage_for_list(stale) if stale else None,
        "gitlab": frame.gitlab,
        "search": search,
        "count": format_count(len(rows), "project") if not (after or following) else None,
        "next": add_query_parameters(urls.projects, search=search, after=following) if following else None,
        "new_url": None if frame.gitlab else f"{urls.projects}/new",
        "back": add_query_parameters("projects", search=search, after=after),
        "refresh": needs_refresh(row["session"]["status"] for row in rows if row["session"]),
    }


def restore_typed_settings(view: ProjectSettingsView, fields: Mapping[str, Any]) -> None:
    """Put typed values back into the part of the settings that they belong to."""
    general: Any = view["general"]["values"] if view["general"] else {}
    parts: tuple[Any, ...] = (general, view["repository_values"], view["member_values"])
    for part in parts:
        part.update({key: fields[key] for key in part if key in fields})
