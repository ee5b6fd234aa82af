"""What the fake GitLab says of users, projects, members and groups: bodies with every field that GitLab sends."""

import hashlib
import json
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from .gitlab_world import Group, Member, User

if TYPE_CHECKING:
    from .gitlab_project import Project

Object = dict[str, Any]
DATA = Path(__file__).parents[1] / "data" / "gitlab"
PERSON = ("id", "username", "public_email", "name", "state", "locked", "avatar_url", "web_url")
CODE_ONLY = ("default_branch", "readme_url", "forks_count")  # absent for who may not read code
OF_CODE = ("repository_access_level",)


@cache
def _data() -> Object:
    found: Object = json.loads((DATA / "bodies.json").read_text())
    return found


def template(name: str) -> Any:
    """A copy of the body, or of the list of field names, called *name*."""
    return deepcopy(_data()[name])


def user(one: User, url: str) -> Object:
    found = template("user")
    avatar = hashlib.md5(one.username.encode(), usedforsecurity=False).hexdigest()
    found |= {"id": one.id, "username": one.username, "name": one.name, "email": one.email, "commit_email": one.email}
    found |= {"state": one.state, "external": one.external, "web_url": f"{url}/{one.username}"}
    found["avatar_url"] = f"https://secure.gravatar.com/avatar/{avatar}?s=80&d=identicon"
    if one.admin:
        found |= {"is_admin": True, "note": None, "namespace_id": one.namespace_id, "created_by": None}
        found["using_license_seat"] = True
    return found | one.more


def person(one: User, url: str) -> Object:
    """The short form, as it stands in other bodies."""
    whole = user(one, url)
    return {key: whole[key] for key in PERSON}


def member(one: Member, by: User | None, url: str) -> Object:
    found = person(one.user, url) | {"access_level": one.level, "created_at": one.created_at}
    if by:
        found["created_by"] = person(by, url)
    found |= {"expires_at": one.expires_at, "group_saml_identity": None, "group_scim_identity": None}
    found["membership_state"] = "active"
    return found | ({"member_role": one.role} if one.role else {})


def group(one: Group, url: str) -> Object:
    found = template("group")
    found |= {"id": one.id, "name": one.name, "path": one.path, "full_path": one.full_path}
    found |= {"web_url": f"{url}/groups/{one.full_path}", "visibility": one.visibility}
    found |= {"full_name": " / ".join(above.name for above in reversed(list(one.line())))}
    found["parent_id"] = one.parent.id if one.parent else None
    return found | one.more


def namespace(project: "Project", url: str) -> Object:
    if one := project.group:
        own = {"id": one.id, "name": one.name, "path": one.path, "kind": "group", "full_path": one.full_path}
        parent = {"parent_id": one.parent.id if one.parent else None}
        return own | parent | {"avatar_url": None, "web_url": f"{url}/groups/{one.full_path}"}
    assert project.owner
    own = {"id": project.owner.namespace_id, "name": project.owner.name, "path": project.owner.username}
    own |= {"kind": "user", "full_path": project.owner.username, "parent_id": None, "avatar_url": None}
    return own | {"web_url": f"{url}/{project.owner.username}"}


def full_name(project: "Project") -> str:
    above = project.namespace.replace("/", " / ")
    return f"{above} / {project.name}"


def project(one: "Project", caller: User | None, url: str, *, listed: bool = False, simple: bool = False) -> Object:
    """All that *caller* may see; anonymous callers and *simple* get the basic fields."""
    found = template("project") | _links(one, url)
    found |= {"id": one.id, "name": one.name, "path": one.slug, "path_with_namespace": one.path}
    found |= {"name_with_namespace": full_name(one), "visibility": one.visibility, "archived": one.archived}
    found |= {"description": "", "namespace": namespace(one, url), "last_activity_at": one.last_activity}
    found |= {
        "created_at": one.created_at,
        "updated_at": one.last_activity,
        "container_registry_image_prefix": one.image_prefix,
    }
    found |= {
        "default_branch": one.default_branch,
        "empty_repo": one.empty,
        "permissions": _access(one, caller, listed),
    }
    if one.owner:
        found["owner"] = person(one.owner, url)
    found |= {"shared_with_groups": _shared(one)} | one.more
    if not one.reads_code(caller):
        found = {key: value for key, value in found.items() if key not in (*CODE_ONLY, *OF_CODE)}
    if simple or caller is None:
        shown = template("simple" if simple and caller else "anonymous")
        found = {key: value for key, value in found.items() if key in shown}
    return found


def _links(one: "Project", url: str) -> Object:
    web, api = f"{url}/{one.path}", f"{url}/api/v4/projects/{one.id}"
    links = {name: f"{api}/{name}" for name in ("issues", "merge_requests", "labels", "events", "members")}
    links |= {"self": api, "repo_branches": f"{api}/repository/branches", "cluster_agents": f"{api}/cluster_agents"}
    host = url.partition("://")[2].partition(":")[0]
    return {
        "ssh_url_to_repo": f"git@{host}:{one.path}.git",
        "http_url_to_repo": f"{web}.git",
        "web_url": web,
        "readme_url": f"{web}/-/blob/{quote(one.default_branch)}/README.md",
        "_links": links,
    }


def _access(one: "Project", caller: User | None, listed: bool) -> Object:
    """Direct membership, and the highest in the group: of its ancestors too, except in lists; no shares."""
    direct = one.members.get(caller.id) if caller else None
    if caller and one.owner and one.owner.id == caller.id:
        direct = Member(caller, 50)
    through: list[Member] = []
    if caller and one.group:
        groups = [one.group] if listed else list(one.group.line())
        through = [above.members[caller.id] for above in groups if caller.id in above.members]
    best = max(through, key=lambda found: found.level, default=None)
    shown = {"project_access": direct, "group_access": best}
    return {key: {"access_level": it.level, "notification_level": 3} if it else None for key, it in shown.items()}


def _shared(one: "Project") -> list[Object]:
    keys = ("group_id", "group_name", "group_full_path", "group_access_level", "expires_at")
    rows = [(group.id, group.name, group.full_path, level, None) for group, level in one.shares]
    return [dict(zip(keys, row, strict=True)) for row in rows]
