"""What pages show of projects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..domain.access import Person, Role
from ..domain.environment import Environment
from ..domain.instance import Instance
from ..domain.names import PART_RULE
from ..domain.project import Member, Project, ProjectEntry
from ..domain.repository import Repository
from ..domain.storage import Storage
from ..services.looks import ProjectPage
from . import views_gitlab, views_storages, words
from .urls import query, segment
from .views import brief, card, environment, refresh, short
from .views_frame import Frame, View


def row(entry: ProjectEntry, instance: Instance | None, version: str, frame: Frame) -> View:
    """A project in the list, with its default session, the launch *version* of that, and one's own instance of it."""
    urls, default = frame.urls, entry.default_session
    session = None
    if default:
        page = urls.session(entry.path, default)
        session = brief(default, entry.default_title or entry.title, page, instance, frame)
        session["launch_version"] = version
    return {
        "id": entry.id,
        "title": entry.title,
        "path": entry.path,
        "page": urls.project(entry.path),
        "description": words.beginning(entry.description),
        "sessions": words.counted(entry.sessions, "session"),
        "role": entry.role.word,
        "archived": entry.archived,
        "session": session,
        "new_url": f"{urls.sessions(entry.path)}/new" if entry.role >= Role.EDITOR and not entry.stale else None,
    }


def head(project: Project, frame: Frame) -> View:
    return {
        "id": project.id,
        "title": project.title,
        "path": project.path,
        "page": frame.urls.project(project.path),
        "description": project.description,
        "visibility": words.visibility(project.visibility),
        "launch": frame.urls.launch(project.path),
    } | views_gitlab.there(project)


def page(
    found: ProjectPage,
    environments: Sequence[Environment],
    described: View | None,
    person: Person,
    frame: Frame,
    asked: Mapping[str, str],
) -> View:
    """Everything of renku_project.html; *described* is what a repository offers, and *asked* are `search` and
    `back` of the request, and the `share` of who asks."""
    project, urls = found.project, frame.urls
    writes = found.writes
    cards = [card(view, project, frame, may_write=writes, storages=found.storages) for view in found.sessions]
    default = short(found.default, project.path, frame) if found.default else None
    search, address = asked["search"], urls.project(project.path)
    top = head(project, frame) | {
        "role": f"you are {found.role.word}",
        "settings_url": urls.settings(project.path) if writes or _may_leave(project, person) else None,
        "new_url": f"{urls.sessions(project.path)}/new" if writes else None,
    }
    return {
        "project": top,
        "default": default,
        "sessions": cards,
        "search": search,
        "share": asked["share"],
        "keywords": keywords({w for c in cards for w in c["environment"]["keywords"]}, search, address, "search"),
        "next": query(address, search=search, after=found.next) if found.next else None,
        "count": words.counted(found.total, "session") if found.total else None,
        "environments": [offer(each, project.path, frame) for each in environments],
        "described": described,
        "add_url": urls.sessions(project.path) if writes else None,
        "repositories": repositories(project.repositories),
        "storages": views_storages.rows(found.storages, frame),
        "members": members(project.members) if project.ours else [],
        "back": asked["back"],
        "refresh": refresh(each["status"] for each in [*cards, *([default] if default else [])]),
    }


def keywords(found: Iterable[str], current: str, address: str, name: str) -> list[View]:
    return [{"word": word, "url": query(address, **{name: word}), "current": word == current} for word in sorted(found)]


def offer(each: Environment, project: str, frame: Frame) -> View:
    """A ready-made environment, as one can be added to a project."""
    new = query(f"{frame.urls.sessions(project)}/new", environment=each.id)
    return environment(each, each.revision) | {"used": None, "new_url": new}


def repositories(found: Sequence[Repository]) -> list[View]:
    return [
        {
            "directory": r.directory,
            "url": r.url,
            "link": r.url if r.url.startswith(("https://", "http://")) else None,
            "name": words.repository(r.url),
            "ref": r.ref,
        }
        for r in found
    ]


def members(found: Sequence[Member]) -> list[View]:
    """Names by role, the highest first."""
    by_role = {role: [_name(m) for m in found if m.role is role] for role in sorted(Role, reverse=True)}
    return [{"role": role.word, "names": ", ".join(names)} for role, names in by_role.items() if names]


def _name(member: Member) -> str:
    return member.name if member.kind == "user" else f"group {member.name}"


def settings(project: Project, storages: Sequence[Storage], person: Person, frame: Frame) -> View:
    """Everything of renku_settings.html but what was typed and what was wrong with it."""
    urls, role = frame.urls, project.role_of(person) or Role.VIEWER
    owner = project.ours and role is Role.OWNER
    base = f"{urls.project(project.path)}/-"
    namespace, _, slug = project.path.partition("/")
    values = {"title": project.title, "slug": slug, "description": project.description}
    general = {"action": urls.settings(project.path), "namespace": namespace, "path_rule": PART_RULE}
    return {
        "project": head(project, frame),
        "general": general | {"values": values | {"visibility": str(project.visibility)}} if owner else None,
        "version": project.version,
        "visibilities": words.VISIBILITIES,
        "repositories": [
            {
                "directory": r.directory,
                "url": r.url,
                "ref": r.ref,
                "also": words.fetched_too(r),
                "remove": None if r.fixed else f"{base}/repositories/{r.directory}/delete",
            }
            for r in project.repositories
        ],
        "repositories_action": f"{base}/repositories" if role >= Role.EDITOR and not project.stale else None,
        "storages": views_storages.rows(storages, frame, base if role >= Role.EDITOR and not project.stale else None),
        "storage_new": f"{base}/storages/new" if role >= Role.EDITOR and not project.stale else None,
        "repository_values": {"url": "", "ref": "", "directory": "", "lfs": "", "submodules": ""},
        "members": [_member(m, base, owner=owner) for m in project.members] if project.ours else [],
        "members_action": f"{base}/members" if owner else None,
        "member_values": {"username": "", "role": "viewer"},
        "roles": [role.word for role in Role],
        "leave": f"{base}/members/{segment(person.name)}/delete" if _may_leave(project, person) else None,
        "delete_url": f"{base}/delete" if owner else None,
    }


def _may_leave(project: Project, person: Person) -> bool:
    """Who is a member here by their own name, and not its last owner."""
    users = [m for m in project.members if m.kind == "user"]
    mine = any(m.name == person.name for m in users)
    return project.ours and mine and [m.name for m in users if m.role is Role.OWNER] != [person.name]


def _member(member: Member, base: str, *, owner: bool) -> View:
    user = owner and member.kind == "user"
    return {
        "name": _name(member),
        "role": member.role.word,
        "remove": f"{base}/members/{segment(member.name)}/delete" if user else None,
        "change": f"{base}/members" if user else None,
    }


def listed(
    found: Sequence[tuple[ProjectEntry, Instance | None]],
    versions: Mapping[str, str],
    search: str,
    following: str | None,
    after: str | None,
    frame: Frame,
) -> View:
    """Everything of renku_projects.html; *versions* are launch versions of sessions by their ids."""
    urls = frame.urls
    rows = [row(entry, instance, versions.get(entry.default_session or "", ""), frame) for entry, instance in found]
    stale = next((entry.stale for entry, _ in found if entry.stale), None)
    return {
        "rows": rows,
        "away": views_gitlab.away_for_all(stale) if stale else None,
        "gitlab": frame.gitlab,
        "search": search,
        "count": words.counted(len(rows), "project") if not (after or following) else None,
        "next": query(urls.projects, search=search, after=following) if following else None,
        "new_url": None if frame.gitlab else f"{urls.projects}/new",
        "back": query("projects", search=search, after=after),
        "refresh": refresh(row["session"]["status"] for row in rows if row["session"]),
    }


def retyped(view: View, fields: Mapping[str, Any]) -> None:
    """Put what was typed back into the part of the settings that it was typed into."""
    for part in (view["general"] and view["general"]["values"], view["repository_values"], view["member_values"]):
        if part:
            part.update({key: fields[key] for key in part if key in fields})
